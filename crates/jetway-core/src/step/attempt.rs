//! One attempt at a work item: runs its node with a scope and a time limit.

use super::{StepScope, limits::GRACE, scope::within};
use crate::{Outcome, panics::guarded};
use jetway_state::Error;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long after its time limit a node is dropped. A generated workflow stops a node at the limit itself, so that an
/// `on_failure` edge can handle the error; this is for workflows that are written by hand.
const LAST_GRACE: Duration = GRACE.saturating_mul(2);

/// Runs the node of an item once. A panic and an exceeded time limit are failed attempts. A cancellation is up to the node:
/// it sees the token of its scope.
pub(crate) async fn run_node<WI, O>(
    scope: StepScope,
    node: impl Future<Output = Outcome<WI, O>>,
) -> Outcome<WI, O> {
    jetway_state::hop!("run_node");
    let attempt = limited(scope.limit(), async { Ok(node.await) });
    within(scope, attempt).await.unwrap_or_else(Outcome::Failed)
}

/// Polls `attempt` until it ends or exceeds `limit`. A panic becomes an error.
pub(crate) async fn limited<T>(
    limit: Option<Duration>,
    attempt: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let attempt = guarded(attempt);
    match limit {
        Some(limit) => {
            let timed = tokio::time::timeout(limit.saturating_add(LAST_GRACE), attempt);
            timed.await.unwrap_or(Err(Error::Timeout(limit)))
        }
        None => attempt.await,
    }
}

/// Polls `attempt` until it ends, or drops it when `cancel` is cancelled: for workers that must not wait for a node.
pub(crate) async fn until_cancelled<T>(
    cancel: &CancellationToken,
    attempt: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::Cancelled),
        result = attempt => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn a_node_that_exceeds_its_limit_is_dropped() {
        let limit = Duration::from_secs(2);
        let endless = limited::<()>(Some(limit), pending()).await;
        assert_eq!(endless, Err(Error::Timeout(limit)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_node_is_dropped() {
        let token = CancellationToken::new();
        token.cancel();
        assert_eq!(until_cancelled::<()>(&token, pending()).await, Err(Error::Cancelled));
    }

    #[tokio::test]
    async fn a_panic_is_a_failed_attempt() {
        let panics = limited::<()>(None, async { panic!("no page") }).await;
        assert_eq!(panics, Err(Error::Panicked("no page".to_owned())));
    }
}
