//! Trying a node again within its step.
//!
//! The attempts of a [`RetryNode`] are one attempt of the step: they share its lease, its time limit and its
//! cancellation, and a crash between two of them starts again at the first.

use crate::{Context, Node, Transition, WorkflowCtx, panics::guarded, step};
use async_trait::async_trait;
use jetway_state::{Error, Graph};
use std::time::Duration;

/// Waits between two attempts.
///
/// A [`WorkflowCtx`] waits, and so does the context of a step: both stop when they are cancelled.
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
    /// Waits for `pause`, or until the step is cancelled.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    async fn wait(&self, pause: Duration) -> Result<(), Error>;
}

#[async_trait]
impl<S: Context> RetryDelay for WorkflowCtx<S> {
    async fn wait(&self, pause: Duration) -> Result<(), Error> {
        tokio::select! {
            biased;
            () = self.cancelled() => Err(Error::Cancelled),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }
}

/// The context of a step waits under the step's own cancellation.
#[async_trait]
impl<C: Context> RetryDelay for C {
    async fn wait(&self, pause: Duration) -> Result<(), Error> {
        let Some(step) = step() else {
            tokio::time::sleep(pause).await;
            return Ok(());
        };
        tokio::select! {
            biased;
            () = step.cancel_token().cancelled() => Err(Error::Cancelled),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }
}

/// How pauses grow from attempt to attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackoffStrategy {
    /// Once, twice, three times the first pause.
    Linear,
    /// Once, twice, four times the first pause.
    Exponential,
}

/// Which errors another attempt is made after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryError {
    /// All of them.
    All,
    /// [`Error::Cancelled`].
    Cancelled,
    /// [`Error::Timeout`].
    Timeout,
    /// What the node itself failed with: all but the other classes and what says that a run is not there or has ended.
    Generic,
}

impl RetryError {
    fn covers(self, error: &Error) -> bool {
        match self {
            Self::All => true,
            Self::Cancelled => matches!(error, Error::Cancelled),
            Self::Timeout => matches!(error, Error::Timeout(_)),
            Self::Generic => !matches!(
                error,
                Error::Cancelled | Error::Timeout(_) | Error::NotStarted | Error::AlreadyCompleted
            ),
        }
    }
}

/// When another attempt is made, and after which pause.
///
/// ```
/// use jetway_core::{Error, retry::{BackoffStrategy, RetryError, RetryPolicy}};
/// use std::time::Duration;
///
/// let ms = Duration::from_millis;
/// let policy = RetryPolicy::new(4, ms(100), ms(300), BackoffStrategy::Exponential, RetryError::Generic);
/// let pauses: Vec<_> = (1..=3).map(|attempt| policy.backoff_duration(attempt)).collect();
/// assert_eq!(pauses, [ms(100), ms(200), ms(300)]);
/// assert!(policy.should_retry(&Error::Generic("busy".to_owned()), 3));
/// assert!(!policy.should_retry(&Error::Generic("busy".to_owned()), 4));
/// assert!(!policy.should_retry(&Error::Timeout(ms(1)), 1));
/// ```
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// The most attempts, the first one included.
    pub max_attempts: usize,
    /// The pause after the first attempt.
    pub initial_backoff: Duration,
    /// The longest pause, jitter included.
    pub max_backoff: Duration,
    /// How pauses grow.
    pub strategy: BackoffStrategy,
    /// By how much a pause is longer at most, by chance: what failed together should not come back together.
    pub jitter: Option<Duration>,
    /// Which errors another attempt is made after.
    pub retry_error: RetryError,
}

impl RetryPolicy {
    /// A policy without jitter.
    pub fn new(
        max_attempts: usize,
        initial_backoff: Duration,
        max_backoff: Duration,
        strategy: BackoffStrategy,
        retry_error: RetryError,
    ) -> Self {
        Self { max_attempts, initial_backoff, max_backoff, strategy, jitter: None, retry_error }
    }

    /// The same with pauses that are longer by up to `jitter`, by chance.
    #[must_use]
    pub fn with_jitter(mut self, jitter: Duration) -> Self {
        self.jitter = Some(jitter);
        self
    }

    /// Whether there is another attempt after attempt `attempt` (from 1) failed with `error`.
    pub fn should_retry(&self, error: &Error, attempt: usize) -> bool {
        attempt < self.max_attempts && self.retry_error.covers(error)
    }

    /// The pause after attempt `attempt` (from 1).
    pub fn backoff_duration(&self, attempt: usize) -> Duration {
        let factor = match self.strategy {
            BackoffStrategy::Linear => u32::try_from(attempt).unwrap_or(u32::MAX).max(1),
            BackoffStrategy::Exponential => {
                let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
                1_u32.checked_shl(doublings).unwrap_or(u32::MAX)
            }
        };
        let jitter = self.jitter.map_or(Duration::ZERO, |most| most.mul_f64(rand::random()));
        self.initial_backoff.saturating_mul(factor).saturating_add(jitter).min(self.max_backoff)
    }
}

/// Wraps a node: it is tried again, as the policy says.
pub fn with_retry<N>(node: N, policy: RetryPolicy) -> RetryNode<N> {
    RetryNode::new(node, policy)
}

/// A node that is tried again when it fails, as a policy says.
///
/// An error and a panic are tried again; an `Abort` is the node's own last word and is not. In a workflow, `#[retry =
/// policy] node: Type` beside a field `policy: RetryPolicy` does the same.
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
    /// When it is tried again.
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
}

/// Runs a node until it does not fail any more, or the policy says that it is enough.
///
/// # Errors
/// What the last attempt failed with.
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
    let mut attempt = 1;
    loop {
        let error = match guarded(node.process(ctx, input.clone())).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let stopped = step().is_some_and(|step| step.cancel_token().is_cancelled());
        if stopped || !policy.should_retry(&error, attempt) {
            return Err(error);
        }
        let pause = policy.backoff_duration(attempt);
        tracing::debug!(%error, attempt, ?pause, "the node failed and is tried again");
        RetryDelay::wait(ctx, pause).await?;
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    const MS: Duration = Duration::from_millis(1);

    /// Fails so often, in a way of its own each time.
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
    fn pauses_grow_up_to_their_cap() {
        let pauses = |strategy| {
            let policy = RetryPolicy { strategy, max_backoff: 5 * MS, ..policy(9) };
            [1, 2, 3, 4, usize::MAX].map(|attempt| policy.backoff_duration(attempt).as_millis())
        };
        assert_eq!(pauses(BackoffStrategy::Linear), [1, 2, 3, 4, 5]);
        assert_eq!(pauses(BackoffStrategy::Exponential), [1, 2, 4, 5, 5]);
    }

    #[test]
    fn jitter_is_random_and_within_the_cap() {
        let policy = policy(9).with_jitter(2 * MS);
        let pauses: Vec<_> = (0..200).map(|_| policy.backoff_duration(2)).collect();
        assert!(pauses.iter().all(|pause| (2 * MS..=4 * MS).contains(pause)));
        assert!(pauses.iter().max() > pauses.iter().min());
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
