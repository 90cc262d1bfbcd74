//! The builder of a worker.

use super::DistributedWorker;
use crate::{
    Context, Merge, Workflow,
    clock::Clock,
    nodes::retry::{BackoffStrategy, RetryError, RetryPolicy},
    stores::{
        ContextStore, ErrorStore, LivenessStore, MetricsStore, RunInfoStore, WorkItemStateStore, WorkQueue,
    },
    workers::setters::{required, setters},
};
use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

/// Builds a [`DistributedWorker`].
///
/// The workflow, the queue and the six stores are required. By default a node has five attempts, one second after the
/// first failure and twice as long after each further one (at most 10 s, with jitter). By default a worker without work
/// polls the queue every 75 to 125 ms.
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
    clock: Option<Arc<dyn Clock>>,
    context: PhantomData<fn() -> C>,
}

impl<W, C, Q, RIS, MS, ES, LS, WISS, CS> WorkerBuilder<W, C, Q, RIS, MS, ES, LS, WISS, CS> {
    /// A builder without a workflow, a queue and stores.
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
            clock: None,
            context: PhantomData,
        }
    }

    setters! {
        /// Sets the workflow.
        workflow: W,
        /// Sets the queue of work items.
        queue: Q,
        /// Sets the store of contexts and snapshots.
        context_store: CS,
        /// Sets the store that lists runs.
        run_info_store: RIS,
        /// Sets the store of the metrics of runs.
        metrics_store: MS,
        /// Sets the store of failed attempts.
        error_store: ES,
        /// Sets the store of heartbeats and health.
        liveness_store: LS,
        /// Sets the store of work item states, which also counts attempts.
        work_item_state_store: WISS,
        /// Sets the time limit of one attempt at a node: see
        /// [`set_step_timeout`](DistributedWorker::set_step_timeout).
        step_timeout: Duration,
        /// Sets the delay after which a worker without work polls the queue again.
        idle_sleep_duration: Duration,
        /// Sets the jitter of that delay: it varies at random by up to half of this, in both directions.
        idle_sleep_jitter: Duration,
        /// Sets the clock. The default is that of the liveness store, or else the system clock. Times in snapshots and views come from it; delays and time
        /// limits do not.
        clock: Arc<dyn Clock>,
    }

    /// Sets the retry policy: see [`set_retry_policy`](DistributedWorker::set_retry_policy).
    #[must_use]
    pub fn retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.retry_policy = policy;
        self
    }

    /// Builds the worker.
    ///
    /// # Errors
    /// `<field> is required` where the workflow, the queue or a store is not set.
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
        worker.work_loop.clock = self.clock.unwrap_or(worker.work_loop.clock);
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
