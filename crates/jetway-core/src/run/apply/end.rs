//! How a run ends.

use super::Step;
use crate::{
    Error, Timestamp,
    run::{Effect, RunError, Snapshot, Status, children::at_the_end},
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
        *self.effects = ended(self.snapshot, status, self.taken.at);
    }
}

/// Ends a run: nothing is pending any more, and what was to be done before is no longer.
pub(in crate::run) fn ended(snapshot: &mut Snapshot, status: Status, at: Timestamp) -> Vec<Effect> {
    snapshot.status = status;
    snapshot.finished_at = Some(at);
    snapshot.items.clear();
    snapshot.fan_outs.clear();
    let mut effects = vec![Effect::Done];
    effects.extend(at_the_end(snapshot));
    if snapshot.chunked {
        effects.push(Effect::DropAllChunks);
    }
    effects
}
