//! One attempt at a work item: runs its node with a scope, a time limit and a cancellation token.

use super::{StepScope, scope::within};
use crate::{Outcome, panics::guarded};
use jetway_state::Error;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long after its time limit a node is dropped. A generated workflow ends a node at the limit itself, so that an
/// `on_failure` edge can handle the error; this is for workflows that are written by hand.
const GRACE: Duration = Duration::from_millis(100);

/// Runs the node of an item once. A panic, an exceeded time limit and a cancellation are failed attempts.
pub(crate) async fn run_node<WI, O>(
    scope: StepScope,
    node: impl Future<Output = Outcome<WI, O>>,
) -> Outcome<WI, O> {
    jetway_state::hop!("run_node");
    let (limit, cancel) = (scope.limit(), scope.cancel_token().clone());
    let attempt = limited(limit, &cancel, async { Ok(node.await) });
    within(scope, attempt).await.unwrap_or_else(Outcome::Failed)
}

/// Polls `attempt` until it ends, exceeds `limit` or is cancelled. A panic becomes an error.
pub(crate) async fn limited<T>(
    limit: Option<Duration>,
    cancel: &CancellationToken,
    attempt: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let attempt = guarded(attempt);
    let attempt = async {
        match limit {
            Some(limit) => {
                let timed = tokio::time::timeout(limit.saturating_add(GRACE), attempt);
                timed.await.unwrap_or(Err(Error::Timeout(limit)))
            }
            None => attempt.await,
        }
    };
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
        let token = CancellationToken::new();
        let limit = Duration::from_secs(2);
        let endless = limited::<()>(Some(limit), &token, pending()).await;
        assert_eq!(endless, Err(Error::Timeout(limit)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_node_is_dropped() {
        let token = CancellationToken::new();
        token.cancel();
        assert_eq!(limited::<()>(None, &token, pending()).await, Err(Error::Cancelled));
    }

    #[tokio::test]
    async fn a_panic_is_a_failed_attempt() {
        let panics = limited::<()>(None, &CancellationToken::new(), async { panic!("no page") }).await;
        assert_eq!(panics, Err(Error::Panicked("no page".to_owned())));
    }
}
