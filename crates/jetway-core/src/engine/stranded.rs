//! Pending items that no ticket stands for.

use super::{Engine, cell::InHand};
use crate::{
    ItemId, RunKey,
    backend::BackendError,
    run::{Snapshot, TicketWanted, pending_ticket, pending_tickets},
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

    /// Looks once more at the run of items that seemed stranded, and gives those that still are. Between the reading of the
    /// run and of its tickets an item may have been committed and its ticket settled; one that is pending now had no
    /// ticket then. `None` where the run has ended or was removed.
    pub(super) async fn still_stranded(
        &self,
        run: &RunKey,
        hand: InHand,
        stranded: Vec<TicketWanted>,
    ) -> Result<Option<(InHand, Vec<TicketWanted>)>, BackendError> {
        if stranded.is_empty() {
            return Ok(Some((hand, stranded)));
        }
        let Some(hand) = self.load(run).await?.filter(|hand| !hand.snapshot.status.is_terminal()) else {
            return Ok(None);
        };
        let pending = |seen: &TicketWanted| pending_ticket(&hand.snapshot, &seen.item).as_ref() == Some(seen);
        let stranded = stranded.into_iter().filter(pending).collect();
        Ok(Some((hand, stranded)))
    }
}
