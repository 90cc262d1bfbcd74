//! The orchestrator: starts runs over stores, controls them and answers queries about them.

mod builder;
mod command;
mod query;
#[cfg(test)]
mod tests;

pub use builder::OrchestratorBuilder;

use crate::{
    Context, Merge, Workflow, WorkflowCtx,
    clock::{Clock, SystemClock},
    stores::{
        ContextStore, ErrorStore, LivenessStore, MetricsStore, RunInfo, RunInfoStore, RunStatus,
        WorkItemStateStore, WorkQueue,
        types::date_time,
        views::{Views, log_failure},
    },
};
use chrono::{DateTime, Utc};
use jetway_state::{
    Error,
    run::{Snapshot, control},
};
use std::{fmt, marker::PhantomData, sync::Arc};
use uuid::Uuid;

/// Starts, pauses, resumes and ends runs of a workflow, and answers queries about them. It executes no steps: see
/// [`DistributedWorker`](super::worker::DistributedWorker).
///
/// Where the context store keeps snapshots, the status of a run is read from its snapshot, and a command is one
/// compare-and-swap of it, by the rules of [`run::control`](jetway_state::run::control). Otherwise the status is that
/// of the store of runs.
///
/// The type parameters are the workflow, its context, the queue, and the stores of runs, metrics, errors, liveness,
/// work item states and contexts. See [`OrchestratorBuilder`] for an example.
pub struct DistributedOrchestrator<W, C, Q, RIS, MS, ES, LS, WIS, CS>
where
    C: Context,
    W: Workflow<C>,
{
    workflow: W,
    queue: Q,
    contexts: CS,
    views: Views<W::WorkItem>,
    clock: Arc<dyn Clock>,
    kinds: PhantomData<Kinds<C, RIS, MS, ES, LS, WIS>>,
}

/// The types of the context and of the stores that keep the views.
type Kinds<C, RIS, MS, ES, LS, WIS> = fn() -> (C, RIS, MS, ES, LS, WIS);

impl<W, C, Q, RIS, MS, ES, LS, WIS, CS> DistributedOrchestrator<W, C, Q, RIS, MS, ES, LS, WIS, CS>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C, WorkItem: 'static>,
    Q: WorkQueue<C, W::WorkItem>,
    CS: ContextStore<C>,
{
    /// An orchestrator over these stores. Their order differs from that of
    /// [`DistributedWorker::new`](super::worker::DistributedWorker::new); [`OrchestratorBuilder`] names them.
    #[expect(clippy::too_many_arguments, reason = "every store is one; the builder names them")]
    pub fn new(
        workflow: W,
        queue: Q,
        run_info_store: RIS,
        metrics_store: MS,
        error_store: ES,
        liveness_store: LS,
        work_item_state_store: WIS,
        context_store: CS,
    ) -> Self
    where
        RIS: RunInfoStore + 'static,
        MS: MetricsStore + 'static,
        ES: ErrorStore + 'static,
        LS: LivenessStore + 'static,
        WIS: WorkItemStateStore<W::WorkItem> + 'static,
    {
        let views = Views {
            runs: Arc::new(run_info_store),
            metrics: Arc::new(metrics_store),
            errors: Arc::new(error_store),
            liveness: Arc::new(liveness_store),
            items: Arc::new(work_item_state_store),
        };
        let clock = views.liveness.clock().unwrap_or_else(|| Arc::new(SystemClock));
        Self { workflow, queue, contexts: context_store, views, clock, kinds: PhantomData }
    }

    /// Starts a run and returns its id, a new UUID. The run is listed before a worker can execute it.
    ///
    /// # Errors
    /// The error of a store. The run then does not exist, or is cancelled.
    pub async fn start_run(&self, ctx: &WorkflowCtx<C>, input: W::Input) -> Result<String, Error> {
        let run_id = Uuid::new_v4().to_string();
        let (started_at, status) = (self.now(), RunStatus::Running);
        let run = RunInfo { run_id: run_id.clone(), status, started_at, finished_at: None, output: None };
        self.views.runs.insert_run(run).await?;
        let ctx = ctx.clone().with_clock(Arc::clone(&self.clock));
        let started =
            self.workflow.start_distributed(&ctx, input, &self.contexts, &self.queue, &run_id).await;
        if let Err(error) = started {
            log_failure(&self.cancel_unstarted(&run_id).await, "run", &run_id);
            return Err(error);
        }
        Ok(run_id)
    }

    /// Cancels a run that could not be started. The caller does not know its id.
    async fn cancel_unstarted(&self, run_id: &str) -> Result<(), Error> {
        match self.swap(run_id, control::cancel).await {
            Ok(Some(snapshot)) => self.views.update(&snapshot).await,
            Ok(None) | Err(Error::NotStarted) => {
                let ended = self.views.runs.finish_run(run_id, RunStatus::Cancelled, None, self.now()).await;
                Ok(ended.map(drop)?)
            }
            Err(error) => Err(error),
        }
    }

    fn now(&self) -> DateTime<Utc> {
        date_time(self.clock.now())
    }

    /// The snapshot of a run and its revision; `None` where the context store keeps no snapshots.
    async fn snapshot(&self, run_id: &str) -> Result<Option<(Snapshot, u64)>, Error> {
        if !self.contexts.keeps_snapshots() {
            return Ok(None);
        }
        self.contexts.snapshot(run_id).await?.ok_or(Error::NotStarted).map(Some)
    }

    /// The current state of the run.
    async fn info(&self, run_id: &str) -> Result<RunInfo, Error> {
        match self.snapshot(run_id).await? {
            Some((snapshot, _)) => RunInfo::try_from(&snapshot),
            None => self.views.runs.get_run(run_id).await?.ok_or(Error::NotStarted),
        }
    }
}

impl<W, C, Q, RIS, MS, ES, LS, WIS, CS> fmt::Debug
    for DistributedOrchestrator<W, C, Q, RIS, MS, ES, LS, WIS, CS>
where
    C: Context,
    W: Workflow<C>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DistributedOrchestrator")
            .field("workflow", &self.workflow.name())
            .finish_non_exhaustive()
    }
}
