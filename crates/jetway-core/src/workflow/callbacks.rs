//! Being told about steps.

use crate::{Context, Workflow};
use async_trait::async_trait;
use jetway_state::{Error, run::Snapshot};
use std::{fmt::Debug, time::Duration};
use tokio_util::sync::CancellationToken;

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

/// Whether work items of a run may be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunState {
    /// They may.
    #[default]
    Open,
    /// They wait until the run is resumed.
    Paused,
    /// Never again: the run was cancelled, or has failed.
    Closed,
}

/// Is told about the steps that `step_distributed` executes, and is asked what is to follow a failed attempt.
///
/// ```
/// use jetway_core::{Context, Error, Workflow, distributed::{ItemProcessedOutcome, StepCallbacks}};
/// use std::time::Duration;
///
/// /// Tries every item again and again.
/// struct Stubborn;
///
/// #[async_trait::async_trait]
/// impl<C: Context, W: Workflow<C, WorkItem: 'static>> StepCallbacks<C, W> for Stubborn {
///     async fn on_started(&self, run_id: String, item: W::WorkItem) -> Result<(), Error> {
///         println!("{run_id}: {item}");
///         Ok(())
///     }
///
///     async fn on_item_processed(
///         &self, run_id: String, item: W::WorkItem, outcome: ItemProcessedOutcome,
///     ) -> Result<(), Error> {
///         println!("{run_id}: {item}: {outcome:?}");
///         Ok(())
///     }
///
///     async fn on_failed_attempt(
///         &self, _run_id: &str, _item: &W::WorkItem, _error: &Error,
///     ) -> Result<Option<Duration>, Error> {
///         Ok(Some(Duration::from_secs(5)))
///     }
/// }
/// ```
#[async_trait]
pub trait StepCallbacks<C: Context, W: Workflow<C>>: Send + Sync {
    /// A work item is about to be executed.
    ///
    /// # Errors
    /// An error keeps it from being executed; it goes back into the queue.
    async fn on_started(&self, run_id: String, item: W::WorkItem) -> Result<(), Error>;

    /// A work item was executed and committed, or failed for good.
    ///
    /// # Errors
    /// The step is reported as failed with this error. What was committed stays so.
    async fn on_item_processed(
        &self,
        run_id: String,
        item: W::WorkItem,
        outcome: ItemProcessedOutcome,
    ) -> Result<(), Error>;

    /// An item of this run was taken from the queue; whether it can be executed is not known yet.
    fn on_taken(&self, run_id: &str) {
        let _nothing_depends_on_it = run_id;
    }

    /// Cancelled where a step under way is to be given up: its node is dropped, nothing of the attempt is committed,
    /// and the item goes back into the queue.
    fn give_up(&self) -> CancellationToken {
        CancellationToken::new()
    }

    /// Which attempt at the item that was started last this is, from 1.
    fn attempt(&self) -> u32 {
        1
    }

    /// How long an attempt at a node may take. One that takes longer fails with [`Error::Timeout`].
    fn step_timeout(&self) -> Option<Duration> {
        None
    }

    /// An attempt failed and nothing is committed yet. `Some` asks for another attempt after that time: the item goes
    /// back into the queue under the same id. `None` lets the failure be committed, which fails the run, or goes on with
    /// the node's `on_failure` edge where it has one. (Over context stores without snapshots nobody is asked about a
    /// failure that such an edge catches.)
    ///
    /// # Errors
    /// An error is no answer: the item goes back into the queue.
    async fn on_failed_attempt(
        &self,
        run_id: &str,
        item: &W::WorkItem,
        error: &Error,
    ) -> Result<Option<Duration>, Error> {
        let _nothing_is_tried_again = (run_id, item, error);
        Ok(None)
    }

    /// The record of a run after a step of it was committed. Called again when the item of such a step is delivered
    /// again, so that a view of the record that was not written then is written now. It may come out of order: another
    /// worker's later record may have been told before.
    ///
    /// # Errors
    /// The item goes back into the queue, and this is called again when it is taken next.
    async fn on_recorded(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let _nothing_is_kept_of_it = snapshot;
        Ok(())
    }

    /// Whether the items of a run may be executed. Asked only where the context store keeps no snapshots: a snapshot
    /// says so itself.
    ///
    /// # Errors
    /// An error is no answer: the item goes back into the queue.
    async fn run_state(&self, run_id: &str) -> Result<RunState, Error> {
        let _every_run_is_open = run_id;
        Ok(RunState::Open)
    }
}
