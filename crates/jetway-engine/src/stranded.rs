//! Pending items that no ticket stands for.

use super::{Engine, cell::InHand};
use crate::backend::BackendError;
use jetway_state::{
    ItemId, RunKey,
    run::{Snapshot, TicketFor, TicketWanted, pending_ticket, pending_tickets},
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

    /// The tickets that the stranded items of a run want. Looks at the run once more: between the reading of the run and of
    /// its tickets an item may have been committed and its ticket settled; one that is pending still had none. `None` where
    /// the run has ended or was removed.
    pub(super) async fn lost_tickets(
        &self,
        run: &RunKey,
        hand: InHand,
    ) -> Result<Option<(InHand, Vec<TicketFor>)>, BackendError> {
        let stranded = self.stranded(run, &hand.snapshot, None).await?;
        if stranded.is_empty() {
            return Ok(Some((hand, Vec::new())));
        }
        let Some(hand) = self.load(run).await?.filter(|hand| !hand.snapshot.status.is_terminal()) else {
            return Ok(None);
        };
        let pending = |seen: &TicketWanted| pending_ticket(&hand.snapshot, &seen.item).as_ref() == Some(seen);
        let stranded = stranded.into_iter().filter(pending).collect();
        let tickets = self.named(run, &hand.snapshot, stranded).await?;
        Ok(Some((hand, tickets)))
    }
}
