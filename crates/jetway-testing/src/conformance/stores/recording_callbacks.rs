//! Being told about steps.

use super::{faulty::due, workflows::Ctx};
use async_trait::async_trait;
use jetway_core::{StepCallbacks, Workflow, distributed::ItemProcessedOutcome};
use jetway_state::Error;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};

/// Notes what it is told about steps. Fails so many times where a case wants it to.
#[derive(Debug, Default)]
pub(super) struct RecordingCallbacks {
    lines: Mutex<Vec<String>>,
    refusals: AtomicU32,
    deaf: AtomicU32,
}

impl RecordingCallbacks {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Refuses the next so many items.
    pub(super) fn refusing(times: u32) -> Arc<Self> {
        Arc::new(Self { refusals: AtomicU32::new(times), ..Self::default() })
    }

    /// Fails the next so many times that an item is done.
    pub(super) fn fall_deaf(&self, times: u32) {
        self.deaf.store(times, Ordering::SeqCst);
    }

    /// What it was callbacks, in order.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, line: String) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

#[async_trait]
impl<W: Workflow<Ctx, WorkItem: 'static>> StepCallbacks<Ctx, W> for RecordingCallbacks {
    async fn on_started(&self, _run_id: String, item: W::WorkItem) -> Result<(), Error> {
        if due(&self.refusals) {
            return Err(Error::Storage("not now".to_owned()));
        }
        self.note(format!("{item} starts"));
        Ok(())
    }

    async fn on_item_processed(
        &self,
        _run_id: String,
        item: W::WorkItem,
        outcome: ItemProcessedOutcome,
    ) -> Result<(), Error> {
        self.note(match outcome {
            ItemProcessedOutcome::SuccessTerminal(output) => format!("{item} outputs {output}"),
            ItemProcessedOutcome::SuccessNonTerminal => format!("{item} is done"),
            ItemProcessedOutcome::Error(error) => format!("{item} has failed: {error}"),
        });
        if due(&self.deaf) { Err(Error::Storage("not heard".to_owned())) } else { Ok(()) }
    }
}
