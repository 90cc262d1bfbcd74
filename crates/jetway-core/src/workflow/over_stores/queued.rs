//! Which pending item of a run's record a work item from the queue stands for.

use crate::{WorkItem, step::item_in};
use jetway_state::{
    Error, ItemId,
    run::{Snapshot, TicketWanted, pending_tickets, tickets_under},
};

/// Whether a work item keeps its own id: one that is written by hand need not take the engine's.
pub(super) fn keeps_its_id<WI: WorkItem>(item: &WI) -> bool {
    const OTHER: &str = "an id that nothing has";
    item.clone().with_instance_id(OTHER.to_owned()).instance_id() != OTHER
}

/// The item of the record, and its id there; `None` where it is not pending.
///
/// The record knows items by the ids that the engine derives. One that keeps its own is found by it among the pending
/// ones, since its id is unique within the run.
pub(super) fn pending<WI: WorkItem>(snapshot: &Snapshot, queued: &WI) -> Result<Option<(ItemId, WI)>, Error> {
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

/// What a worker that was lost may not have queued after it had committed `done`.
pub(super) fn created_by<WI: WorkItem>(snapshot: &Snapshot, done: &WI) -> Result<Vec<TicketWanted>, Error> {
    if keeps_its_id(done) {
        // The record does not tell what came of it. A queue refuses a second item of one id.
        return Ok(pending_tickets(snapshot));
    }
    let id = ItemId::new(&done.instance_id()).map_err(|error| Error::Generic(error.to_string()))?;
    Ok(tickets_under(snapshot, &id))
}
