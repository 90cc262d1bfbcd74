//! The tickets of the pending items of a run.

use super::{effect::TicketFor, fan_out::Bounded, snapshot::Snapshot};
use crate::{ItemId, Timestamp};

/// The tickets that the holder of the ticket for item `ticket` may not have published: those of the pending items that were
/// committed under it, and its own if its item is pending.
///
/// A ticket that is delivered again may have been held by a worker that committed several steps under it and then crashed.
/// Tickets are idempotent, so a superfluous one does no harm.
pub fn tickets_under(snapshot: &Snapshot, ticket: &ItemId, now: Timestamp) -> Vec<TicketWanted> {
    wanted(snapshot, now, |ticket_item| ticket_item == ticket)
}

/// The tickets of all pending items. An item that waits for a slot at its node, a signal, or a time after `now` has none. One that
/// has waited needs one while no item at its node has a slot: nobody would give it one.
pub fn pending_tickets(snapshot: &Snapshot, now: Timestamp) -> Vec<TicketWanted> {
    wanted(snapshot, now, |_| true)
}

/// The ticket of one item; `None` if it has none, see [`pending_tickets`].
pub fn pending_ticket(snapshot: &Snapshot, id: &ItemId, now: Timestamp) -> Option<TicketWanted> {
    if !snapshot.is_pending(id) || !snapshot.is_due(id, now) {
        return None;
    }
    if snapshot.waits_for_slot(id) && !is_due_alone(snapshot, id, now) {
        return None;
    }
    ticket_of(snapshot, id)
}

/// Whether an item that waits for a slot has waited for its time, and no item at its node has a slot. Of the branches of a fan-out,
/// the first one that is due: it gives slots to the others as well.
fn is_due_alone(snapshot: &Snapshot, id: &ItemId, now: Timestamp) -> bool {
    let node = match snapshot.items.get(id) {
        Some(item) => Some(item.node.as_str()),
        None => id.as_branch().and_then(|(fan_out, position)| {
            let bounded = &snapshot.fan_outs.get(&fan_out)?.branches.bounded;
            let is_first = |of| first_due(snapshot, &fan_out, of, now) == Some(position);
            bounded.iter().find(|(_, of)| is_first(of)).map(|(node, _)| node.as_str())
        }),
    };
    snapshot.has_wait(id) && node.is_some_and(|node| snapshot.in_flight(node) == 0)
}

/// The first branch that waits for a slot and for nothing else.
fn first_due(snapshot: &Snapshot, fan_out: &ItemId, of: &Bounded, now: Timestamp) -> Option<u32> {
    of.waiting.iter().find(|position| snapshot.is_due(&ItemId::branch(fan_out, *position), now))
}

/// The ticket of a pending item, whatever it waits for.
fn ticket_of(snapshot: &Snapshot, id: &ItemId) -> Option<TicketWanted> {
    let (node, ticket_item) = match snapshot.items.get(id) {
        Some(item) => (Some(item.node.clone()), &item.ticket_item),
        None => {
            let (fan_out, position) = id.as_branch()?;
            let fan_out = snapshot.fan_outs.get(&fan_out)?;
            let node = fan_out.branches.inline.get(&position).map(|seed| seed.node.clone());
            (node, fan_out.branches.admitted_under(position).unwrap_or(&fan_out.ticket_item))
        }
    };
    Some(TicketWanted { item: id.clone(), node, ticket_item: ticket_item.clone() })
}

/// A pending item that needs a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketWanted {
    /// The item.
    pub item: ItemId,
    /// Its node; `None` for a branch whose input is in a chunk.
    pub node: Option<String>,
    /// The item of the ticket under which the item was committed: while that ticket exists, its redelivery finds the item.
    pub ticket_item: ItemId,
}

impl TicketWanted {
    /// The ticket that a pending item gets when its wait is over.
    pub(super) fn of_waiting(snapshot: &Snapshot, id: &ItemId) -> Option<Self> {
        ticket_of(snapshot, id)
    }

    /// The ticket, with its node.
    pub fn for_node(self, node: String) -> TicketFor {
        TicketFor { item: self.item, node }
    }
}

fn wanted(snapshot: &Snapshot, now: Timestamp, under: impl Fn(&ItemId) -> bool) -> Vec<TicketWanted> {
    if snapshot.status.is_terminal() {
        return Vec::new();
    }
    let mut tickets: Vec<_> = snapshot
        .items
        .iter()
        .filter(|(id, item)| under(&item.ticket_item) && snapshot.is_due(id, now))
        .filter(|(id, item)| !item.waits_for_slot || is_due_alone(snapshot, id, now))
        .map(|(id, item)| TicketWanted {
            item: id.clone(),
            node: Some(item.node.clone()),
            ticket_item: item.ticket_item.clone(),
        })
        .collect();
    let fan_outs = snapshot.fan_outs.iter().filter(|(_, fan_out)| fan_out.due.is_none_or(|due| due <= now));
    for (id, fan_out) in fan_outs {
        let branches = &fan_out.branches;
        // Asked once for each node, since there may be many branches.
        let bounded = branches.bounded.iter().filter(|_| snapshot.has_waits());
        let alone: Vec<u32> = bounded
            .filter(|(node, of)| !of.waiting.is_empty() && snapshot.in_flight(node) == 0)
            .filter_map(|(_, of)| first_due(snapshot, id, of, now))
            .collect();
        let is_due =
            |position| snapshot.waits.is_empty() || snapshot.is_due(&ItemId::branch(id, position), now);
        let has_ticket = |position| !branches.waits_for_slot(position) || alone.contains(&position);
        let open = branches.open_positions();
        let open = open.filter(|position| has_ticket(*position) && is_due(*position));
        let wanted = open.filter_map(|position| {
            let ticket_item = branches.admitted_under(position).unwrap_or(&fan_out.ticket_item);
            let node = branches.inline.get(&position).map(|seed| seed.node.clone());
            under(ticket_item).then(|| TicketWanted {
                item: ItemId::branch(id, position),
                node,
                ticket_item: ticket_item.clone(),
            })
        });
        tickets.extend(wanted);
    }
    tickets
}
