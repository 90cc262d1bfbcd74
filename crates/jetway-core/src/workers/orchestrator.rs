//! Starting runs, asking about them, and telling them to stop, to wait and to go on.

mod ask;
mod builder;
mod command;
#[cfg(test)]
mod tests;

pub use builder::OrchestratorBuilder;

use crate::stores::{
    ContextStore, ErrorStore, LivenessStore, MetricsStore, RunInfo, RunInfoStore, RunStatus,
    WorkItemStateStore, WorkQueue,
    views::{Views, written},
};
use crate::{Context, Merge, Workflow, WorkflowCtx};
use chrono::Utc;
use jetway_state::{
    Error,
    run::{Snapshot, control},
};
use std::{fmt, marker::PhantomData, sync::Arc};
use uuid::Uuid;

/// Starts runs of a workflow, answers what is asked about them, and tells them to stop, to wait and to go on. It
/// executes nothing: see [`DistributedWorker`](super::DistributedWorker).
///
/// Where the context store keeps snapshots, every answer about where a run stands is read from its record, and every
/// command is one compare-and-swap of it, by the rules of [`run::control`](jetway_state::run::control). Otherwise the store of
/// run infos is all there is.
///
/// The type parameters are the workflow, its context, the queue, and the stores of run infos, metrics, errors, signs of
/// life, work item states and contexts. See [`OrchestratorBuilder`] for an example.
pub struct DistributedOrchestrator<W, C, Q, RIS, MS, ES, LS, WIS, CS>
where
    C: Context,
    W: Workflow<C>,
{
    workflow: W,
    queue: Q,
    contexts: CS,
    views: Views<W::WorkItem>,
    kinds: PhantomData<Kinds<C, RIS, MS, ES, LS, WIS>>,
}

/// The context, and which stores keep the views.
type Kinds<C, RIS, MS, ES, LS, WIS> = fn() -> (C, RIS, MS, ES, LS, WIS);

impl<W, C, Q, RIS, MS, ES, LS, WIS, CS> DistributedOrchestrator<W, C, Q, RIS, MS, ES, LS, WIS, CS>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C, WorkItem: 'static>,
    Q: WorkQueue<C, W::WorkItem>,
    CS: ContextStore<C>,
{
    /// An orchestrator over these stores. Their order is not that of a worker's: prefer the builder, which names them.
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
        Self { workflow, queue, contexts: context_store, views, kinds: PhantomData }
    }

    /// Starts a run and returns its id. The run is listed before any worker can take up its work.
    ///
    /// # Errors
    /// What the stores failed with: then the run does not exist, or is cancelled.
    pub async fn start_run(&self, ctx: &WorkflowCtx<C>, input: W::Input) -> Result<String, Error> {
        let run_id = Uuid::new_v4().to_string();
        let (started_at, status) = (Utc::now(), RunStatus::Running);
        let run = RunInfo { run_id: run_id.clone(), status, started_at, finished_at: None, output: None };
        self.views.runs.insert_run(run).await?;
        let started = self.workflow.start_distributed(ctx, input, &self.contexts, &self.queue, &run_id).await;
        if let Err(error) = started {
            written(&self.call_off(&run_id).await, "that a run could not be started", &run_id);
            return Err(error);
        }
        Ok(run_id)
    }

    /// Ends a run that could not be started: nobody knows its id.
    async fn call_off(&self, run_id: &str) -> Result<(), Error> {
        match self.swap(run_id, control::cancel).await {
            Ok(Some(snapshot)) => self.views.follow(&snapshot).await,
            Ok(None) | Err(Error::NotStarted) => {
                let ended = self.views.runs.finish_run(run_id, RunStatus::Cancelled, None, Utc::now()).await;
                Ok(ended.map(drop)?)
            }
            Err(error) => Err(error),
        }
    }

    /// The record of a run and its revision; `None` where the context store keeps no records.
    async fn record(&self, run_id: &str) -> Result<Option<(Snapshot, u64)>, Error> {
        if !self.contexts.keeps_snapshots() {
            return Ok(None);
        }
        self.contexts.snapshot(run_id).await?.ok_or(Error::NotStarted).map(Some)
    }

    /// The run as it stands.
    async fn info(&self, run_id: &str) -> Result<RunInfo, Error> {
        match self.record(run_id).await? {
            Some((snapshot, _)) => Ok(RunInfo::from(&snapshot)),
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
