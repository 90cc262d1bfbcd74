//! Does something again and again.

use crate::backoff;
use jetway_engine::backend::BackendError;
use std::{convert::Infallible, time::Duration};

/// Does `duty` after `first`, and again about every `period`, until it is dropped; `pause` waits, and may end before its
/// time. After an error it is done again after a pause that doubles, up to the period.
pub(crate) async fn every(
    what: &'static str,
    first: Duration,
    period: Duration,
    mut pause: impl AsyncFnMut(Duration),
    mut duty: impl AsyncFnMut() -> Result<(), BackendError>,
) -> Infallible {
    let mut pauses = backoff::pauses();
    pause(first).await;
    loop {
        let rest = match duty().await {
            Ok(()) => {
                pauses = backoff::pauses();
                backoff::around(period)
            }
            Err(error) => {
                let rest = backoff::next(&mut pauses).min(backoff::around(period));
                tracing::warn!(%error, pause = ?rest, "{what} failed: it is done again");
                rest
            }
        };
        pause(rest).await;
    }
}
