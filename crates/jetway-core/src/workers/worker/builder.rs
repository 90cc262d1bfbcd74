//! Putting a worker together.

use super::DistributedWorker;
use crate::{
    Context, Merge, Workflow,
    nodes::retry::{BackoffStrategy, RetryError, RetryPolicy},
    stores::{
        ContextStore, ErrorStore, LivenessStore, MetricsStore, RunInfoStore, WorkItemStateStore, WorkQueue,
    },
    workers::setters::{required, setters},
};
use std::{fmt, marker::PhantomData, time::Duration};

/// Puts a [`DistributedWorker`] together.
///
/// Unless told otherwise the worker tries a node that fails up to five times, one second after the first failure and
/// twice as long after each further one, and looks for work every 100 ms, give or take 25 ms, while there is none.
///
/// ```
/// # use jetway_core::{Error, WorkItem, Workflow, WorkflowCtx};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
/// # struct Item(String, u32);
/// # impl std::fmt::Display for Item {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(&self.0) }
/// # }
/// # impl WorkItem for Item {
/// #     fn instance_id(&self) -> String { self.0.clone() }
/// #     fn with_instance_id(self, id: String) -> Self { Self(id, self.1) }
/// #     fn is_terminal(&self) -> bool { true }
/// # }
/// # #[derive(Debug, Clone)]
/// # struct Double;
/// # #[async_trait::async_trait]
/// # impl Workflow<()> for Double {
/// #     type Input = u32;
/// #     type Output = u32;
/// #     type WorkItem = Item;
/// #     fn name(&self) -> &'static str { "double" }
/// #     fn start_work_item(&self, input: u32) -> Item { Item("start".into(), input) }
/// #     fn to_dot(&self) -> &'static str { "" }
/// #     async fn process_work_item<'a>(
/// #         &'a self, _: &'a WorkflowCtx<()>, item: Item, _: &mut std::collections::VecDeque<Item>,
/// #     ) -> Result<Option<u32>, Error> { Ok(Some(item.1 * 2)) }
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use jetway_core::distributed::{
///     InMemoryContextStore, InMemoryErrorStore, InMemoryLivenessStore, InMemoryMetricsStore,
///     InMemoryRunInfoStore, InMemoryWorkItemStateStore, InMemoryWorkQueue, WorkerBuilder,
/// };
///
/// let (queue, contexts) = (InMemoryWorkQueue::new(), InMemoryContextStore::new());
/// let worker = WorkerBuilder::new()
///     .workflow(Double)
///     .queue(queue.clone())
///     .context_store(contexts.clone())
///     .run_info_store(InMemoryRunInfoStore::new())
///     .metrics_store(InMemoryMetricsStore::new())
///     .error_store(InMemoryErrorStore::new())
///     .liveness_store(InMemoryLivenessStore::new())
///     .work_item_state_store(InMemoryWorkItemStateStore::new())
///     .build()?;
/// Double.start_distributed(&WorkflowCtx::new(()), 21, &contexts, &queue, "r1").await.unwrap();
/// assert_eq!(worker.run_once(0).await.unwrap(), Some(("r1".to_owned(), 42)));
/// # Ok::<_, String>(()) }).unwrap();
/// ```
pub struct WorkerBuilder<W, C, Q, RIS, MS, ES, LS, WISS, CS> {
    workflow: Option<W>,
    queue: Option<Q>,
    context_store: Option<CS>,
    run_info_store: Option<RIS>,
    metrics_store: Option<MS>,
    error_store: Option<ES>,
    liveness_store: Option<LS>,
    work_item_state_store: Option<WISS>,
    retry_policy: RetryPolicy,
    step_timeout: Option<Duration>,
    idle_sleep_duration: Option<Duration>,
    idle_sleep_jitter: Option<Duration>,
    context: PhantomData<fn() -> C>,
}

impl<W, C, Q, RIS, MS, ES, LS, WISS, CS> WorkerBuilder<W, C, Q, RIS, MS, ES, LS, WISS, CS> {
    /// Nothing is set yet.
    pub fn new() -> Self {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(10));
        let policy = RetryPolicy::new(5, first, longest, BackoffStrategy::Exponential, RetryError::Generic);
        Self {
            workflow: None,
            queue: None,
            context_store: None,
            run_info_store: None,
            metrics_store: None,
            error_store: None,
            liveness_store: None,
            work_item_state_store: None,
            retry_policy: policy.with_jitter(first / 4),
            step_timeout: None,
            idle_sleep_duration: None,
            idle_sleep_jitter: None,
            context: PhantomData,
        }
    }

    setters! {
        /// Sets the workflow.
        workflow: W,
        /// Sets where work items wait.
        queue: Q,
        /// Sets where contexts and records are kept.
        context_store: CS,
        /// Sets where runs are listed.
        run_info_store: RIS,
        /// Sets where the numbers of runs are kept.
        metrics_store: MS,
        /// Sets where failed attempts are recorded.
        error_store: ES,
        /// Sets where workers give signs of life.
        liveness_store: LS,
        /// Sets where attempts are counted.
        work_item_state_store: WISS,
        /// Sets how long an attempt at a node may take: see
        /// [`set_step_timeout`](DistributedWorker::set_step_timeout).
        step_timeout: Duration,
        /// Sets how long the worker waits where there is no work.
        idle_sleep_duration: Duration,
        /// Sets by how much that time differs, by chance: up to half of this, either way.
        idle_sleep_jitter: Duration,
    }

    /// Sets which failed attempts are followed by another one, and when.
    #[must_use]
    pub fn retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.retry_policy = policy;
        self
    }

    /// The worker.
    ///
    /// # Errors
    /// `<field> is required`, where one of the eight parts was not set.
    #[expect(clippy::type_complexity, reason = "one parameter for each part is the interface")]
    pub fn build(self) -> Result<DistributedWorker<W, C, Q, RIS, MS, ES, LS, WISS, CS>, String>
    where
        C: Context + Merge + Default + 'static,
        W: Workflow<C, WorkItem: 'static>,
        Q: WorkQueue<C, W::WorkItem>,
        RIS: RunInfoStore + 'static,
        MS: MetricsStore + 'static,
        ES: ErrorStore + 'static,
        LS: LivenessStore + 'static,
        WISS: WorkItemStateStore<W::WorkItem> + 'static,
        CS: ContextStore<C> + Clone + 'static,
    {
        let mut worker = DistributedWorker::new(
            required!(self.workflow),
            required!(self.queue),
            required!(self.context_store),
            required!(self.run_info_store),
            required!(self.metrics_store),
            required!(self.error_store),
            required!(self.liveness_store),
            required!(self.work_item_state_store),
        );
        worker.set_retry_policy(self.retry_policy);
        worker.work_loop.limit = self.step_timeout;
        worker.work_loop.idle = self.idle_sleep_duration.unwrap_or(worker.work_loop.idle);
        worker.work_loop.jitter = self.idle_sleep_jitter.unwrap_or(worker.work_loop.jitter);
        Ok(worker)
    }
}

impl<W, C, Q, RIS, MS, ES, LS, WISS, CS> Default for WorkerBuilder<W, C, Q, RIS, MS, ES, LS, WISS, CS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<W, C, Q, RIS, MS, ES, LS, WISS, CS> fmt::Debug for WorkerBuilder<W, C, Q, RIS, MS, ES, LS, WISS, CS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder").field("retry_policy", &self.retry_policy).finish_non_exhaustive()
    }
}
