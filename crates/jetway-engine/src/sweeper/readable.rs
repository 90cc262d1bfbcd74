//! Items that this host cannot read get no ticket from it: a host of a build that can publishes one.

use super::Sweep;
use crate::{
    backend::{BackendError, BackendErrorKind},
    inputs::load_item,
    snapshots::CachedSnapshot,
};
use jetway_core::step::AnyWorkflow;
use jetway_state::{RunKey, run::TicketFor};

impl Sweep {
    /// The tickets of the items that this host can read. Only a run that has markers of this build is looked at: another
    /// binary may have the same fingerprint and be able to read them, for example if a field has a default by now.
    pub(super) async fn readable(
        &self,
        workflow: &dyn AnyWorkflow,
        run: &RunKey,
        cached: &CachedSnapshot,
        tickets: Vec<TicketFor>,
    ) -> Result<Vec<TicketFor>, BackendError> {
        let snapshot = &cached.snapshot;
        if !snapshot.has_unreadable_by(workflow.fingerprint()) {
            return Ok(tickets);
        }
        let mut readable = Vec::new();
        for ticket in tickets {
            let can_read = match load_item(&self.snapshots, run, snapshot, &ticket.item).await {
                Ok(Some(item)) => workflow.check(&item.node, &item.input, &snapshot.context).is_ok(),
                Ok(None) => false,
                Err(error) if error.kind() == BackendErrorKind::Newer => false,
                // The attempt at the item reports it.
                Err(error) if error.kind() == BackendErrorKind::Corrupt => true,
                Err(error) => return Err(error),
            };
            readable.extend(can_read.then_some(ticket));
        }
        Ok(readable)
    }
}
