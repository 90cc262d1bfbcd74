//! The periodic repairs: missing tickets, unroutable start messages and orphaned chunks.

use super::CoordinatorShared;
use crate::periodic;
use futures::{StreamExt, stream};
use jetway_engine::Sweeper;
use jetway_state::Rounded;
use std::{cell::Cell, convert::Infallible, sync::atomic::Ordering::Relaxed, time::Duration};
use tokio::time::{sleep, timeout};

/// After a loss of tickets every host sweeps at a random time within this one: the first to find a run repairs it.
const LOSS_SCAN_SPREAD: Duration = Duration::from_secs(1);

/// Sweeps about once per `period`, and soon after the backend reports that tickets may be lost.
pub(super) async fn sweep(shared: CoordinatorShared, period: Duration) -> Infallible {
    let CoordinatorShared { engine, counters, .. } = shared;
    let mut sweeper = Sweeper::default();
    // Hosts that start together sweep at different times: the first to find a run repairs it.
    let initial_delay = period.mul_f64(rand::random());
    let mut losses = engine.backend().ticket_loss_events().chain(stream::pending());
    let lost = Cell::new(None);
    let sleep_or_loss = async |delay: Duration| {
        if let Ok(Some(since)) = timeout(delay, losses.next()).await {
            tracing::info!(%since, "sweep: the nats-server may have lost tickets");
            lost.set(Some(since));
            sleep(LOSS_SCAN_SPREAD.mul_f64(rand::random())).await;
        }
    };
    periodic::run_every("sweep", initial_delay, period, sleep_or_loss, async || {
        if let Some(since) = lost.take() {
            sweeper.suspect_loss(since, engine.clock().now());
        }
        let swept = engine.sweep(&mut sweeper).await?;
        counters.sweeps.fetch_add(1, Relaxed);
        counters.runs_checked.fetch_add(swept.runs_checked, Relaxed);
        counters.republished.fetch_add(swept.republished, Relaxed);
        if swept.republished > 0 {
            tracing::info!(tickets = swept.republished, "sweep published missing tickets");
        }
        Ok(())
    })
    .await
}

/// About once per `period`, moves start messages to the dead letters whose workflow no host has served for `grace`, and
/// removes chunks that no snapshot has referred to for as long.
pub(super) async fn clean_up(shared: CoordinatorShared, period: Duration, grace: Duration) -> Infallible {
    let CoordinatorShared { engine, counters, .. } = shared;
    let initial_delay = period.mul_f64(rand::random());
    periodic::run_every("cleanup", initial_delay, period, sleep, async || {
        // Both run, even if one fails.
        let (runs, starts) = (
            engine.backend().collect_orphaned_chunks(grace).await,
            engine.backend().dead_letter_unroutable_starts(grace).await,
        );
        let runs = runs?;
        if runs > 0 {
            tracing::info!(runs, "removed orphaned chunks");
        }
        let starts = starts?;
        counters.dead_lettered.fetch_add(starts, Relaxed);
        if starts > 0 {
            tracing::warn!(
                starts,
                grace = %Rounded(grace),
                "moved start messages to the dead letters: no host serves their workflow"
            );
        }
        Ok(())
    })
    .await
}
