//! Pending items that no ticket stands for.

use super::Engine;
use crate::{
    ItemId, RunKey,
    backend::BackendError,
    run::{Snapshot, TicketWanted, pending_tickets},
};

impl Engine {
    /// The pending items of a run that have no ticket, and whose step before them was committed under a ticket that is
    /// settled. An item that waits for a child run has none on purpose. `settled`: a ticket that is there, and is about
    /// to be settled.
    pub(super) async fn stranded(
        &self,
        run: &RunKey,
        snapshot: &Snapshot,
        settled: Option<&ItemId>,
    ) -> Result<Vec<TicketWanted>, BackendError> {
        let live = self.backend.live(run).await?;
        let lives = |item: &ItemId| live.contains(item) && settled != Some(item);
        let mut stranded = Vec::new();
        for ticket in pending_tickets(snapshot) {
            if lives(&ticket.item) || lives(&ticket.via) {
                continue;
            }
            let waits = match snapshot.children.get(&ticket.item) {
                Some(child) if !snapshot.unstarted.contains(&ticket.item) => {
                    self.child_end(child).await?.is_none()
                }
                _ => false,
            };
            if !waits {
                stranded.push(ticket);
            }
        }
        Ok(stranded)
    }
}
