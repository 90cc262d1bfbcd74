//! Repeats a request while hosts are busy or do not answer.

use super::connection::{FIRST_PAUSE, LONGEST_PAUSE};
use backon::{ExponentialBuilder, Retryable};
use jetway_engine::backend::ApiError;
use jetway_nats::{BUSY, NO_ANSWER};
use jetway_state::Rounded;
use std::{
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// How long a request is repeated while hosts are busy or do not answer, and how long it takes at most.
const RETRY_LIMIT: Duration = Duration::from_secs(30);

/// Asks until there is an answer, for [`RETRY_LIMIT`] in all. The error says how long that was: the last request may have had a part of
/// its time alone.
pub(super) async fn until_answered<A, F>(ask: impl FnMut() -> F) -> Result<A, ApiError>
where
    F: Future<Output = Result<A, ApiError>>,
{
    let (begun, last) = (Instant::now(), AtomicU16::new(NO_ANSWER));
    let backoff = ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times();
    let may_succeed = |error: &ApiError| [BUSY, NO_ANSWER].contains(&error.code);
    let note = |error: &ApiError, _pause: Duration| last.store(error.code, Ordering::Relaxed);
    let repeated = ask.retry(backoff).when(may_succeed).notify(note);
    let answer = timeout_at(begun + RETRY_LIMIT, repeated).await;
    answer.unwrap_or_else(|_elapsed| {
        let (code, waited) = (last.load(Ordering::Relaxed), Rounded(begun.elapsed()));
        Err(match code {
            BUSY => ApiError::new(code, format!("the hosts were busy for {waited}: try again")),
            _ => ApiError::new(code, format!("no host answered within {waited}: try again")),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::time::timeout;

    async fn unanswered(code: u16, within: Duration) -> Result<(), ApiError> {
        timeout(within, pending()).await.unwrap_or_else(|_| Err(ApiError::new(code, "no answer within 10s")))
    }

    #[tokio::test(start_paused = true)]
    async fn an_unanswered_request_says_how_long_it_has_waited() {
        for (code, within, said) in [
            (NO_ANSWER, 10_000, "no host answered within 30.0 s: try again"),
            (NO_ANSWER, 29_000, "no host answered within 30.0 s: try again"),
            (NO_ANSWER, 60_000, "no host answered within 30.0 s: try again"),
            (BUSY, 1, "the hosts were busy for 30.0 s: try again"),
        ] {
            let begun = Instant::now();
            let ask = || unanswered(code, Duration::from_millis(within));
            let error = until_answered(ask).await.unwrap_err();
            assert_eq!((error.code, error.message.as_str()), (code, said));
            let waited = begun.elapsed();
            assert!((RETRY_LIMIT..RETRY_LIMIT + Duration::from_millis(50)).contains(&waited), "{waited:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_ends_it() {
        let begun = Instant::now();
        let refused =
            until_answered(|| async { Err::<(), _>(ApiError::new(409, "in use")) }).await.unwrap_err();
        assert_eq!((refused.code, refused.message.as_str()), (409, "in use"));
        let asked = AtomicU16::new(0);
        let second = || async {
            match asked.fetch_add(1, Ordering::Relaxed) {
                0 => unanswered(NO_ANSWER, Duration::from_secs(10)).await,
                _ => Ok(()),
            }
        };
        assert_eq!(until_answered(second).await, Ok(()));
        assert!(begun.elapsed() < Duration::from_secs(11), "{:?}", begun.elapsed());
    }
}
