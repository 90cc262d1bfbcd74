//! The time limits of an attempt. A node that exceeds one is told to stop by its token, and dropped soon after.
//!
//! They are measured by the monotonic clock of the process.

use super::{Heartbeats, scope::within_shared, step};
use crate::{Context, Node, Transition, WorkflowCtx, panics::guarded, step_rules::StepRules};
use async_trait::async_trait;
use jetway_state::{Error, Graph};
use std::{
    future::{Future, pending},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How long a node that exceeded a limit may take to stop by itself.
pub(super) const GRACE: Duration = Duration::from_millis(100);

/// The limits of one attempt.
#[derive(Debug, Default)]
struct Limits {
    timeout: Option<Duration>,
    within: Option<TimeLeft>,
    heartbeat: Option<(Duration, Arc<Heartbeats>)>,
}

/// What is left of the time that a step has from when it is ready.
#[derive(Debug, Clone)]
pub(crate) struct TimeLeft {
    /// When it is over.
    until: Instant,
    /// The whole time.
    limit: Duration,
    /// The error of the last attempt.
    last: Option<String>,
}

impl TimeLeft {
    /// `spent` of the time is over. `None` if the rest is longer than a clock can tell.
    pub(crate) fn of(limit: Duration, spent: Duration, last: Option<String>) -> Option<Self> {
        let until = Instant::now().checked_add(limit.saturating_sub(spent))?;
        Some(Self { until, limit, last })
    }

    fn error(&self) -> Error {
        Error::NotDoneWithin { limit: self.limit, last: self.last.clone() }
    }
}

impl Limits {
    /// When the attempt is over, whatever the node does.
    fn deadline(&self) -> Option<Instant> {
        let timeout = self.timeout.and_then(|limit| Instant::now().checked_add(limit));
        timeout.into_iter().chain(self.within.as_ref().map(|within| within.until)).min()
    }

    /// Waits until the first limit is exceeded.
    async fn exceeded(&self) -> Error {
        tokio::select! {
            biased;
            error = self.is_too_late() => error,
            limit = elapsed(self.timeout) => Error::Timeout(limit),
            limit = self.is_silent() => Error::Timeout(limit),
        }
    }

    async fn is_too_late(&self) -> Error {
        match &self.within {
            Some(within) => {
                sleep_until(within.until).await;
                within.error()
            }
            None => pending().await,
        }
    }

    async fn is_silent(&self) -> Duration {
        match &self.heartbeat {
            Some((limit, heartbeats)) => {
                heartbeats.silent_for(*limit).await;
                *limit
            }
            None => pending().await,
        }
    }
}

async fn elapsed(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            sleep(limit).await;
            limit
        }
        None => pending().await,
    }
}

/// Polls a node until it ends or exceeds a limit. Its scope has a token of its own.
async fn limited_by<T>(limits: Limits, node: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    if let Some(within) = limits.within.as_ref().filter(|within| within.until <= Instant::now()) {
        return Err(within.error());
    }
    let (scope, token) = match step() {
        Some(step) => {
            let token = step.cancel_token().child_token();
            (Some(Arc::new(step.limited(token.clone(), limits.deadline()))), Some(token))
        }
        None => (None, None),
    };
    let mut node = pin!(within_shared(scope, guarded(node)));
    let exceeded = tokio::select! {
        biased;
        done = &mut node => return done,
        error = limits.exceeded() => error,
    };
    if let Some(token) = token {
        token.cancel();
        // Whatever it returns, it was too late.
        if timeout(GRACE, node).await.is_err() {
            tracing::debug!("a node that exceeded its time limit did not stop by itself, and was dropped");
        }
    }
    Err(exceeded)
}

/// Runs a node with the context, until it ends, the run is cancelled, or the time limit of the context is exceeded.
///
/// # Errors
/// [`Error::Cancelled`], [`Error::Timeout`], or that of the node.
pub async fn within_context<C: Context, T>(
    ctx: &WorkflowCtx<C>,
    node: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let limited = async {
        match ctx.timeout() {
            limit @ Some(_) => limited_by(Limits { timeout: limit, ..Limits::default() }, node).await,
            None => guarded(node).await,
        }
    };
    tokio::select! {
        biased;
        () = ctx.cancelled() => Err(Error::Cancelled),
        done = limited => done,
    }
}

/// A node with the time limits of its workflow, around each of its attempts.
#[derive(Debug)]
pub struct LimitedNode<'a, N> {
    node: &'a N,
    rules: StepRules,
}

impl<'a, N> LimitedNode<'a, N> {
    /// A node with these limits.
    pub fn new(node: &'a N, rules: StepRules) -> Self {
        Self { node, rules }
    }

    fn limits(&self) -> Limits {
        let (step, StepRules { timeout, heartbeat, .. }) = (step(), &self.rules);
        Limits {
            timeout: *timeout,
            within: step.as_ref().and_then(|step| step.time_left()),
            heartbeat: heartbeat.zip(step.map(|step| step.heartbeats())),
        }
    }
}

#[async_trait]
impl<C: Context, N: Node<C>> Node<C> for LimitedNode<'_, N> {
    type Input = N::Input;
    type Output = N::Output;

    async fn process(&self, ctx: &C, input: N::Input) -> Result<Transition<N::Output>, Error> {
        limited_by(self.limits(), self.node.process(ctx, input)).await
    }

    fn nested(&self) -> Option<Graph> {
        self.node.nested()
    }
}
