//! Letting items into the nodes that take only so many at a time.

use super::Step;
use crate::{
    ItemId,
    run::{effect::TicketFor, snapshot::Snapshot},
};
use std::collections::BTreeSet;

impl Step<'_> {
    /// Gives free places to items that wait for one, in the order of their positions, and tickets with them.
    pub(super) fn admit(&mut self) {
        if self.snapshot.status.is_terminal() {
            return;
        }
        for node in waited_for(self.snapshot) {
            let mut free = match self.graph.node(&node).and_then(|known| known.at_most) {
                Some(at_most) => (at_most as usize).saturating_sub(in_flight(self.snapshot, &node)),
                // An older build had a bound here, or had this node: nothing but this would ever let its items in.
                None => usize::MAX,
            };
            while free > 0 {
                let Some(item) = admit_one(self.snapshot, &node, &self.finished.ticket_item) else { break };
                self.tickets.push(TicketFor { item, node: node.clone() });
                free -= 1;
            }
        }
    }
}

/// The nodes that items wait for a place at.
fn waited_for(snapshot: &Snapshot) -> BTreeSet<String> {
    let items = snapshot.items.values().filter(|item| item.waits_for_slot).map(|item| &item.node);
    let branches = snapshot.fan_outs.values().flat_map(|fan_out| &fan_out.branches.bounded);
    let branches = branches.filter(|(_, bounded)| !bounded.waiting.is_empty()).map(|(node, _)| node);
    items.chain(branches).cloned().collect()
}

/// How many items of the node have a place.
fn in_flight(snapshot: &Snapshot, node: &str) -> usize {
    let items = snapshot.items.values().filter(|item| item.node == node && !item.waits_for_slot).count();
    let branches = snapshot.fan_outs.values().filter_map(|fan_out| fan_out.branches.bounded.get(node));
    items + branches.map(|bounded| bounded.in_flight.len()).sum::<usize>()
}

/// Gives a place to the first item of the node that waits for one. Whoever holds the ticket `via` is to publish its
/// ticket, so that is where it is looked for when the holder is lost.
fn admit_one(snapshot: &mut Snapshot, node: &str, ticket_item: &ItemId) -> Option<ItemId> {
    if let Some((id, item)) =
        snapshot.items.iter_mut().find(|(_, item)| item.node == node && item.waits_for_slot)
    {
        item.waits_for_slot = false;
        item.ticket_item = ticket_item.clone();
        return Some(id.clone());
    }
    snapshot.fan_outs.iter_mut().find_map(|(id, fan_out)| {
        let bounded = fan_out.branches.bounded.get_mut(node)?;
        let position = bounded.waiting.first()?;
        bounded.waiting.remove(position);
        bounded.in_flight.insert(position, ticket_item.clone());
        Some(ItemId::branch(id, position))
    })
}
