//! How a run ends.

use super::Step;
use crate::{
    Error,
    run::{Effect, RunError, Status},
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
        let snapshot = &mut *self.snapshot;
        snapshot.status = status;
        snapshot.finished_at = Some(self.taken.at);
        snapshot.items.clear();
        snapshot.fan_outs.clear();
        self.effects.clear();
        self.effects.push(Effect::Done);
        if snapshot.chunked {
            self.effects.push(Effect::DropAllChunks);
        }
    }
}
