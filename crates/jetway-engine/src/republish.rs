//! Publishes the tickets of all runs again, after their stream was made anew.

use crate::{
    backend::{Backend, BackendError, BackendErrorKind},
    config::EngineConfig,
    fail_point::FailPoint,
    snapshots::{RunVersion, Snapshots},
    tickets::{SECOND_ATTEMPT, Tickets},
};
use jetway_state::{RunKey, Seen};
use std::{sync::Arc, time::Duration};

/// Every run was written before this much time from now.
const ALL: Duration = Duration::from_secs(24 * 3600);

/// The result of [`republish_tickets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RepublishReport {
    /// Runs that had not ended.
    pub runs: u64,
    /// Tickets that were missing, and are published again.
    pub tickets: u64,
    /// Runs of which nothing is known, since another version wrote them. Hosts of that version publish their tickets.
    pub unreadable: u64,
}

/// Publishes the missing tickets of all live runs of a namespace, of whatever workflow. Hosts may be at work meanwhile: an
/// item that a worker is running without a ticket runs again, and is committed once.
///
/// # Errors
/// The backend does not answer.
pub async fn republish_tickets(backend: Arc<dyn Backend>) -> Result<RepublishReport, BackendError> {
    let clock = backend.clock();
    let snapshots = Arc::new(Snapshots::new(Arc::clone(&backend), &EngineConfig::default()));
    let tickets = Tickets::new(Arc::clone(&backend), Arc::clone(&snapshots), Arc::clone(&clock));
    let (mut report, mut scanned) = (RepublishReport::default(), 0);
    loop {
        let (runs, next) = backend.stale(scanned, clock.now().after(ALL)).await?;
        for run in runs.iter().filter(|run| !run.ended) {
            report.runs += 1;
            let seen = Seen::new(run.revision, snapshots.store_id());
            match republish(&snapshots, &tickets, &run.run, seen).await {
                Ok(published) => report.tickets += published,
                Err(error) if is_unreadable(&error) => {
                    tracing::warn!(run = %run.run, %error, "cannot publish the tickets of a run");
                    report.unreadable += 1;
                }
                Err(error) => return Err(error),
            }
        }
        if next == scanned {
            return Ok(report);
        }
        scanned = next;
    }
}

fn is_unreadable(error: &BackendError) -> bool {
    matches!(error.kind(), BackendErrorKind::Newer | BackendErrorKind::Corrupt)
}

async fn republish(
    snapshots: &Snapshots,
    tickets: &Tickets,
    run: &RunKey,
    seen: Seen,
) -> Result<u64, BackendError> {
    let Some((cached, build)) = snapshots.read(run, seen).await? else { return Ok(0) };
    if !cached.snapshot.status.is_active() {
        return Ok(0);
    }
    let Some((cached, missing)) = tickets.missing(run, cached, tickets.now()).await? else { return Ok(0) };
    let published = missing.len() as u64;
    let version = RunVersion { run, build, cached: &cached };
    tickets.publish(FailPoint::SweepPublished, version, missing, SECOND_ATTEMPT).await?;
    tickets.arm(version, cached.snapshot.updated_at).await?;
    Ok(published)
}
