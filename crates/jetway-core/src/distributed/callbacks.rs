//! Being told about steps.

use crate::{Context, Error, Workflow};
use async_trait::async_trait;
use std::fmt::Debug;

/// What a step failed with, and which one it was where that is known.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{error}")]
pub struct StepError<W: Debug + Clone> {
    /// What went wrong.
    pub error: Error,
    /// The run.
    pub run_id: Option<String>,
    /// The work item.
    pub work_item: Option<W>,
}

/// What came of a work item.
#[derive(Debug, Clone)]
pub enum ItemProcessedOutcome {
    /// It ended the run with this output.
    SuccessTerminal(serde_json::Value),
    /// There is more to do.
    SuccessNonTerminal,
    /// It failed.
    Error(Error),
}

/// Is told about the steps that `step_distributed` executes.
#[async_trait]
pub trait StepCallbacks<C: Context, W: Workflow<C>>: Send + Sync {
    /// A work item was taken from the queue. An error keeps it from being executed; it stays in the queue.
    async fn on_started(&self, run_id: String, item: W::WorkItem) -> Result<(), Error>;

    /// A work item was executed and committed, or failed.
    async fn on_item_processed(
        &self,
        run_id: String,
        item: W::WorkItem,
        outcome: ItemProcessedOutcome,
    ) -> Result<(), Error>;
}
