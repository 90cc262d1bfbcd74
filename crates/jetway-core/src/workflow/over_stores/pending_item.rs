//! Finds the pending item of a snapshot that a work item from the queue stands for.
//!
//! The id of a queued item also names the incarnation of its run: a run id can be used again while items of an earlier run are
//! still in the queue, or leased. So queues and stores of states need to know nothing of incarnations. A work item that
//! [keeps its id](keeps_its_id) names none.

use crate::{WorkItem, step::item_in};
use jetway_state::{
    Error, ItemId, Timestamp,
    run::{Snapshot, TicketWanted, pending_tickets},
};

/// Nothing waits for a time in a run over stores.
pub(crate) const ANY_TIME: Timestamp = Timestamp(u64::MAX);

/// An id that is longer may be queued under its digest.
const LONGEST_READABLE: usize = 50;

/// Whether a work item ignores [`with_instance_id`](WorkItem::with_instance_id), as one written by hand may.
pub(crate) fn keeps_its_id<WI: WorkItem>(item: &WI) -> bool {
    const UNUSED_ID: &str = "an id that no item has";
    item.clone().with_instance_id(UNUSED_ID.to_owned()).instance_id() != UNUSED_ID
}

/// Whether a queued item belongs to this incarnation of the run, or keeps its id, so that nobody knows.
pub(crate) fn may_belong_to<WI: WorkItem>(snapshot: &Snapshot, queued: &WI) -> bool {
    keeps_its_id(queued) || ItemId::from_incarnation(&queued.instance_id(), &snapshot.incarnation).is_some()
}

/// The pending item `id`, as it is put into the queue.
pub(crate) fn queued<WI: WorkItem>(snapshot: &Snapshot, id: &ItemId) -> Result<Option<WI>, Error> {
    let item: Option<WI> = item_in(snapshot, id)?;
    Ok(item.map(|item| item.with_instance_id(id.in_incarnation(&snapshot.incarnation).to_string())))
}

/// The pending item and its id in the snapshot; `None` where it is not pending.
///
/// An item that keeps its own id is found by comparing that id, which is unique within the run, with those of all pending
/// items.
pub(super) fn find<WI: WorkItem>(snapshot: &Snapshot, queued: &WI) -> Result<Option<(ItemId, WI)>, Error> {
    let own = queued.instance_id();
    if keeps_its_id(queued) {
        for want in pending_tickets(snapshot, ANY_TIME) {
            let item: Option<WI> = item_in(snapshot, &want.item)?;
            if let Some(item) = item.filter(|item| item.instance_id() == own) {
                return Ok(Some((want.item, item)));
            }
        }
        return Ok(None);
    }
    match pending_id(snapshot, &own) {
        Some(id) => Ok(item_in(snapshot, &id)?.map(|item| (id, item))),
        None => Ok(None),
    }
}

/// The pending item that is queued under the id `own`.
fn pending_id(snapshot: &Snapshot, own: &str) -> Option<ItemId> {
    let id = ItemId::from_incarnation(own, &snapshot.incarnation)?;
    if snapshot.is_pending(&id) {
        return Some(id);
    }
    let stands_for = |id: &ItemId| {
        id.as_str().len() > LONGEST_READABLE && id.in_incarnation(&snapshot.incarnation).as_str() == own
    };
    pending_tickets(snapshot, ANY_TIME).into_iter().map(|want| want.item).find(stands_for)
}

/// The items that the step of `done` created and that are still pending. A worker that crashed after the commit may not
/// have queued them.
pub(super) fn created_by<WI: WorkItem>(snapshot: &Snapshot, done: &WI) -> Vec<TicketWanted> {
    let mut created = pending_tickets(snapshot, ANY_TIME);
    // The snapshot does not know which items such a one created, so all pending ones are returned. A queue ignores a
    // second item with the same id.
    if !keeps_its_id(done) {
        let own = done.instance_id();
        created.retain(|want| want.ticket_item.in_incarnation(&snapshot.incarnation).as_str() == own);
    }
    created
}
