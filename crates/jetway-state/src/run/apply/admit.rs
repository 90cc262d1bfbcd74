//! Slots at nodes with a limit (`at_most`).

use super::{Step, finished::FinishedItem};
use crate::{
    CommitId, Graph, ItemId, Timestamp,
    run::{
        attempt::AttemptReport,
        effect::{Applied, TicketFor},
        fan_out::Bounded,
        snapshot::Snapshot,
        wait::WaitsBefore,
    },
};
use std::collections::BTreeSet;

impl Step<'_> {
    /// Gives free slots to waiting items, in the order of their positions. An item with a slot gets a ticket.
    pub(super) fn admit(&mut self) {
        crate::hop!("Step::admit");
        let FinishedItem { ticket_item, timestamp, .. } = &self.finished;
        self.tickets.extend(admit(self.snapshot, self.graph, ticket_item, *timestamp));
    }
}

/// An item at a node with a limit is due: it gets a slot if one is free. `None` if it needs none.
pub(super) fn admit_due(
    mut snapshot: Snapshot,
    attempt: &AttemptReport,
    commit: CommitId,
    graph: &Graph,
    waits: WaitsBefore,
) -> Option<Applied> {
    if !snapshot.is_pending(&attempt.item) || !snapshot.waits_for_slot(&attempt.item) {
        return None;
    }
    let tickets = admit(&mut snapshot, graph, &attempt.ticket_item, attempt.timestamp);
    if tickets.is_empty() {
        return None;
    }
    snapshot.commit = commit;
    snapshot.updated_at = attempt.timestamp;
    let mut effects = Vec::new();
    waits.settle(&snapshot, &mut effects);
    Some(Applied { snapshot, tickets, effects })
}

/// Gives free slots to waiting items that are due. Returns their tickets.
pub(in crate::run) fn admit(
    snapshot: &mut Snapshot,
    graph: &Graph,
    ticket_item: &ItemId,
    now: Timestamp,
) -> Vec<TicketFor> {
    let mut tickets = Vec::new();
    if snapshot.status.is_terminal() {
        return tickets;
    }
    for node in waited_for(snapshot, now) {
        let mut free = match graph.node(&node).and_then(|known| known.at_most) {
            Some(at_most) => (at_most as usize).saturating_sub(snapshot.in_flight(&node)),
            // An older build had a limit here, or had this node: without a limit, all its items get slots.
            None => usize::MAX,
        };
        while free > 0 {
            let Some(item) = admit_one(snapshot, &node, ticket_item, now) else { break };
            tickets.push(TicketFor { item, node: node.clone() });
            free -= 1;
        }
    }
    tickets
}

/// The nodes at which items wait for a slot and for nothing else.
fn waited_for(snapshot: &Snapshot, now: Timestamp) -> BTreeSet<String> {
    let items = snapshot.items.iter().filter(|(id, item)| item.waits_for_slot && snapshot.is_due(id, now));
    let items = items.map(|(_, item)| &item.node);
    let due = snapshot.fan_outs.values().filter(|fan_out| fan_out.due.is_none_or(|due| due <= now));
    let branches = due.flat_map(|fan_out| &fan_out.branches.bounded);
    let branches = branches.filter(|(_, bounded)| !bounded.waiting.is_empty()).map(|(node, _)| node);
    items.chain(branches).cloned().collect()
}

impl Snapshot {
    /// The number of items of a node that have a slot.
    pub(in crate::run) fn in_flight(&self, node: &str) -> usize {
        let items = self.items.values().filter(|item| item.node == node && !item.waits_for_slot).count();
        let branches = self.fan_outs.values().filter_map(|fan_out| fan_out.branches.bounded.get(node));
        items + branches.map(|bounded| bounded.in_flight.len()).sum::<usize>()
    }
}

/// The first branch that waits for a slot and for nothing else.
fn first_due(bounded: &Bounded, is_due: impl Fn(u32) -> bool) -> Option<u32> {
    bounded.waiting.iter().find(|position| is_due(*position))
}

/// Gives a slot to the first item that waits at the node and is due. The holder of the ticket for `ticket_item` publishes its
/// ticket: if the holder crashes, the redelivery of that ticket finds the item.
fn admit_one(snapshot: &mut Snapshot, node: &str, ticket_item: &ItemId, now: Timestamp) -> Option<ItemId> {
    let Snapshot { items, fan_outs, waits, .. } = snapshot;
    let is_due = |id: &ItemId| waits.get(id).is_none_or(|wait| wait.is_over(now));
    if let Some((id, item)) =
        items.iter_mut().find(|(id, item)| item.node == node && item.waits_for_slot && is_due(id))
    {
        item.waits_for_slot = false;
        item.ticket_item = ticket_item.clone();
        return Some(id.clone());
    }
    fan_outs.iter_mut().filter(|(_, fan_out)| fan_out.due.is_none_or(|due| due <= now)).find_map(
        |(id, fan_out)| {
            let bounded = fan_out.branches.bounded.get_mut(node)?;
            let position = first_due(bounded, |position| is_due(&ItemId::branch(id, position)))?;
            bounded.waiting.remove(position);
            bounded.in_flight.insert(position, ticket_item.clone());
            Some(ItemId::branch(id, position))
        },
    )
}
