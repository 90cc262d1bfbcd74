//! [`RetryPolicy`], and [`RetryNode`]: retries a node within one attempt of its step.
//!
//! The retries of a [`RetryNode`] share the lease, the time limit and the cancellation token of the attempt. After a
//! crash they start again at the first.

mod tries;

use crate::{
    Context, Node, Transition, WorkflowCtx,
    panics::guarded,
    retry_policy::{Decision, FailedAttempt, NoMore, decide},
    signal::SignalType,
    step,
};
use async_trait::async_trait;
use jetway_state::{Error, Graph, Timestamp};
use std::time::Duration;
use tokio::time::Instant;
use tracing::Instrument as _;

pub use crate::retry_policy::{BackoffStrategy, BadPolicy, Exhausted, RetryError, RetryPolicy};

/// Waits between two attempts, until the delay is over or the step is cancelled.
///
/// Implemented by [`WorkflowCtx`] and by contexts; a context uses the cancellation token and the clock of the current step.
///
/// ```
/// use jetway_core::{Error, WorkflowCtx, retry::RetryDelay};
/// use std::time::{Duration, Instant};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
/// # runtime.block_on(async {
/// let ctx = WorkflowCtx::new(());
/// let begun = Instant::now();
/// assert_eq!(ctx.wait(Duration::from_millis(5)).await, Ok(()));
/// assert!(begun.elapsed() >= Duration::from_millis(5));
///
/// ctx.cancel();
/// assert_eq!(ctx.wait(Duration::from_secs(3600)).await, Err(Error::Cancelled));
/// # });
/// ```
#[async_trait]
pub trait RetryDelay {
    /// Waits for `delay`.
    ///
    /// # Errors
    /// [`Error::Cancelled`] where the step is cancelled.
    async fn wait(&self, delay: Duration) -> Result<(), Error>;
}

#[async_trait]
impl<S: Context> RetryDelay for WorkflowCtx<S> {
    async fn wait(&self, delay: Duration) -> Result<(), Error> {
        tokio::select! {
            biased;
            () = self.cancelled() => Err(Error::Cancelled),
            () = self.clock().sleep(delay) => Ok(()),
        }
    }
}

#[async_trait]
impl<C: Context> RetryDelay for C {
    async fn wait(&self, delay: Duration) -> Result<(), Error> {
        let Some(step) = step() else {
            tokio::time::sleep(delay).await;
            return Ok(());
        };
        tokio::select! {
            biased;
            () = step.cancel_token().cancelled() => Err(Error::Cancelled),
            () = step.clock().sleep(delay) => Ok(()),
        }
    }
}

/// Wraps a node in a [`RetryNode`].
pub fn with_retry<N>(node: N, policy: RetryPolicy) -> RetryNode<N> {
    RetryNode::new(node, policy)
}

/// Retries a node that fails, by a policy.
///
/// Errors and panics are retried, [`Transition::Abort`] is not. All attempts are within one attempt of the step, which holds its
/// worker meanwhile, and they start again when the host is lost. In a workflow, `#[retry = policy] node: Type` with a field
/// `policy: RetryPolicy` makes durable retries on hosts: the count is in the record, and a run that waits for its next attempt
/// needs no worker.
///
/// ```
/// use jetway_core::{Error, Node, Transition, retry::{BackoffStrategy, RetryError, RetryPolicy, with_retry}};
/// use std::{sync::{Arc, atomic::{AtomicU32, Ordering}}, time::Duration};
///
/// #[derive(Debug, Clone, Default)]
/// struct Flaky(Arc<AtomicU32>);
///
/// #[async_trait::async_trait]
/// impl Node for Flaky {
///     type Input = u32;
///     type Output = u32;
///     async fn process(&self, _ctx: &(), input: u32) -> Result<Transition<u32>, Error> {
///         match self.0.fetch_add(1, Ordering::Relaxed) {
///             0 | 1 => Err(Error::Generic("not yet".to_owned())),
///             _ => Ok(Transition::Next(input * 2)),
///         }
///     }
/// }
///
/// # fn main() {
/// let ms = Duration::from_millis;
/// let policy = RetryPolicy::new(3, ms(1), ms(5), BackoffStrategy::Linear, RetryError::All);
/// let node = with_retry(Flaky::default(), policy);
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
/// assert_eq!(runtime.block_on(node.process(&(), 21)), Ok(Transition::Next(42)));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RetryNode<N> {
    /// The node.
    pub inner: N,
    /// The retry policy.
    pub policy: RetryPolicy,
}

