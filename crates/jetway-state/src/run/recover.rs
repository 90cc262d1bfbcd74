//! The tickets of the pending items of a run.

use super::{effect::TicketFor, snapshot::Snapshot};
use crate::{ItemId, Timestamp};

/// The tickets that the holder of the ticket for item `ticket` may not have published: those of the pending items that were
/// committed under it, and its own if its item is pending.
///
/// A ticket that is delivered again may have been held by a worker that committed several steps under it and then crashed.
/// Tickets are idempotent, so a superfluous one does no harm.
pub fn tickets_under(snapshot: &Snapshot, ticket: &ItemId, now: Timestamp) -> Vec<TicketWanted> {
    wanted(snapshot, now, |ticket_item| ticket_item == ticket)
}

/// The tickets of all pending items. An item that waits for a slot at its node, or for a time after `now`, has none.
pub fn pending_tickets(snapshot: &Snapshot, now: Timestamp) -> Vec<TicketWanted> {
    wanted(snapshot, now, |_| true)
}

/// The ticket of one item; `None` if it is not pending, or waits for a slot at its node or for a time after `now`.
pub fn pending_ticket(snapshot: &Snapshot, id: &ItemId, now: Timestamp) -> Option<TicketWanted> {
    if !snapshot.is_pending(id) || snapshot.waits_for_slot(id) || !snapshot.is_due(id, now) {
        return None;
    }
    ticket_of(snapshot, id)
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
        .filter(|(id, item)| !item.waits_for_slot && under(&item.ticket_item) && snapshot.is_due(id, now))
        .map(|(id, item)| TicketWanted {
            item: id.clone(),
            node: Some(item.node.clone()),
            ticket_item: item.ticket_item.clone(),
        })
        .collect();
    let fan_outs = snapshot.fan_outs.iter().filter(|(_, fan_out)| fan_out.due.is_none_or(|due| due <= now));
    for (id, fan_out) in fan_outs {
        let branches = &fan_out.branches;
        let is_due =
            |position| snapshot.waits.is_empty() || snapshot.is_due(&ItemId::branch(id, position), now);
        let open = branches.open_positions();
        let open = open.filter(|position| !branches.waits_for_slot(*position) && is_due(*position));
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
