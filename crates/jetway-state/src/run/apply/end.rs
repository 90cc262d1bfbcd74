//! How a run ends.

use super::Step;
use crate::{
    Error,
    run::{
        end::end,
        snapshot::{RunError, Status},
    },
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
                item: Some(self.finished.id.clone()),
                node: Some(self.finished.node.clone()),
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
        if let Some(child) = self.finished.child.take() {
            // It is one of those that the end cancels, and the record names them.
            self.snapshot.unstarted.insert(self.finished.id.clone());
            self.snapshot.children.insert(self.finished.id.clone(), child);
        }
        *self.effects = end(self.snapshot, status, self.finished.timestamp);
        self.tickets.clear();
    }
}
