//! Retries of calls to a backend that does not answer or is full, while the ticket is held.
//!
//! A ticket that is abandoned is delivered again, and each delivery counts as an attempt that was lost with its worker. A
//! bucket without a quorum would then fail runs whose nodes never ran. So the worker keeps the ticket and its slot, and
//! takes in no more work than it has slots for.

use crate::backend::{BackendError, BackendErrorKind};
use backon::{BackoffBuilder, ExponentialBuilder};
use jetway_state::{Rounded, RunKey};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How long to retry while the backend does not answer. A ticket is delivered many times, so this adds up to hours.
const MAX_UNAVAILABLE: Duration = Duration::from_secs(600);

/// How long to retry while a server answers that is behind. It catches up, or steps down, within seconds. A ticket may also be
/// forged, with a revision that was never written: it goes back to the queue, and takes no slot meanwhile.
const MAX_BEHIND: Duration = Duration::from_secs(5);

/// The longest delay between two tries, before jitter is added.
const MAX_DELAY: Duration = Duration::from_secs(16);

/// Whether to retry after an error. A full backend has no time limit: an operator has to make room, which may take a night.
fn is_retried(error: &BackendError, started: Instant) -> bool {
    match error.kind() {
        BackendErrorKind::Behind => started.elapsed() < MAX_BEHIND,
        BackendErrorKind::Unavailable => started.elapsed() < MAX_UNAVAILABLE,
        BackendErrorKind::NoRoom => true,
        _ => false,
    }
}

/// Retries `call` while the backend does not answer, for ten minutes, and while it is full. Ends with the last error when
/// `cancel` is cancelled.
pub(crate) async fn retry_while_unavailable<T, F>(
    run: &RunKey,
    cancel: &CancellationToken,
    mut call: impl FnMut() -> F,
) -> Result<T, BackendError>
where
    F: Future<Output = Result<T, BackendError>>,
{
    let started = Instant::now();
    let mut delays = None;
    loop {
        match call().await {
            Err(error) if is_retried(&error, started) => {
                let delay = delays.get_or_insert_with(|| backoff().build()).next().unwrap_or(MAX_DELAY);
                tracing::warn!(%run, %error, delay = %Rounded(delay), "backend unavailable or full: retrying");
                if cancel.run_until_cancelled(sleep(delay)).await.is_none() {
                    return Err(error);
                }
            }
            outcome => return outcome,
        }
    }
}

fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(125))
        .with_max_delay(MAX_DELAY)
        .with_jitter()
        .without_max_times()
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
    async fn a_call_is_retried_while_the_backend_is_unavailable() {
        let calls = Cell::new(0);
        let call = || {
            calls.set(calls.get() + 1);
            let outcome = if calls.get() < 10 { failure(BackendErrorKind::Unavailable) } else { Ok(7) };
            async { outcome }
        };
        assert_eq!(retry_while_unavailable(&run(), &CancellationToken::new(), call).await.unwrap(), 7);
        assert_eq!(calls.get(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_backend_is_retried_until_the_worker_stops() {
        let started = Instant::now();
        let cancel = CancellationToken::new();
        let calls = Cell::new(0);
        let full = || {
            calls.set(calls.get() + 1);
            if started.elapsed() > MAX_UNAVAILABLE * 3 {
                cancel.cancel();
            }
            async { failure(BackendErrorKind::NoRoom) }
        };
        let error = retry_while_unavailable(&run(), &cancel, full).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::NoRoom);
        assert!(started.elapsed() > MAX_UNAVAILABLE * 3 && calls.get() > 60, "{} calls", calls.get());
    }

    #[tokio::test(start_paused = true)]
    async fn h4_a_server_that_is_behind_holds_a_ticket_for_seconds() {
        let started = Instant::now();
        let behind = || async { failure(BackendErrorKind::Behind) };
        let error = retry_while_unavailable(&run(), &CancellationToken::new(), behind).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Behind);
        let elapsed = started.elapsed();
        assert!((MAX_BEHIND..MAX_BEHIND * 3).contains(&elapsed), "{elapsed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn retries_end_after_ten_minutes_or_on_cancellation() {
        let started = Instant::now();
        let unavailable = || async { failure(BackendErrorKind::Unavailable) };
        let error =
            retry_while_unavailable(&run(), &CancellationToken::new(), unavailable).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Unavailable);
        let elapsed = started.elapsed();
        assert!((MAX_UNAVAILABLE..MAX_UNAVAILABLE * 2).contains(&elapsed), "{elapsed:?}");
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        let started = Instant::now();
        assert!(retry_while_unavailable(&run(), &cancelled, unavailable).await.is_err());
        let corrupt = || async { failure(BackendErrorKind::Corrupt) };
        assert!(retry_while_unavailable(&run(), &CancellationToken::new(), corrupt).await.is_err());
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
