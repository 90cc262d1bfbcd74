//! Workers that execute runs, over stores that the caller chooses.

mod builder;
mod heartbeat;
mod pool;
mod step;
#[cfg(test)]
mod tests;
mod work_loop;

pub use builder::WorkerBuilder;
pub use pool::WorkerPool;

use crate::stores::{
    ContextStore, ErrorStore, LivenessStore, MetricsStore, RunInfoStore, WorkItemStateStore, WorkQueue,
    views::Views,
};
use crate::{Context, Merge, Workflow, nodes::retry::RetryPolicy};
use jetway_state::Error;
use std::{convert::Infallible, fmt, marker::PhantomData, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use work_loop::WorkLoop;

/// Takes work items of any run of a workflow from a queue and executes them, one at a time for each worker id.
///
/// A worker that is lost in the middle of a step loses nothing: its lease ends, and another one takes the item. The same
/// holds where the future of a step is dropped, by a `select!` or a time limit around it: the queue is
/// [told](WorkQueue::abandon). Worker ids only tell workers apart in the views; two processes may use the same ones.
///
/// Clones share the stores and what is known of the health of each worker.
///
/// The type parameters are the workflow, its context, the queue, and the stores of run infos, metrics, errors, signs of
/// life, work item states and contexts. See [`WorkerBuilder`] for an example.
pub struct DistributedWorker<W, C, Q, RIS, MS, ES, LS, WISS, CS>
where
    C: Context,
    W: Workflow<C>,
{
    work_loop: WorkLoop<W, C, Q, CS>,
    views: PhantomData<Kinds<RIS, MS, ES, LS, WISS>>,
}

/// Which stores keep the views.
type Kinds<RIS, MS, ES, LS, WISS> = fn() -> (RIS, MS, ES, LS, WISS);

impl<W, C, Q, RIS, MS, ES, LS, WISS, CS> DistributedWorker<W, C, Q, RIS, MS, ES, LS, WISS, CS>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C, WorkItem: 'static>,
    Q: WorkQueue<C, W::WorkItem>,
    CS: ContextStore<C> + Clone + 'static,
{
    /// A worker without a retry policy: the first failure of a node fails its run.
    #[expect(clippy::too_many_arguments, reason = "every store is one; the builder names them")]
    pub fn new(
        workflow: W,
        queue: Q,
        context_store: CS,
        run_info_store: RIS,
        metrics_store: MS,
        error_store: ES,
        liveness_store: LS,
        work_item_state_store: WISS,
    ) -> Self
    where
        RIS: RunInfoStore + 'static,
        MS: MetricsStore + 'static,
        ES: ErrorStore + 'static,
        LS: LivenessStore + 'static,
        WISS: WorkItemStateStore<W::WorkItem> + 'static,
    {
        let views = Views {
            runs: Arc::new(run_info_store),
            metrics: Arc::new(metrics_store),
            errors: Arc::new(error_store),
            liveness: Arc::new(liveness_store),
            items: Arc::new(work_item_state_store),
        };
        Self { work_loop: WorkLoop::new(workflow, queue, context_store, views), views: PhantomData }
    }

    /// Sets which failed attempts are followed by another one, and when.
    ///
    /// The item waits in the queue meanwhile, under the same id, so that nothing is lost with this process. Attempts
    /// are counted in the store of work item states. They are counted when they begin: one that is lost with its
    /// worker counts, and so does one that was given back, or that a store kept from being committed. Such an attempt
    /// fails nothing, however many there are; but where there were `max_attempts` of them, the node's own next failure is
    /// final.
    pub fn set_retry_policy(&mut self, policy: RetryPolicy) {
        self.work_loop.retry = Some(policy);
    }

    /// Limits how long an attempt at a node may take; there is no limit otherwise, also where the context that a run was
    /// started with has one. An attempt that takes longer is dropped, and fails with [`Error::Timeout`]: it is tried again
    /// where the retry policy covers time limits, takes the node's `on_failure` edge, or fails its run.
    pub fn set_step_timeout(&mut self, limit: Duration) {
        self.work_loop.limit = Some(limit);
    }

    /// Executes one work item, where one waits. Returns the run's id and output where that ended the run.
    ///
    /// # Errors
    /// What the node failed with, also where it will be tried again; what the stores failed with. Nothing is lost by
    /// either.
    pub async fn run_once(&self, worker_id: usize) -> Result<Option<(String, W::Output)>, Error> {
        self.work_loop.once(worker_id, &CancellationToken::new()).await.result
    }

    /// Executes work items as long as the future is polled. Where none waits it looks again after the idle time.
    /// Dropping the future may drop a node in the middle, whose item then comes back; [`WorkerPool::stop`] does not.
    pub async fn run_forever(&self, worker_id: usize) -> Infallible {
        let never = CancellationToken::new();
        loop {
            self.work_loop.turn(worker_id, &never, &never).await;
        }
    }

    /// Gives a sign of life. Executing work items does so too, every second while one runs.
    pub async fn heartbeat(&self, worker_id: usize) {
        self.work_loop.heartbeat_of(worker_id).beat().await;
    }
}

impl<W, C, Q, RIS, MS, ES, LS, WISS, CS> Clone for DistributedWorker<W, C, Q, RIS, MS, ES, LS, WISS, CS>
where
    C: Context,
    W: Workflow<C>,
    Q: Clone,
    CS: Clone,
{
    fn clone(&self) -> Self {
        Self { work_loop: self.work_loop.clone(), views: PhantomData }
    }
}

impl<W, C, Q, RIS, MS, ES, LS, WISS, CS> fmt::Debug for DistributedWorker<W, C, Q, RIS, MS, ES, LS, WISS, CS>
where
    C: Context,
    W: Workflow<C>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DistributedWorker")
            .field("workflow", &self.work_loop.workflow.name())
            .field("retry", &self.work_loop.retry)
            .finish_non_exhaustive()
    }
}
