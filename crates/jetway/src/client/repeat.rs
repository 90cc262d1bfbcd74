//! Repeats a request while hosts are busy or do not answer.
//!
//! A host that does not answer may do later what it was asked for. A request that is sent again has to be the same one for it, so the
//! error names the id to send it with.

use super::{
    ClientError,
    connection::{FIRST_PAUSE, LONGEST_PAUSE},
};
use backon::{ExponentialBuilder, Retryable};
use jetway_engine::backend::{ApiError, BackendError, BackendErrorKind};
use jetway_nats::{BUSY, NO_ANSWER};
use jetway_state::{Rounded, RunKey};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// How long a request is repeated while hosts are busy or do not answer, and how long it takes at most.
const RETRY_LIMIT: Duration = Duration::from_secs(30);

/// The code of a request that a host, or the server, could not process now.
const UNAVAILABLE: u16 = 503;

/// Asks until there is an answer, for [`RETRY_LIMIT`] in all. The error says how long that was, as the last request may have had a part of
/// its time alone, and, if the request may still be carried out, how to send it `again`.
pub(super) async fn until_answered<A, F>(
    ask: impl FnMut() -> F,
    again: impl FnOnce() -> String,
) -> Result<A, ApiError>
where
    F: Future<Output = Result<A, ApiError>>,
{
    let (begun, was_busy, unanswered) = (Instant::now(), AtomicBool::new(false), AtomicBool::new(false));
    let backoff = ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times();
    let may_succeed = |error: &ApiError| {
        was_busy.fetch_or(error.code == BUSY, Ordering::Relaxed);
        unanswered.fetch_or([NO_ANSWER, UNAVAILABLE].contains(&error.code), Ordering::Relaxed);
        [BUSY, NO_ANSWER].contains(&error.code)
    };
    let repeated = ask.retry(backoff).when(may_succeed);
    let answer = timeout_at(begun + RETRY_LIMIT, repeated).await;
    let (was_busy, unanswered) = (was_busy.into_inner(), unanswered.into_inner());
    let waited = Rounded(begun.elapsed());
    answer
        .unwrap_or_else(|_elapsed| {
            Err(match was_busy && !unanswered {
                true => ApiError::new(BUSY, format!("the hosts were busy for {waited}: try again")),
                false => ApiError::new(NO_ANSWER, format!("no host answered within {waited}")),
            })
        })
        .map_err(|ApiError { code, message }| match unanswered || code == NO_ANSWER {
            true => ApiError::new(code, format!("{message}; {}", again())),
            false => ApiError::new(code, message),
        })
}

/// The error of a message that may have been stored, although the server did not say so.
pub(super) fn perhaps_stored(error: BackendError, again: impl FnOnce() -> String) -> ClientError {
    match error.kind() {
        BackendErrorKind::Unavailable => {
            ClientError::Unavailable { message: format!("{error}; {}", again()) }
        }
        _ => error.into(),
    }
}

/// How to send a signal again.
pub(super) fn signal_again(name: &str, id: &str) -> String {
    format!("signal {name} may still be applied: to send it again as the same signal, give it the id {id}")
}

/// How to start a run again.
pub(super) fn start_again(run: &RunKey) -> String {
    format!("the run may still be started: to start it again as the same run, give it the id {}", run.run_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::pending, sync::atomic::AtomicU16};
    use tokio::time::timeout;

    async fn unanswered(code: u16, within: Duration) -> Result<(), ApiError> {
        timeout(within, pending()).await.unwrap_or_else(|_| Err(ApiError::new(code, "no answer within 10s")))
    }

    fn again() -> String {
        signal_again("approval", "jetway-7")
    }

    #[tokio::test(start_paused = true)]
    async fn w42_what_may_still_be_applied_is_sent_again_with_its_id() {
        for codes in [&[NO_ANSWER, 502][..], &[UNAVAILABLE]] {
            let mut codes = codes.iter().copied();
            let ask = || {
                let code = codes.next().unwrap_or(404);
                async move { Err::<(), _>(ApiError::new(code, "cannot")) }
            };
            let error = until_answered(ask, again).await.unwrap_err().message;
            assert!(error.starts_with("cannot; ") && error.ends_with(" the id jetway-7"), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_unanswered_request_says_how_long_it_has_waited() {
        let unanswered_for = "no host answered within 30.0 s; signal approval may still be applied: \
            to send it again as the same signal, give it the id jetway-7";
        for (code, within, said) in [
            (NO_ANSWER, 10_000, unanswered_for),
            (NO_ANSWER, 29_000, unanswered_for),
            (NO_ANSWER, 60_000, unanswered_for),
            (BUSY, 1, "the hosts were busy for 30.0 s: try again"),
        ] {
            let begun = Instant::now();
            let ask = || unanswered(code, Duration::from_millis(within));
            let error = until_answered(ask, again).await.unwrap_err();
            assert_eq!((error.code, error.message.as_str()), (code, said));
            let waited = begun.elapsed();
            assert!((RETRY_LIMIT..RETRY_LIMIT + Duration::from_millis(50)).contains(&waited), "{waited:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_ends_it() {
        let begun = Instant::now();
        let refused =
            until_answered(|| async { Err::<(), _>(ApiError::new(409, "in use")) }, again).await.unwrap_err();
        assert_eq!((refused.code, refused.message.as_str()), (409, "in use"));
        let asked = AtomicU16::new(0);
        let second = || async {
            match asked.fetch_add(1, Ordering::Relaxed) {
                0 => unanswered(NO_ANSWER, Duration::from_secs(10)).await,
                _ => Ok(()),
            }
        };
        assert_eq!(until_answered(second, again).await, Ok(()));
        assert!(begun.elapsed() < Duration::from_secs(11), "{:?}", begun.elapsed());
    }
}
