//! Letting items into the nodes that take only so many at a time.

use super::Step;
use crate::{
    ItemId,
    run::{Effect, Snapshot, TicketFor},
};

impl Step<'_> {
    /// Gives free places to items that wait for one, in the order of their positions, and tickets with them.
    pub(super) fn admit(&mut self) {
        if self.snapshot.status.is_terminal() {
            return;
        }
        for node in &self.graph.nodes {
            let Some(at_most) = node.at_most else { continue };
            let mut free = (at_most as usize).saturating_sub(in_flight(self.snapshot, &node.name));
            while free > 0 {
                let Some(item) = admit_one(self.snapshot, &node.name, &self.taken.via) else { break };
                self.effects.push(Effect::Ticket(TicketFor { item, node: node.name.clone() }));
                free -= 1;
            }
        }
    }
}

/// How many items of the node have a place.
fn in_flight(snapshot: &Snapshot, node: &str) -> usize {
    let items = snapshot.items.values().filter(|item| item.node == node && !item.waits).count();
    let branches = snapshot.fan_outs.values().filter_map(|fan_out| fan_out.seeds.bounded.get(node));
    items + branches.map(|bounded| bounded.in_flight.len()).sum::<usize>()
}

/// Gives a place to the first item of the node that waits for one. Whoever holds the ticket `via` is to publish its
/// ticket, so that is where it is looked for when the holder is lost.
fn admit_one(snapshot: &mut Snapshot, node: &str, via: &ItemId) -> Option<ItemId> {
    if let Some((id, item)) = snapshot.items.iter_mut().find(|(_, item)| item.node == node && item.waits) {
        item.waits = false;
        item.via = via.clone();
        return Some(id.clone());
    }
    snapshot.fan_outs.iter_mut().find_map(|(id, fan_out)| {
        let bounded = fan_out.seeds.bounded.get_mut(node)?;
        let position = bounded.waiting.first()?;
        bounded.waiting.remove(position);
        bounded.in_flight.insert(position, via.clone());
        Some(ItemId::branch(id, position))
    })
}
