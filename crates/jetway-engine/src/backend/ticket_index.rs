//! Which items of a workflow have a ticket.

use jetway_state::{Incarnation, ItemId, RunId};
use std::collections::HashMap;

/// The items that have a ticket, of all runs of a workflow: read at once, for a sweep over many runs.
#[derive(Debug, Clone, Default)]
pub struct TicketIndex(HashMap<RunId, Vec<(ItemId, String)>>);

impl TicketIndex {
    /// Adds a ticket, with its [activation](super::Ticket::activation).
    pub fn add(&mut self, run: RunId, item: ItemId, activation: String) {
        self.0.entry(run).or_default().push((item, activation));
    }

    /// Whether an item of one incarnation of a run has a ticket.
    pub fn has(&self, run: &RunId, incarnation: Incarnation, item: &ItemId) -> bool {
        let short = incarnation.short();
        let mut tickets = self.0.get(run).into_iter().flatten();
        tickets.any(|(of, activation)| of == item && activation.starts_with(&short))
    }
}
