//! Does something again and again.

use crate::backoff;
use jetway_engine::backend::BackendError;
use std::{convert::Infallible, time::Duration};

/// Does `duty` after `first`, and again about every `period`, until it is dropped; `pause` waits, and may end before its
/// time. After an error it is done again after a pause that doubles, up to the period.
pub(crate) async fn run_every(
    what: &'static str,
    first: Duration,
    period: Duration,
    mut pause: impl AsyncFnMut(Duration),
    mut duty: impl AsyncFnMut() -> Result<(), BackendError>,
) -> Infallible {
    let mut pauses = backoff::delays();
    pause(first).await;
    loop {
        let rest = match duty().await {
            Ok(()) => {
                pauses = backoff::delays();
                backoff::jittered(period)
            }
            Err(error) => {
                let rest = backoff::next_delay(&mut pauses).min(backoff::jittered(period));
                tracing::warn!(%error, pause = ?rest, "{what} failed: it is done again");
                rest
            }
        };
        pause(rest).await;
    }
}
