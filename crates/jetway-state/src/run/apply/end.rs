//! How a run ends.

use super::Step;
use crate::{
    Error, Timestamp,
    run::{Effect, RunError, Snapshot, Status},
};

impl Step<'_> {
    /// A step failed and nothing catches it: the run is Failed, and what is pending is pending no more.
    pub(super) fn fail(&mut self, error: RunError) {
        self.snapshot.error = Some(error);
        self.end(Status::Failed);
    }

    pub(super) fn end_run_if_nothing_is_left(&mut self) {
        let snapshot = &mut *self.snapshot;
        if snapshot.status.is_terminal() || !snapshot.items.is_empty() || !snapshot.fan_outs.is_empty() {
            return;
        }
        if snapshot.outputs.is_empty() {
            let none = Error::NoOutput;
            snapshot.error = Some(RunError {
                item: Some(self.taken.id.clone()),
                node: Some(self.taken.node.clone()),
                attempt: 1,
                kind: none.kind().to_owned(),
                message: none.to_string(),
            });
            self.end(Status::Failed);
        } else {
            self.end(Status::Completed);
        }
    }

    fn end(&mut self, status: Status) {
        if let Some(child) = self.taken.child.take() {
            // It is one of those that the end cancels, and the record names them.
            self.snapshot.unstarted.insert(self.taken.id.clone());
            self.snapshot.children.insert(self.taken.id.clone(), child);
        }
        *self.effects = ended(self.snapshot, status, self.taken.timestamp);
    }
}

/// Ends a run: nothing is pending any more, and what was to be done before is no longer.
pub(in crate::run) fn ended(snapshot: &mut Snapshot, status: Status, at: Timestamp) -> Vec<Effect> {
    snapshot.status = status;
    snapshot.finished_at = Some(at);
    snapshot.items.clear();
    snapshot.fan_outs.clear();
    end_effects(snapshot)
}

/// What the end of a run asks for. Its children are to stop, and its parent is to go on.
pub fn end_effects(snapshot: &Snapshot) -> Vec<Effect> {
    let children = snapshot.children.iter().map(|(item, child)| match snapshot.unstarted.contains(item) {
        true => Effect::PreventChild(child.clone()),
        false => Effect::CancelChild(child.clone()),
    });
    let parent = snapshot.parent.clone().map(Effect::Wake);
    let chunks = snapshot.chunked.then_some(Effect::DropAllChunks);
    [Effect::Done].into_iter().chain(children).chain(parent).chain(chunks).collect()
}
