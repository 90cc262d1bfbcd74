//! Pending items that no ticket stands for.

use super::{Engine, run_cache::CachedSnapshot};
use crate::backend::BackendError;
use jetway_state::{
    ItemId, RunKey,
    run::{Snapshot, TicketFor, TicketWanted, pending_ticket, pending_tickets},
};

impl Engine {
    /// The pending items of a run that have no ticket, and whose step before them was committed under a ticket that is
    /// settled. An item that waits for a child run has none on purpose. `settled`: a ticket that is there, and is about
    /// to be settled.
    pub(super) async fn items_without_ticket(
        &self,
        run: &RunKey,
        snapshot: &Snapshot,
        settled: Option<&ItemId>,
    ) -> Result<Vec<TicketWanted>, BackendError> {
        let live = self.backend.items_with_tickets(run).await?;
        let lives = |item: &ItemId| live.contains(item) && settled != Some(item);
        let mut missing = Vec::new();
        for ticket in pending_tickets(snapshot) {
            if lives(&ticket.item) || lives(&ticket.ticket_item) {
                continue;
            }
            let waits = match snapshot.children.get(&ticket.item) {
                Some(child) if !snapshot.unstarted.contains(&ticket.item) => {
                    self.child_end(child).await?.is_none()
                }
                _ => false,
            };
            if !waits {
                missing.push(ticket);
            }
        }
        Ok(missing)
    }

    /// The tickets that the missing items of a run want. Looks at the run once more: between the reading of the run and of
    /// its tickets an item may have been committed and its ticket settled; one that is pending still had none. `None` where
    /// the run has ended or was removed.
    pub(super) async fn missing_tickets(
        &self,
        run: &RunKey,
        cached: CachedSnapshot,
    ) -> Result<Option<(CachedSnapshot, Vec<TicketFor>)>, BackendError> {
        let missing = self.items_without_ticket(run, &cached.snapshot, None).await?;
        if missing.is_empty() {
            return Ok(Some((cached, Vec::new())));
        }
        let Some(cached) = self.load(run).await?.filter(|cached| !cached.snapshot.status.is_terminal())
        else {
            return Ok(None);
        };
        let pending =
            |seen: &TicketWanted| pending_ticket(&cached.snapshot, &seen.item).as_ref() == Some(seen);
        let missing = missing.into_iter().filter(pending).collect();
        let tickets = self.resolve_nodes(run, &cached.snapshot, missing).await?;
        Ok(Some((cached, tickets)))
    }
}
