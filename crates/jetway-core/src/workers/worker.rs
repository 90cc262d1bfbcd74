//! Workers: they lease work items from a queue and execute them, over stores that the caller chooses.

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

/// Leases work items of any run of a workflow from a queue and executes them, one at a time for each worker id.
///
/// A worker that crashes during a step loses nothing: its lease expires, and another worker executes the item. The same
/// holds where the future of a step is dropped, for example by a `select!` or a timeout around it: the lease is then
/// [abandoned](WorkQueue::abandon). Worker ids distinguish workers in the views alone; two processes may use the same
/// ids.
///
/// Clones share the stores and the health of the workers.
///
/// The type parameters are the workflow, its context, the queue, and the stores of runs, metrics, errors, liveness,
/// work item states and contexts. See [`WorkerBuilder`] for an example.
pub struct DistributedWorker<W, C, Q, RIS, MS, ES, LS, WISS, CS>
where
    C: Context,
    W: Workflow<C>,
{
    work_loop: WorkLoop<W, C, Q, CS>,
    views: PhantomData<Kinds<RIS, MS, ES, LS, WISS>>,
}

/// The types of the stores that keep the views.
type Kinds<RIS, MS, ES, LS, WISS> = fn() -> (RIS, MS, ES, LS, WISS);

impl<W, C, Q, RIS, MS, ES, LS, WISS, CS> DistributedWorker<W, C, Q, RIS, MS, ES, LS, WISS, CS>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C, WorkItem: 'static>,
    Q: WorkQueue<C, W::WorkItem>,
    CS: ContextStore<C> + Clone + 'static,
{
    /// A worker without a retry policy: the first failure of a node fails its run. [`WorkerBuilder`] names the stores.
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

    /// Sets the retry policy: which failed attempts are retried, and after which delay.
    ///
    /// Until then the item waits in the queue under the same id, so that it survives a crash of this process.
    ///
    /// Attempts are counted in the store of work item states, when they begin. An attempt without a result also counts:
    /// one whose worker crashed, one that was given back, and one that a store failure prevented from being committed.
    /// Such an attempt never fails the run, but once `max_attempts` have begun, the next failure of the node does.
    pub fn set_retry_policy(&mut self, policy: RetryPolicy) {
        self.work_loop.retry = Some(policy);
    }

    /// Sets the time limit of one attempt at a node. The default is no limit; the limit of the context that a run was
    /// started with has no effect here.
    ///
    /// An attempt that exceeds the limit is dropped and fails with [`Error::Timeout`]. The retry policy applies to it
    /// where it covers timeouts; otherwise the run takes the node's `on_failure` edge, or fails.
    pub fn set_step_timeout(&mut self, limit: Duration) {
        self.work_loop.limit = Some(limit);
    }

    /// Executes one work item, if there is one. Returns the run id and the output where its node was terminal and gave an
    /// output, as [`step_distributed`](Workflow::step_distributed) does. Other branches of the run may continue.
    ///
    /// # Errors
    /// The error of the node, also where it will be retried, or of a store. The item is not lost.
    pub async fn run_once(&self, worker_id: usize) -> Result<Option<(String, W::Output)>, Error> {
        self.work_loop.poll_once(worker_id, &CancellationToken::new()).await.result
    }

    /// Executes work items for as long as the future is polled. While the queue is empty it polls it again after each
    /// idle delay. Dropping the future drops a running node, whose item is then delivered again; [`WorkerPool::stop`]
    /// lets the node finish.
    pub async fn run_forever(&self, worker_id: usize) -> Infallible {
        let never = CancellationToken::new();
        loop {
            self.work_loop.poll_or_wait(worker_id, &never, &never).await;
        }
    }

    /// Sends a heartbeat to the liveness store. A worker that executes work items also does so, at least once a second.
    pub async fn heartbeat(&self, worker_id: usize) {
        self.work_loop.heartbeat_of(worker_id).send().await;
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
