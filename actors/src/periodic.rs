//! Runs a task periodically.

use crate::backoff;
use jetway_engine::backend::BackendError;
use jetway_state::Rounded;
use std::{convert::Infallible, time::Duration};

/// Runs `task` after `initial_delay`, then about every `period`, until this future is dropped. `sleep` may return early.
/// After an error the task runs again after a delay that doubles, up to the period.
///
/// `backon` retries one call with its own sleeper. Here `sleep` borrows and can be interrupted, so the loop is here, and
/// only the delays come from `backon`.
pub(crate) async fn run_every(
    name: &'static str,
    initial_delay: Duration,
    period: Duration,
    mut sleep: impl AsyncFnMut(Duration),
    mut task: impl AsyncFnMut() -> Result<(), BackendError>,
) -> Infallible {
    let mut delays = backoff::delays();
    sleep(initial_delay).await;
    loop {
        let delay = match task().await {
            Ok(()) => {
                delays = backoff::delays();
                backoff::jittered(period)
            }
            Err(error) => {
                let delay = backoff::next_delay(&mut delays).min(backoff::jittered(period));
                tracing::warn!(%error, delay = %Rounded(delay), "{name} failed: it runs again after the delay");
                delay
            }
        };
        sleep(delay).await;
    }
}
