//! The ends of child runs, as the items see them that wait for them.

use crate::{backend::BackendError, snapshots::Snapshots};
use jetway_core::step::ChildResult;
use jetway_state::{
    ItemId, RunKey,
    run::{Snapshot, Status},
};

/// How the child run of an item of `parent` ended. `None` if it has not ended.
pub(crate) async fn child_end(
    snapshots: &Snapshots,
    child: &RunKey,
    parent: &Snapshot,
    item: &ItemId,
) -> Result<Option<ChildResult>, BackendError> {
    let Some((cached, _)) = snapshots.read(child).await? else {
        return Ok(Some(Err(format!("child run {child} not found: it was deleted, or its record expired"))));
    };
    if !cached.snapshot.is_child_of(&parent.key(), parent.incarnation, item) {
        return Ok(Some(Err(format!(
            "run id {child} is in use by a run that is not the child of this item"
        ))));
    }
    Ok(end_of(child, &cached.snapshot))
}

fn end_of(child: &RunKey, snapshot: &Snapshot) -> Option<ChildResult> {
    match snapshot.status {
        Status::Running | Status::Paused => None,
        Status::Completed => Some(match snapshot.outputs.first() {
            Some(output) => Ok(output.value.clone()),
            None => Err(format!("child run {child} has no output")),
        }),
        Status::Cancelled => Some(Err(format!("child run {child} was cancelled"))),
        Status::Failed => {
            let reason = snapshot.error.as_ref().map_or("no reason is recorded", |error| &error.message);
            Some(Err(format!("child run {child} failed: {reason}")))
        }
    }
}
