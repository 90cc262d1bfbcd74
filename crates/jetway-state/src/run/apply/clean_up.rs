//! The clean-up of cancelled items.

use super::Step;
use crate::{
    ItemId,
    run::{attempt::EncodedEmission, snapshot::Status},
};

impl Step<'_> {
    /// The item was cancelled. If its `on_cancel` edge is taken, its branch goes on with the clean-up.
    pub(super) fn clean_up(&mut self, emitted: Option<EncodedEmission>) {
        let Some(emitted) = emitted else { return self.end_branch() };
        // A fan-out of clean-up does not close at the gathering node behind the cancelled node, but at one behind its own nodes.
        if let Some(first) = emitted.successors.first() {
            self.finished.node.clone_from(&first.node);
        }
        self.next(emitted);
    }

    /// Marks what the finished item creates, if that belongs to a clean-up.
    pub(super) fn mark(&mut self, id: &ItemId) {
        if self.finished.is_clean_up {
            self.snapshot.mark_clean_up(id);
        }
    }

    /// Whether what the finished item creates is cancelled: its node was running when the run was cancelled.
    pub(super) fn leads_to_cancelled(&self) -> bool {
        self.snapshot.status == Status::Cancelling && !self.finished.is_clean_up
    }
}
