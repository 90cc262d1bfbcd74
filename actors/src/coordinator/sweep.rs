//! The duties that mend: runs whose tickets were lost, and start messages that nobody can start.

use super::CoordinatorShared;
use crate::periodic;
use futures::{StreamExt, stream};
use jetway_engine::Sweeper;
use std::{cell::Cell, convert::Infallible, sync::atomic::Ordering::Relaxed, time::Duration};
use tokio::time::{sleep, timeout};

/// After a loss every host looks for what was lost, within this time of each other: the first one to find a run mends it.
const LOSS_SCAN_SPREAD: Duration = Duration::from_secs(1);

/// Sweeps about every `every`, and soon after tickets may have been lost.
pub(super) async fn sweep(shared: CoordinatorShared, every: Duration) -> Infallible {
    let CoordinatorShared { engine, counters, .. } = shared;
    let mut sweeper = Sweeper::default();
    // Hosts that start together sweep at different times: the first one to find a run mends it.
    let first = every.mul_f64(rand::random());
    let mut losses = engine.backend().ticket_loss_events().chain(stream::pending());
    let lost = Cell::new(None);
    let pause = async |pause: Duration| {
        if let Ok(Some(since)) = timeout(pause, losses.next()).await {
            tracing::info!(%since, "looking for tickets that the nats-server may have lost");
            lost.set(Some(since));
            sleep(LOSS_SCAN_SPREAD.mul_f64(rand::random())).await;
        }
    };
    periodic::run_every("the sweep", first, every, pause, async || {
        if let Some(since) = lost.take() {
            sweeper.suspect_loss(since, engine.clock().now());
        }
        let swept = engine.sweep(&mut sweeper).await?;
        counters.sweeps.fetch_add(1, Relaxed);
        counters.runs_checked.fetch_add(swept.looked_at, Relaxed);
        counters.republished.fetch_add(swept.republished, Relaxed);
        if swept.republished > 0 {
            tracing::info!(mended = swept.republished, "items have their tickets again");
        }
        Ok(())
    })
    .await
}

/// Moves start messages of workflows that no host has known for `grace` to the dead letters, and removes chunks that
/// nobody has named for as long, about every `every`.
pub(super) async fn clean_up(shared: CoordinatorShared, every: Duration, grace: Duration) -> Infallible {
    let CoordinatorShared { engine, counters, .. } = shared;
    let first = every.mul_f64(rand::random());
    periodic::run_every("expelling unknown starts", first, every, sleep, async || {
        // The one is to be done also where the other fails.
        let (runs, expelled) = (
            engine.backend().collect_orphaned_chunks(grace).await,
            engine.backend().dead_letter_unroutable_starts(grace).await,
        );
        let runs = runs?;
        if runs > 0 {
            tracing::info!(runs, "chunks that belonged to nobody are gone");
        }
        let expelled = expelled?;
        counters.dead_lettered.fetch_add(expelled, Relaxed);
        if expelled > 0 {
            tracing::warn!(
                expelled,
                ?grace,
                "start messages of unknown workflows are among the dead letters now"
            );
        }
        Ok(())
    })
    .await
}
