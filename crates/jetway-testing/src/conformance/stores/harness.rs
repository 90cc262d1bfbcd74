//! A workflow and the stores that it runs over.

use super::{Stores, recording_callbacks::RecordingCallbacks, workflows::Ctx};
use crate::{conformance::DEADLINE, wait_until};
use jetway_core::{
    StepCallbacks, StepError, WorkQueue as _, Workflow, WorkflowCtx,
    distributed::{
        ContextStore as _, DistributedOrchestrator, DistributedWorker, OrchestratorBuilder, WorkerBuilder,
    },
    nodes::retry::{BackoffStrategy, RetryError, RetryPolicy},
};
use jetway_state::{
    Error,
    run::{Snapshot, Status},
};
use std::{sync::Arc, time::Duration};

/// The work items of a workflow.
pub(super) type ItemOf<W> = <W as Workflow<Ctx>>::WorkItem;
/// A queue of them.
pub(super) type QueueOf<S, W> = <S as Stores>::Queue<Ctx, ItemOf<W>>;

/// A worker over the stores of `S`.
pub(super) type Worker<S, W> = DistributedWorker<
    W,
    Ctx,
    QueueOf<S, W>,
    <S as Stores>::Runs,
    <S as Stores>::Metrics,
    <S as Stores>::Errors,
    <S as Stores>::Liveness,
    <S as Stores>::Items<ItemOf<W>>,
    <S as Stores>::Contexts<Ctx>,
>;

/// An orchestrator over the stores of `S`.
pub(super) type Orchestrator<S, W> = DistributedOrchestrator<
    W,
    Ctx,
    QueueOf<S, W>,
    <S as Stores>::Runs,
    <S as Stores>::Metrics,
    <S as Stores>::Errors,
    <S as Stores>::Liveness,
    <S as Stores>::Items<ItemOf<W>>,
    <S as Stores>::Contexts<Ctx>,
>;

/// A workflow and the stores that it runs over.
#[derive(Clone)]
pub(super) struct Harness<S, W> {
    pub(super) stores: S,
    pub(super) workflow: W,
}

