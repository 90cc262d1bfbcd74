//! The ends of child runs, as the items see them that wait for them.

use crate::{backend::BackendError, snapshots::Snapshots};
use jetway_core::step::{ChildError, ChildResult};
use jetway_state::{
    ItemId, RunKey, Seen, Timestamp,
    run::{EndedSpan, Snapshot, Status},
};

/// How a child run ended.
pub(crate) struct ChildEnd {
    pub(crate) result: ChildResult,
    /// The record that says so.
    pub(crate) seen: Seen,
    /// The span of the run, if there is one.
    pub(crate) span: Option<EndedSpan>,
}

impl ChildEnd {
    fn without_span(error: String, seen: Seen) -> Self {
        Self { result: Err(ChildError::Failed(error)), seen, span: None }
    }
}

/// How the child run of an item of `parent` ended, whose record was seen at its start. `None` if it has not ended.
pub(crate) async fn child_end(
    snapshots: &Snapshots,
    child: &RunKey,
    seen: Seen,
    parent: &Snapshot,
    item: &ItemId,
) -> Result<Option<ChildEnd>, BackendError> {
    let Some((cached, _)) = snapshots.read(child, seen).await? else {
        let error = format!("child run {child} not found: it was deleted, or its record expired");
        return Ok(Some(ChildEnd::without_span(error, seen)));
    };
    let seen = cached.seen();
    if !cached.snapshot.is_child_of(&parent.key(), parent.incarnation, item) {
        let error = format!("run id {child} is in use by a run that is not the child of this item");
        return Ok(Some(ChildEnd::without_span(error, seen)));
    }
    let Snapshot { trace, parent: of, .. } = &*cached.snapshot;
    // A tombstone has no span.
    let span =
        of.is_some().then(|| EndedSpan { id: trace.span_id, end_micros: cached.snapshot.span_end_micros() });
    Ok(end_of(child, &cached.snapshot).map(|result| ChildEnd { result, seen, span }))
}

/// Whether an item waits for child runs, and none of them has ended or has to be started, nor has anything come before that.
pub(crate) async fn still_waits(
    snapshots: &Snapshots,
    snapshot: &Snapshot,
    item: &ItemId,
    now: Timestamp,
) -> Result<bool, BackendError> {
    if snapshot.first_of(item, false, now).is_some() {
        return Ok(false);
    }
    let started = snapshot.started_children(item);
    let group = snapshot.child_groups.get(item);
    let is_to_go_on = group.is_some_and(|group| {
        let starts_more = !snapshot.is_cancelled(item) && !group.to_start(0).is_empty();
        starts_more || group.open.values().any(|child| child.is_late(now))
    });
    if started.is_empty() || is_to_go_on || snapshot.child_is_late(item, now) {
        return Ok(false);
    }
    for (child, seen) in &started {
        if child_end(snapshots, child, *seen, snapshot, item).await?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn end_of(child: &RunKey, snapshot: &Snapshot) -> Option<ChildResult> {
    match snapshot.status {
        Status::Running | Status::Paused | Status::Cancelling => None,
        Status::Completed => Some(match snapshot.outputs.first() {
            Some(output) => Ok(output.value.clone()),
            None => Err(ChildError::Failed(format!("child run {child} has no output"))),
        }),
        Status::Cancelled => Some(Err(ChildError::Failed(format!("child run {child} was cancelled")))),
        Status::Failed => {
            let reason = snapshot.error.as_ref().map_or("no reason is recorded", |error| &error.message);
            Some(Err(ChildError::Failed(format!("child run {child} failed: {reason}"))))
        }
    }
}
