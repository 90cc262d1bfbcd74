//! The ends of child runs, as the items see them that wait for them.

use crate::{backend::BackendError, snapshots::Snapshots};
use jetway_core::step::ChildResult;
use jetway_state::{
    RunKey,
    run::{Snapshot, Status},
};

/// How a child run ended. `None` if it has not ended.
pub(crate) async fn child_end(
    snapshots: &Snapshots,
    child: &RunKey,
) -> Result<Option<ChildResult>, BackendError> {
    let Some((cached, _)) = snapshots.read(child).await? else {
        return Ok(Some(Err(format!("child run {child} not found: it was deleted, or its record expired"))));
    };
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
