//! Waiting for a backend that is out of reach or full, with the ticket in cached.
//!
//! A ticket that is left to its lease is delivered again, and each delivery counts as an attempt that was lost with its
//! worker: a bucket without a quorum would fail runs whose nodes never ran. So the ticket is held, and its slot with it,
//! so that no more work is taken in than there is room for.

use crate::backend::{BackendError, BackendErrorKind};
use jetway_state::RunKey;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How long a ticket is held for a backend that does not answer. The deliveries that a ticket has, one after the other, come
/// to hours.
const LONGEST: Duration = Duration::from_secs(600);

/// Whether to wait a failure out. Where there is no room somebody has to make some, which may take a night: that has no end
/// but the worker's.
fn is_to_be_waited_out(error: &BackendError, began: Instant) -> bool {
    match error.kind() {
        BackendErrorKind::Unavailable => began.elapsed() < LONGEST,
        BackendErrorKind::NoRoom => true,
        _ => false,
    }
}

/// Does something again until the backend can be reached, for ten minutes, and until it has room; in both cases no longer
/// than until the worker is to stop.
pub(super) async fn retry_while_unavailable<T, F>(
    run: &RunKey,
    cancel: &CancellationToken,
    mut act: impl FnMut() -> F,
) -> Result<T, BackendError>
where
    F: Future<Output = Result<T, BackendError>>,
{
    let began = Instant::now();
    let mut pauses = 0;
    loop {
        match act().await {
            Err(error) if is_to_be_waited_out(&error, began) => {
                tracing::warn!(%run, %error, "a step waits for the backend");
                if cancel.run_until_cancelled(sleep(pause(pauses))).await.is_none() {
                    return Err(error);
                }
                pauses += 1;
            }
            outcome => return outcome,
        }
    }
}

/// How long to wait between two tries, beyond the time that the backend itself has waited: up to half a minute, and a half
/// of it by chance.
fn pause(pauses: u32) -> Duration {
    let most = Duration::from_millis(250 << pauses.min(7));
    most.mul_f64(rand::random_range(0.5..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetway_state::{RunId, WorkflowName};
    use std::cell::Cell;

    fn run() -> RunKey {
        RunKey::new(WorkflowName::new("w").unwrap(), RunId::new("r").unwrap())
    }

    fn failure(kind: BackendErrorKind) -> Result<u32, BackendError> {
        Err(BackendError::new(kind, "no"))
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_out_of_reach_is_tried_again() {
        let calls = Cell::new(0);
        let act = || {
            calls.set(calls.get() + 1);
            let outcome = if calls.get() < 10 { failure(BackendErrorKind::Unavailable) } else { Ok(7) };
            async { outcome }
        };
        assert_eq!(retry_while_unavailable(&run(), &CancellationToken::new(), act).await.unwrap(), 7);
        assert_eq!(calls.get(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn room_is_waited_for_until_the_worker_stops() {
        let began = Instant::now();
        let cancel = CancellationToken::new();
        let calls = Cell::new(0);
        let full = || {
            calls.set(calls.get() + 1);
            if began.elapsed() > LONGEST * 3 {
                cancel.cancel();
            }
            async { failure(BackendErrorKind::NoRoom) }
        };
        let error = retry_while_unavailable(&run(), &cancel, full).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::NoRoom);
        assert!(began.elapsed() > LONGEST * 3 && calls.get() > 60, "{} calls", calls.get());
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let began = Instant::now();
        let away = || async { failure(BackendErrorKind::Unavailable) };
        let error = retry_while_unavailable(&run(), &CancellationToken::new(), away).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Unavailable);
        assert!((LONGEST..LONGEST * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        let began = Instant::now();
        assert!(retry_while_unavailable(&run(), &cancelled, away).await.is_err());
        assert!(
            retry_while_unavailable(&run(), &CancellationToken::new(), || async {
                failure(BackendErrorKind::Corrupt)
            })
            .await
            .is_err()
        );
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