impl<S, W> Harness<S, W>
where
    S: Stores,
    W: Workflow<Ctx, WorkItem: 'static> + 'static,
{
    pub(super) fn new(stores: &S, workflow: &W) -> Self {
        Self { stores: stores.clone(), workflow: workflow.clone() }
    }

    /// The same workflow over another connection.
    pub(super) async fn elsewhere(&self) -> Self {
        Self { stores: self.stores.another().await, workflow: self.workflow.clone() }
    }

    pub(super) fn queue(&self) -> QueueOf<S, W> {
        self.stores.queue()
    }

    pub(super) fn contexts(&self) -> S::Contexts<Ctx> {
        self.stores.contexts()
    }

    pub(super) async fn pending(&self, run_id: &str) -> Vec<ItemOf<W>> {
        self.queue().pending_work(run_id).await.expect("the queue can be read")
    }

    /// The context of a run as the last step left it.
    pub(super) async fn context(&self, run_id: &str) -> Ctx {
        self.contexts().get(run_id).await.expect("the context can be read").expect("the run has a context")
    }

    pub(super) async fn snapshot(&self, run_id: &str) -> Snapshot {
        let found = self.contexts().snapshot(run_id).await.expect("the record can be read");
        found.expect("the run has a record").0
    }

    /// Starts a run without executing anything.
    pub(super) async fn start(&self, run_id: &str, input: W::Input) {
        let ctx = started();
        let (contexts, queue) = (self.contexts(), self.queue());
        let begun = self.workflow.start_distributed(&ctx, input, &contexts, &queue, run_id).await;
        begun.expect("the run is started");
    }

    /// One step, if there is an item to be had.
    pub(super) async fn step(&self, callbacks: &Arc<RecordingCallbacks>) -> Step<W> {
        self.step_with(Arc::clone(callbacks) as _).await
    }

    /// One step with other callbacks.
    pub(super) async fn step_with(&self, callbacks: Arc<dyn StepCallbacks<Ctx, W>>) -> Step<W> {
        self.workflow.step_distributed(&self.contexts(), &self.queue(), 0, callbacks).await
    }

    /// Steps until the run ends or a step fails. Returns the answer of the run: its first output.
    pub(super) async fn drive(
        &self,
        run_id: &str,
        callbacks: &Arc<RecordingCallbacks>,
    ) -> Result<W::Output, Error> {
        wait_until("the run ends", DEADLINE, async || match self.step(callbacks).await {
            Ok(stepped) => {
                assert!(stepped.is_none_or(|(of, _output)| of == run_id), "a step of another run");
                self.answer(run_id).await
            }
            Err(failed) => Some(Err(failed.error)),
        })
        .await
    }

    /// The answer of a run that has ended.
    async fn answer(&self, run_id: &str) -> Option<Result<W::Output, Error>> {
        let record = self.snapshot(run_id).await;
        match (record.status, record.outputs.first()) {
            (Status::Running | Status::Paused | Status::Cancelling, _) => None,
            (Status::Completed, Some(output)) => Some(output.value.read()),
            _ => Some(Err(record.error.map_or(Error::NoOutput, |error| match error.kind.as_str() {
                "no_output" => Error::NoOutput,
                _ => Error::Failed(error.message),
            }))),
        }
    }

    /// Executes what there is until `run_id` has ended; failed attempts are tried again, as the worker's policy says.
    pub(super) async fn work_off(&self, worker: &Worker<S, W>, run_id: &str) {
        wait_until("the run ends", DEADLINE, async || {
            let failed = worker.run_once(0).await.err();
            assert!(!matches!(failed, Some(Error::Storage(_))), "{failed:?}");
            self.snapshot(run_id).await.status.is_terminal()
        })
        .await;
    }

    /// A worker with three attempts and short pauses.
    pub(super) fn worker(&self) -> Worker<S, W> {
        self.worker_with(retrying(3))
    }

    pub(super) fn worker_with(&self, policy: RetryPolicy) -> Worker<S, W> {
        self.builder().retry_policy(policy).build().expect("nothing is missing")
    }

    /// A worker with nothing but its stores set.
    pub(super) fn builder(&self) -> BuilderOf<S, W> {
        WorkerBuilder::new()
            .workflow(self.workflow.clone())
            .queue(self.queue())
            .context_store(self.contexts())
            .run_info_store(self.stores.runs())
            .metrics_store(self.stores.metrics())
            .error_store(self.stores.errors())
            .liveness_store(self.stores.liveness())
            .work_item_state_store(self.stores.items())
    }

    pub(super) fn orchestrator(&self) -> Orchestrator<S, W> {
        let builder = OrchestratorBuilder::new()
            .workflow(self.workflow.clone())
            .queue(self.queue())
            .context_store(self.contexts())
            .run_info_store(self.stores.runs())
            .metrics_store(self.stores.metrics())
            .error_store(self.stores.errors())
            .liveness_store(self.stores.liveness())
            .work_item_state_store(self.stores.items());
        builder.build().expect("nothing is missing")
    }
}

/// What puts a worker together.
pub(super) type BuilderOf<S, W> = WorkerBuilder<
    W,
    Ctx,
    QueueOf<S, W>,
    <S as Stores>::Runs,
    <S as Stores>::Metrics,
    <S as Stores>::Errors,
    <S as Stores>::Liveness,
    <S as Stores>::Items<ItemOf<W>>,
    <S as Stores>::Contexts<Ctx>,
>;

/// What comes of a step.
pub(super) type Step<W> =
    Result<Option<(String, <W as Workflow<Ctx>>::Output)>, StepError<<W as Workflow<Ctx>>::WorkItem>>;

/// An empty context.
pub(super) fn started() -> WorkflowCtx<Ctx> {
    WorkflowCtx::new(Ctx::default())
}

/// So many attempts, with short pauses between them.
pub(super) fn retrying(attempts: usize) -> RetryPolicy {
    let pause = Duration::from_millis(20);
    RetryPolicy::new(attempts, pause, pause, BackoffStrategy::Linear, RetryError::Generic)
}
