//! The callbacks and the errors of steps over stores.

use crate::{
    Context, Workflow,
    clock::{Clock, SystemClock},
};
use async_trait::async_trait;
use jetway_state::{Error, Incarnation, run::Snapshot};
use std::{fmt::Debug, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// The error of a step, with its run and work item where they are known.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{error}")]
pub struct StepError<W: Debug + Clone> {
    /// The error.
    pub error: Error,
    /// The run id; `None` where no item could be leased.
    pub run_id: Option<String>,
    /// The work item; `None` where no item could be leased.
    pub work_item: Option<W>,
}

/// The outcome of a work item.
#[derive(Debug, Clone)]
pub enum ItemProcessedOutcome {
    /// Its node gave this output of the run, as JSON. Of several outputs it is the first. Other branches of the run may
    /// continue.
    SuccessTerminal(serde_json::Value),
    /// It succeeded without an output of the run.
    SuccessNonTerminal,
    /// It failed. An error of another branch, and the end of a run without an output, are not its failure.
    Error(Error),
}

/// Whether work items of a run may be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunState {
    /// Yes.
    #[default]
    Open,
    /// Not before the run is resumed.
    Paused,
    /// Never again: the run was cancelled or has failed.
    Closed,
}

/// Hooks into the steps that [`step_distributed`](Workflow::step_distributed) executes.
///
/// The first two methods are required. The others have defaults: no retries, no time limit, the system clock.
///
/// ```
/// use jetway_core::{Context, Error, Workflow, distributed::{ItemProcessedOutcome, StepCallbacks}};
/// use std::time::Duration;
///
/// /// Logs every item and retries it without end.
/// struct Logging;
///
/// #[async_trait::async_trait]
/// impl<C: Context, W: Workflow<C, WorkItem: 'static>> StepCallbacks<C, W> for Logging {
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
    /// Called before a work item is executed.
    ///
    /// # Errors
    /// An error prevents the execution; the item goes back into the queue.
    async fn on_started(&self, run_id: String, item: W::WorkItem) -> Result<(), Error>;

    /// Called after a work item was executed and committed, or has failed without a retry.
    ///
    /// # Errors
    /// The step is reported as failed with this error. What was committed stays committed.
    async fn on_item_processed(
        &self,
        run_id: String,
        item: W::WorkItem,
        outcome: ItemProcessedOutcome,
    ) -> Result<(), Error>;

    /// Called when an item of this run was leased, before it is known whether the item can be executed.
    fn on_leased(&self, run_id: &str) {
        let _ignored = run_id;
    }

    /// Called before [`on_started`](Self::on_started) with the incarnation of the run: a run id can be used again. Not called
    /// where the context store keeps no snapshots.
    fn on_incarnation(&self, incarnation: Incarnation) {
        let _ignored = incarnation;
    }

    /// Cancel this token to abort a running step: its node is dropped, nothing of the attempt is committed, and the
    /// item goes back into the queue.
    fn abort_token(&self) -> CancellationToken {
        CancellationToken::new()
    }

    /// The number of the attempt at the item that was started last, from 1.
    fn attempt(&self) -> u32 {
        1
    }

    /// The time limit of one attempt at a node. An attempt that exceeds it fails with [`Error::Timeout`].
    fn step_timeout(&self) -> Option<Duration> {
        None
    }

    /// The clock that commits take their time from.
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    /// Called after a failed attempt, before anything is committed. `Some` asks for another attempt after that delay:
    /// the item goes back into the queue under the same id. `None` commits the failure: the run takes the node's
    /// `on_failure` edge where it has one, and fails otherwise. Over context stores without snapshots this is not
    /// called for a failure that an `on_failure` edge handles.
    ///
    /// # Errors
    /// Nothing is committed; the item goes back into the queue.
    async fn on_failed_attempt(
        &self,
        run_id: &str,
        item: &W::WorkItem,
        error: &Error,
    ) -> Result<Option<Duration>, Error> {
        let _ignored = (run_id, item, error);
        Ok(None)
    }

    /// Called with the snapshot of a run after a step of it was committed. Called again when the item of such a step is
    /// delivered again, so that a view that could not be written is written then. Calls may come out of order: another
    /// worker may already have reported a later snapshot.
    ///
    /// # Errors
    /// The item goes back into the queue, and this is called again at its next delivery.
    async fn on_committed(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let _ignored = snapshot;
        Ok(())
    }

    /// Whether items of a run may be executed. Called only where the context store keeps no snapshots; a snapshot has
    /// the status itself.
    ///
    /// # Errors
    /// Nothing is executed; the item goes back into the queue.
    async fn run_state(&self, run_id: &str) -> Result<RunState, Error> {
        let _ignored = run_id;
        Ok(RunState::Open)
    }
}
