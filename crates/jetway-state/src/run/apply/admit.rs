//! Slots at nodes with a limit (`at_most`).

use super::Step;
use crate::{
    ItemId,
    run::{effect::TicketFor, snapshot::Snapshot},
};
use std::collections::BTreeSet;

impl Step<'_> {
    /// Gives free slots to waiting items, in the order of their positions. An item with a slot gets a ticket.
    pub(super) fn admit(&mut self) {
        crate::hop!("Step::admit");
        if self.snapshot.status.is_terminal() {
            return;
        }
        for node in waited_for(self.snapshot) {
            let mut free = match self.graph.node(&node).and_then(|known| known.at_most) {
                Some(at_most) => (at_most as usize).saturating_sub(in_flight(self.snapshot, &node)),
                // An older build had a limit here, or had this node: without a limit, all its items get slots.
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

/// The nodes at which items wait for a slot.
fn waited_for(snapshot: &Snapshot) -> BTreeSet<String> {
    let items = snapshot.items.values().filter(|item| item.waits_for_slot).map(|item| &item.node);
    let branches = snapshot.fan_outs.values().flat_map(|fan_out| &fan_out.branches.bounded);
    let branches = branches.filter(|(_, bounded)| !bounded.waiting.is_empty()).map(|(node, _)| node);
    items.chain(branches).cloned().collect()
}

/// The number of items of the node that have a slot.
fn in_flight(snapshot: &Snapshot, node: &str) -> usize {
    let items = snapshot.items.values().filter(|item| item.node == node && !item.waits_for_slot).count();
    let branches = snapshot.fan_outs.values().filter_map(|fan_out| fan_out.branches.bounded.get(node));
    items + branches.map(|bounded| bounded.in_flight.len()).sum::<usize>()
}

/// Gives a slot to the first item that waits at the node. The holder of the ticket for `ticket_item` publishes its ticket: if
/// the holder crashes, the redelivery of that ticket finds the item.
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