impl<N> RetryNode<N> {
    /// Wraps a node.
    pub fn new(inner: N, policy: RetryPolicy) -> Self {
        Self { inner, policy }
    }
}

#[async_trait]
impl<C, N> Node<C> for RetryNode<N>
where
    C: Context,
    N: Node<C>,
    N::Input: Clone,
{
    type Input = N::Input;
    type Output = N::Output;

    async fn process(&self, ctx: &C, input: N::Input) -> Result<Transition<N::Output>, Error> {
        retried(&self.inner, &self.policy, ctx, input).await
    }

    fn nested(&self) -> Option<Graph> {
        self.inner.nested()
    }

    fn signals(&self) -> Vec<SignalType> {
        self.inner.signals()
    }
}

/// Runs a node until it succeeds or the policy allows no further attempt.
///
/// # Errors
/// The error of the last attempt.
pub async fn retried<C, N>(
    node: &N,
    policy: &RetryPolicy,
    ctx: &C,
    input: N::Input,
) -> Result<Transition<N::Output>, Error>
where
    C: Context,
    N: Node<C>,
    N::Input: Clone,
{
    let (step, began) = (step(), Instant::now());
    // Time that a clock has passed by being moved.
    let mut skipped = Duration::ZERO;
    let mut attempt: u32 = 1;
    loop {
        let number = step.as_ref().map_or_else(|| i64::from(attempt), |step| step.count_try());
        let span = tries::span(number);
        let error = match guarded(node.process(ctx, input.clone())).instrument(span.clone()).await {
            Ok(transition) => {
                tries::succeeded(&span, number);
                return Ok(transition);
            }
            Err(error) => error,
        };
        let stopped = step.as_ref().is_some_and(|step| step.cancel_token().is_cancelled());
        let elapsed = began.elapsed().saturating_add(skipped);
        let delay = if stopped { Err(error.clone()) } else { delay(policy, &error, attempt, elapsed) };
        tries::failed(&span, number, &error, delay.as_ref().ok().copied());
        drop(span);
        let (delay, waits) = (delay?, Instant::now());
        RetryDelay::wait(ctx, delay).await?;
        skipped = skipped.saturating_add(delay.saturating_sub(waits.elapsed()));
        attempt = attempt.saturating_add(1);
    }
}

/// The delay before the next attempt, or the error of the step if there is none. Nobody waits for a person here.
fn delay(policy: &RetryPolicy, error: &Error, attempt: u32, elapsed: Duration) -> Result<Duration, Error> {
    let (first_at, now) = (Timestamp::default(), Timestamp::default().after(elapsed));
    let failed = FailedAttempt { error, failures: attempt, first_at, now, until: None };
    match decide(Some(policy), &failed, rand::random()) {
        Decision::Again(delay) => Ok(delay),
        Decision::Fail(NoMore::OutOfRange) => Err(Error::TimeOutOfRange),
        Decision::Fail(_) | Decision::Pause(_) => Err(error.clone()),
    }
}

