//! The end of a run by a step.

use super::Step;
use crate::{
    Error,
    run::{
        end::end,
        snapshot::{RunError, Status},
    },
};

impl Step<'_> {
    /// A step failed and no `on_failure` edge handles it: the run fails, and its pending items are dropped. In a run that is being
    /// cancelled, the other clean-up goes on.
    pub(super) fn fail(&mut self, error: RunError) {
        if self.snapshot.status == Status::Cancelling {
            self.snapshot.error.get_or_insert(error);
            return self.end_branch();
        }
        self.snapshot.error = Some(error);
        self.end(Status::Failed);
    }

    /// Ends the run if no work is left.
    pub(super) fn end_if_done(&mut self) {
        crate::hop!("Step::end_if_done");
        let snapshot = &mut *self.snapshot;
        if snapshot.status.is_terminal() || !snapshot.items.is_empty() || !snapshot.fan_outs.is_empty() {
            return;
        }
        if snapshot.status == Status::Cancelling {
            let status = snapshot.cancel.as_ref().map(|cancel| cancel.reason.end_status());
            return self.end(status.unwrap_or(Status::Cancelled));
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
        *self.effects = end(self.snapshot, status, self.finished.timestamp);
        self.tickets.clear();
    }
}
