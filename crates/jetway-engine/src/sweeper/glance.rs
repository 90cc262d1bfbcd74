//! Many live runs at a glance: those that lack no ticket need no read of their own.

use super::{Checked, Sweep, asleep, schedule::PendingCheck, trouble::ends_the_sweep};
use crate::{
    backend::{BackendError, Stored, TicketIndex},
    tickets::Tickets,
};
use jetway_state::{RunKey, Timestamp, WorkflowName, run::Status};
use std::collections::HashMap;

/// The tickets of the workflows of which many runs are due.
pub(super) type Indexes = HashMap<WorkflowName, TicketIndex>;

impl Sweep {
    /// The live runs among these that lack no ticket, with what was found. A run that is not among them has to be
    /// read by itself.
    pub(super) async fn whole(
        &self,
        batch: &[(RunKey, PendingCheck)],
        indexes: &Indexes,
    ) -> Result<HashMap<RunKey, Checked>, BackendError> {
        let is_live = |(run, check): &&(RunKey, PendingCheck)| {
            check.ended.is_none() && indexes.contains_key(&run.workflow)
        };
        let checks: HashMap<&RunKey, &PendingCheck> =
            batch.iter().filter(is_live).map(|(run, check)| (run, check)).collect();
        if checks.is_empty() {
            return Ok(HashMap::new());
        }
        let runs: Vec<RunKey> = checks.keys().map(|run| (*run).clone()).collect();
        let stored = match self.backend.glance(&runs).await {
            Err(error) if ends_the_sweep(error.kind()) => return Err(error),
            // Each is read by itself.
            Err(error) => {
                tracing::debug!(%error, "sweep reads the runs one by one");
                Vec::new()
            }
            Ok(stored) => stored,
        };
        let now = self.clock.now();
        let whole = stored.into_iter().filter_map(|stored| {
            let (check, index) = (checks.get(&stored.run)?, indexes.get(&stored.run.workflow)?);
            let checked = whole(&stored, check, index, now)?;
            Some((stored.run, checked))
        });
        Ok(whole.collect())
    }
}

/// What a run is found to be, if it lacks nothing.
fn whole(stored: &Stored, check: &PendingCheck, index: &TicketIndex, now: Timestamp) -> Option<Checked> {
    let is_expected = check.revision.is_none_or(|revision| revision == stored.revision);
    if !is_expected || !check.seen.is_met_by(stored.revision) {
        return None;
    }
    // One that cannot be read is reported when it is read by itself.
    let (snapshot, _) = stored.open().ok()?;
    if !snapshot.intents.is_empty() {
        return None;
    }
    let may_lack_alarm = check.revision.is_none() && snapshot.next_due(now).is_some();
    let is_whole = match snapshot.status {
        _ if snapshot.is_overdue(now) => false,
        Status::Paused => true,
        Status::Running | Status::Cancelling => {
            !may_lack_alarm && Tickets::are_in(index, &stored.run, &snapshot, now)
        }
        Status::Completed | Status::Failed | Status::Cancelled => false,
    };
    let revision = Some(stored.revision);
    is_whole.then(|| Checked { republished: 0, revision, asleep_until: asleep(&snapshot, now) })
}
