//! Finds the pending item of a snapshot that a work item from the queue stands for.

use crate::{WorkItem, step::item_in};
use jetway_state::{
    Error, ItemId,
    run::{Snapshot, TicketWanted, pending_tickets, tickets_under},
};

/// Whether a work item ignores [`with_instance_id`](WorkItem::with_instance_id), as one written by hand may.
pub(super) fn keeps_its_id<WI: WorkItem>(item: &WI) -> bool {
    const UNUSED_ID: &str = "an id that no item has";
    item.clone().with_instance_id(UNUSED_ID.to_owned()).instance_id() != UNUSED_ID
}

/// The pending item and its id in the snapshot; `None` where it is not pending.
///
/// A snapshot knows items by derived ids. An item that keeps its own id is found by comparing that id, which is unique
/// within the run, with those of all pending items.
pub(super) fn find<WI: WorkItem>(snapshot: &Snapshot, queued: &WI) -> Result<Option<(ItemId, WI)>, Error> {
    let own = queued.instance_id();
    if let Ok(id) = ItemId::new(&own)
        && snapshot.is_pending(&id)
    {
        return Ok(item_in(snapshot, &id)?.map(|item| (id, item)));
    }
    if keeps_its_id(queued) {
        for want in pending_tickets(snapshot) {
            let item: Option<WI> = item_in(snapshot, &want.item)?;
            if let Some(item) = item.filter(|item| item.instance_id() == own) {
                return Ok(Some((want.item, item)));
            }
        }
    }
    Ok(None)
}

/// The items that the step of `done` created and that are still pending. A worker that crashed after the commit may not
/// have queued them.
pub(super) fn created_by<WI: WorkItem>(snapshot: &Snapshot, done: &WI) -> Result<Vec<TicketWanted>, Error> {
    if keeps_its_id(done) {
        // The snapshot does not know which items this one created, so all pending ones are returned. A queue ignores a
        // second item with the same id.
        return Ok(pending_tickets(snapshot));
    }
    let id = ItemId::new(&done.instance_id()).map_err(|error| Error::Generic(error.to_string()))?;
    Ok(tickets_under(snapshot, &id))
}
