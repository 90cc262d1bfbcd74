//! The builder of an orchestrator.

use super::DistributedOrchestrator;
use crate::{
    Context, Merge, Workflow,
    clock::Clock,
    stores::{
        ContextStore, ErrorStore, LivenessStore, MetricsStore, RunInfoStore, WorkItemStateStore, WorkQueue,
    },
    workers::setters::{required, setters},
};
use std::{fmt, marker::PhantomData, sync::Arc};

/// Builds a [`DistributedOrchestrator`]. The workflow, the queue and the six stores are required.
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
///     InMemoryRunInfoStore, InMemoryWorkItemStateStore, InMemoryWorkQueue, OrchestratorBuilder, RunStatus,
/// };
///
/// let orchestrator = OrchestratorBuilder::new()
///     .workflow(Double)
///     .queue(InMemoryWorkQueue::new())
///     .run_info_store(InMemoryRunInfoStore::new())
///     .metrics_store(InMemoryMetricsStore::new())
///     .error_store(InMemoryErrorStore::new())
///     .liveness_store(InMemoryLivenessStore::new())
///     .work_item_state_store(InMemoryWorkItemStateStore::new())
///     .context_store(InMemoryContextStore::new())
///     .build()?;
/// let run_id = orchestrator.start_run(&WorkflowCtx::new(()), 21).await.unwrap();
/// orchestrator.cancel(&run_id).await.unwrap();
/// assert_eq!(orchestrator.status(&run_id).await.unwrap(), RunStatus::Cancelled);
/// # Ok::<_, String>(()) }).unwrap();
/// ```
pub struct OrchestratorBuilder<W, C, Q, RIS, MS, ES, LS, WIS, CS> {
    workflow: Option<W>,
    queue: Option<Q>,
    run_info_store: Option<RIS>,
    metrics_store: Option<MS>,
    error_store: Option<ES>,
    liveness_store: Option<LS>,
    work_item_state_store: Option<WIS>,
    context_store: Option<CS>,
    clock: Option<Arc<dyn Clock>>,
    context: PhantomData<fn() -> C>,
}

impl<W, C, Q, RIS, MS, ES, LS, WIS, CS> OrchestratorBuilder<W, C, Q, RIS, MS, ES, LS, WIS, CS> {
    /// A builder without a workflow, a queue and stores.
    pub fn new() -> Self {
        Self {
            workflow: None,
            queue: None,
            run_info_store: None,
            metrics_store: None,
            error_store: None,
            liveness_store: None,
            work_item_state_store: None,
            context_store: None,
            clock: None,
            context: PhantomData,
        }
    }

    setters! {
        /// Sets the workflow.
        workflow: W,
        /// Sets the queue of work items.
        queue: Q,
        /// Sets the store that lists runs.
        run_info_store: RIS,
        /// Sets the store of the metrics of runs.
        metrics_store: MS,
        /// Sets the store of failed attempts.
        error_store: ES,
        /// Sets the store of heartbeats and health.
        liveness_store: LS,
        /// Sets the store of work item states.
        work_item_state_store: WIS,
        /// Sets the store of contexts and snapshots.
        context_store: CS,
        /// Sets the clock. The default is that of the liveness store, or else the system clock. Times in snapshots and views come from it.
        clock: Arc<dyn Clock>,
    }

    /// Builds the orchestrator.
    ///
    /// # Errors
    /// `<field> is required` where the workflow, the queue or a store is not set.
    #[expect(clippy::type_complexity, reason = "one parameter for each part is the interface")]
    pub fn build(self) -> Result<DistributedOrchestrator<W, C, Q, RIS, MS, ES, LS, WIS, CS>, String>
    where
        C: Context + Merge + Default + 'static,
        W: Workflow<C, WorkItem: 'static>,
        Q: WorkQueue<C, W::WorkItem>,
        RIS: RunInfoStore + 'static,
        MS: MetricsStore + 'static,
        ES: ErrorStore + 'static,
        LS: LivenessStore + 'static,
        WIS: WorkItemStateStore<W::WorkItem> + 'static,
        CS: ContextStore<C>,
    {
        let mut orchestrator = DistributedOrchestrator::new(
            required!(self.workflow),
            required!(self.queue),
            required!(self.run_info_store),
            required!(self.metrics_store),
            required!(self.error_store),
            required!(self.liveness_store),
            required!(self.work_item_state_store),
            required!(self.context_store),
        );
        orchestrator.clock = self.clock.unwrap_or(orchestrator.clock);
        Ok(orchestrator)
    }
}

impl<W, C, Q, RIS, MS, ES, LS, WIS, CS> Default for OrchestratorBuilder<W, C, Q, RIS, MS, ES, LS, WIS, CS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<W, C, Q, RIS, MS, ES, LS, WIS, CS> fmt::Debug
    for OrchestratorBuilder<W, C, Q, RIS, MS, ES, LS, WIS, CS>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrchestratorBuilder").finish_non_exhaustive()
    }
}