/// Runs a node by the policy of `#[retry]`: on a host once, and the host makes the other attempts, durably. Elsewhere as
/// [`retried`].
///
/// # Errors
/// The error of the attempt, or of the last one.
pub async fn retried_by_host<C, N>(
    node: &N,
    policy: &RetryPolicy,
    ctx: &C,
    input: N::Input,
) -> Result<Transition<N::Output>, Error>
where
    C: Context,
    N: Node<C>,
    N::Input: Clone,
{
    if !step().is_some_and(|step| step.takes_policy(policy)) {
        return retried(node, policy, ctx, input).await;
    }
    guarded(node.process(ctx, input)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    const MS: Duration = Duration::from_millis(1);

    /// Fails in the first `failures` runs, by errors and panics in turn.
    #[derive(Debug, Clone, Default)]
    struct Flaky {
        failures: usize,
        runs: Arc<AtomicUsize>,
        abort: bool,
    }

    #[async_trait]
    impl Node for Flaky {
        type Input = usize;
        type Output = usize;

        async fn process(&self, _ctx: &(), input: usize) -> Result<Transition<usize>, Error> {
            let run = self.runs.fetch_add(1, Ordering::Relaxed);
            if run >= self.failures {
                return Ok(Transition::Next(input + run));
            }
            assert!(run.is_multiple_of(2), "panic {run}");
            let error = Error::Generic(format!("failure {run}"));
            if self.abort { Ok(Transition::Abort(error)) } else { Err(error) }
        }
    }

    fn policy(attempts: usize) -> RetryPolicy {
        RetryPolicy::new(attempts, MS, 4 * MS, BackoffStrategy::Exponential, RetryError::All)
    }

    #[tokio::test(start_paused = true)]
    async fn errors_and_panics_are_retried() {
        let node = with_retry(Flaky { failures: 3, ..Flaky::default() }, policy(4));
        assert_eq!(node.process(&(), 10).await, Ok(Transition::Next(13)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_error_is_returned() {
        let node = with_retry(Flaky { failures: 9, ..Flaky::default() }, policy(3));
        assert_eq!(node.process(&(), 10).await, Err(Error::Generic("failure 2".to_owned())));
        assert_eq!(node.inner.runs.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn an_abort_is_not_retried() {
        let node = with_retry(Flaky { failures: 9, abort: true, ..Flaky::default() }, policy(3));
        let aborted = Transition::Abort(Error::Generic("failure 0".to_owned()));
        assert_eq!(node.process(&(), 10).await, Ok(aborted));
        assert_eq!(node.inner.runs.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_context_waits_until_it_is_cancelled() {
        let ctx = WorkflowCtx::new(());
        assert_eq!(ctx.wait(MS).await, Ok(()));
        ctx.cancel();
        assert_eq!(ctx.wait(Duration::MAX).await, Err(Error::Cancelled));
    }

    #[test]
    fn delays_grow_up_to_the_longest() {
        let delays = |strategy| {
            let policy = RetryPolicy { strategy, max_backoff: 5 * MS, ..policy(9) };
            [1, 2, 3, 4, usize::MAX].map(|attempt| policy.backoff_duration(attempt).as_millis())
        };
        assert_eq!(delays(BackoffStrategy::Linear), [1, 2, 3, 4, 5]);
        assert_eq!(delays(BackoffStrategy::Exponential), [1, 2, 4, 5, 5]);
    }

    #[test]
    fn jitter_is_random_and_within_the_cap() {
        let policy = policy(9).with_jitter(2 * MS);
        let delays: Vec<_> = (0..200).map(|_| policy.backoff_duration(2)).collect();
        assert!(delays.iter().all(|delay| (2 * MS..=4 * MS).contains(delay)));
        assert!(delays.iter().max() > delays.iter().min());
        assert!((0..200).all(|_| policy.backoff_duration(3) == 4 * MS));
    }

    #[test]
    fn classes_of_errors() {
        let errors = [
            Error::Generic(String::new()),
            Error::Panicked(String::new()),
            Error::Cancelled,
            Error::Timeout(MS),
            Error::AlreadyCompleted,
        ];
        for (class, covered) in [
            (RetryError::All, [true; 5]),
            (RetryError::Generic, [true, true, false, false, false]),
            (RetryError::Cancelled, [false, false, true, false, false]),
            (RetryError::Timeout, [false, false, false, true, false]),
        ] {
            let policy = RetryPolicy { retry_error: class, ..policy(2) };
            let retried = errors.each_ref().map(|error| policy.should_retry(error, 1));
            assert_eq!(retried, covered, "{class:?}");
            assert!(errors.iter().all(|error| !policy.should_retry(error, 2)));
        }
    }
}
