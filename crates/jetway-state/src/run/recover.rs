//! Which tickets a run wants.

use super::{Snapshot, TicketFor};
use crate::ItemId;

/// The tickets that the holder of `ticket` may not have published: those of the items that were committed under it
/// and are still pending, and its own while it is.
///
/// A ticket that is delivered again may have been held by a worker that committed step after step under it and then
/// was lost. Tickets are idempotent, so publishing one too many does no harm.
pub fn tickets_under(snapshot: &Snapshot, ticket: &ItemId) -> Vec<TicketWanted> {
    wanted(snapshot, |via| via == ticket)
}

/// The tickets of every pending item. One that waits for a place at its node has none.
pub fn pending_tickets(snapshot: &Snapshot) -> Vec<TicketWanted> {
    wanted(snapshot, |_| true)
}

/// The ticket of one item; `None` where it is not pending, or waits for a place at its node.
pub fn pending_ticket(snapshot: &Snapshot, id: &ItemId) -> Option<TicketWanted> {
    if !snapshot.is_pending(id) || snapshot.waits(id) {
        return None;
    }
    let (node, via) = match snapshot.items.get(id) {
        Some(item) => (Some(item.node.clone()), &item.via),
        None => {
            let (fan_out, position) = id.as_branch()?;
            let fan_out = snapshot.fan_outs.get(&fan_out)?;
            let node = fan_out.seeds.inline.get(&position).map(|seed| seed.node.clone());
            (node, fan_out.seeds.admitted_under(position).unwrap_or(&fan_out.via))
        }
    };
    Some(TicketWanted { item: id.clone(), node, via: via.clone() })
}

/// A pending item that wants a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketWanted {
    /// The item and its node. The node of a branch whose payload is in a chunk is not known from the snapshot.
    pub item: ItemId,
    /// The node, where the snapshot names it.
    pub node: Option<String>,
    /// The ticket under which the item was committed: while that one lives the item is not stranded.
    pub via: ItemId,
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
        .filter(|(_, item)| !item.waits && under(&item.via))
        .map(|(id, item)| TicketWanted {
            item: id.clone(),
            node: Some(item.node.clone()),
            via: item.via.clone(),
        })
        .collect();
    for (id, fan_out) in &snapshot.fan_outs {
        let seeds = &fan_out.seeds;
        let open = seeds.open_positions().filter(|position| !seeds.waits(*position));
        let wanted = open.filter_map(|position| {
            let via = seeds.admitted_under(position).unwrap_or(&fan_out.via);
            let node = seeds.inline.get(&position).map(|seed| seed.node.clone());
            under(via).then(|| TicketWanted { item: ItemId::branch(id, position), node, via: via.clone() })
        });
        tickets.extend(wanted);
    }
    tickets
}
