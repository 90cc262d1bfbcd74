//! Many live runs at a glance: those that lack no ticket need no read of their own.

use super::{Sweep, schedule::PendingCheck, trouble::ends_the_sweep};
use crate::{
    backend::{BackendError, Stored, TicketIndex},
    tickets::Tickets,
};
use jetway_state::{RunKey, WorkflowName, run::Status};
use std::collections::HashMap;

/// The tickets of the workflows of which many runs are due.
pub(super) type Indexes = HashMap<WorkflowName, TicketIndex>;

impl Sweep {
    /// The live runs among these that lack no ticket, with the revisions that say so. A run that is not among them has to be
    /// read by itself.
    pub(super) async fn whole(
        &self,
        batch: &[(RunKey, PendingCheck)],
        indexes: &Indexes,
    ) -> Result<HashMap<RunKey, u64>, BackendError> {
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
        let whole = stored.into_iter().filter(|stored| {
            let (check, index) = (checks.get(&stored.run), indexes.get(&stored.run.workflow));
            check.zip(index).is_some_and(|(check, index)| is_whole(stored, check, index))
        });
        Ok(whole.map(|stored| (stored.run, stored.revision)).collect())
    }
}

fn is_whole(stored: &Stored, check: &PendingCheck, index: &TicketIndex) -> bool {
    let is_expected = check.revision.is_none_or(|revision| revision == stored.revision);
    if !is_expected || !check.seen.is_met_by(stored.revision) {
        return false;
    }
    // One that cannot be read is reported when it is read by itself.
    stored.open().is_ok_and(|(snapshot, _)| {
        !snapshot.status.is_terminal()
            && (snapshot.status == Status::Paused || Tickets::are_in(index, &stored.run, &snapshot))
    })
}
