//! One attempt at a work item: the node runs under its scope, its time limit and its cancellation token.

use super::{StepScope, scope::within};
use crate::{Outcome, panics::guarded};
use jetway_state::Error;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How much later than its limit a node is dropped that has not ended by itself. A generated workflow keeps the limit of
/// each node, so that a fallback can handle it; one that is written by hand need not.
const GRACE: Duration = Duration::from_millis(100);

/// Runs the node of an item once. A panic, an exceeded limit and a cancellation are failed attempts.
pub(crate) async fn run_node<WI, O>(
    scope: StepScope,
    node: impl Future<Output = Outcome<WI, O>>,
) -> Outcome<WI, O> {
    let (limit, cancel) = (scope.limit(), scope.cancel_token().clone());
    let attempt = limited(limit, &cancel, async { Ok(node.await) });
    within(scope, attempt).await.unwrap_or_else(Outcome::Failed)
}

/// Runs code of the user until it ends, exceeds `limit` or is cancelled.
pub(crate) async fn limited<T>(
    limit: Option<Duration>,
    cancel: &CancellationToken,
    attempt: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let attempt = guarded(attempt);
    let timed = async {
        match limit {
            Some(limit) => {
                let dropped = tokio::time::timeout(limit.saturating_add(GRACE), attempt);
                dropped.await.unwrap_or(Err(Error::Timeout(limit)))
            }
            None => attempt.await,
        }
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::Cancelled),
        done = timed => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn a_node_that_keeps_no_limit_is_dropped() {
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
