//! Which tickets a run wants.

use super::{effect::TicketFor, snapshot::Snapshot};
use crate::ItemId;

/// The tickets that the holder of `ticket` may not have published: those of the items that were committed under it
/// and are still pending, and its own while it is.
///
/// A ticket that is delivered again may have been held by a worker that committed step after step under it and then
/// was lost. Tickets are idempotent, so publishing one too many does no harm.
pub fn tickets_under(snapshot: &Snapshot, ticket: &ItemId) -> Vec<TicketWanted> {
    wanted(snapshot, |ticket_item| ticket_item == ticket)
}

/// The tickets of every pending item. One that waits for a place at its node has none.
pub fn pending_tickets(snapshot: &Snapshot) -> Vec<TicketWanted> {
    wanted(snapshot, |_| true)
}

/// The ticket of one item; `None` where it is not pending, or waits for a place at its node.
pub fn pending_ticket(snapshot: &Snapshot, id: &ItemId) -> Option<TicketWanted> {
    if !snapshot.is_pending(id) || snapshot.waits_for_slot(id) {
        return None;
    }
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

/// A pending item that wants a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketWanted {
    /// The item and its node. The node of a branch whose payload is in a chunk is not known from the snapshot.
    pub item: ItemId,
    /// The node, where the snapshot names it.
    pub node: Option<String>,
    /// The ticket under which the item was committed: while that one lives the item is not stranded.
    pub ticket_item: ItemId,
}

impl TicketWanted {
    /// As an effect, with the node found elsewhere where the snapshot does not name it.
    pub fn for_node(self, node: String) -> TicketFor {
        TicketFor { item: self.item, node }
    }
}

fn wanted(snapshot: &Snapshot, under: impl Fn(&ItemId) -> bool) -> Vec<TicketWanted> {
    if snapshot.status.is_terminal() {
        return Vec::new();
    }
    let mut tickets: Vec<_> = snapshot
        .items
        .iter()
        .filter(|(_, item)| !item.waits_for_slot && under(&item.ticket_item))
        .map(|(id, item)| TicketWanted {
            item: id.clone(),
            node: Some(item.node.clone()),
            ticket_item: item.ticket_item.clone(),
        })
        .collect();
    for (id, fan_out) in &snapshot.fan_outs {
        let branches = &fan_out.branches;
        let open = branches.open_positions().filter(|position| !branches.waits_for_slot(*position));
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
