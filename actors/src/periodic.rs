//! Does something again and again.

use crate::backoff;
use jetway_core::backend::BackendError;
use std::{convert::Infallible, time::Duration};
use tokio::time::sleep;

/// Does `duty` after `first`, and again about every `period`, until it is dropped. After an error it is done again
/// after a pause that doubles, up to the period.
pub(crate) async fn every(
    what: &'static str,
    first: Duration,
    period: Duration,
    mut duty: impl AsyncFnMut() -> Result<(), BackendError>,
) -> Infallible {
    let mut pauses = backoff::pauses();
    sleep(first).await;
    loop {
        let pause = match duty().await {
            Ok(()) => {
                pauses = backoff::pauses();
                backoff::around(period)
            }
            Err(error) => {
                let pause = backoff::next(&mut pauses).min(backoff::around(period));
                tracing::warn!(%error, ?pause, "{what} failed: it is done again");
                pause
            }
        };
        sleep(pause).await;
    }
}
