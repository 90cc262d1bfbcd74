//! The [`Workflow`] trait, its runner within one process, and its steps over stores.

pub mod callbacks;
mod checkpointed;
mod local;
pub(crate) mod new_run;
pub(crate) mod over_stores;

pub use crate::work_item::WorkItem;
use crate::{
    CheckpointStore, Context, ContextStore, Merge, Outcome, StepCallbacks, StepError, WorkQueue, WorkflowCtx,
    outcome::Emission, signal::SignalType, step_rules::StepRules,
};
use async_trait::async_trait;
use jetway_state::{Error, Graph};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::VecDeque, fmt::Debug, sync::Arc, time::Duration};

/// A typed graph of nodes with a name, a start node and a context of type `C`.
///
/// The `workflow!` macro implements it. [`run`](Self::run) executes it in the calling task:
///
/// ```
/// use jetway_core::{Transition, Workflow, WorkflowCtx};
/// # extern crate jetway_core as jetway;
/// # use jetway_macros::{node, workflow};
///
/// node! { pub struct Double; input = u64; output = u64; |_, x| Ok(Transition::Next(x * 2)) }
/// workflow! {
///     pub struct Twice { first: Double, second: Double }
///     start = first;
///     edges { first => [second]; second => []; }
/// }
///
/// # fn main() {
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(async {
/// let twice = Twice { first: Double, second: Double };
/// assert_eq!(twice.run(&WorkflowCtx::new(()), 3).await, Ok(12));
/// assert!(twice.to_dot().contains("First -> Second;"));
/// # });
/// # }
/// ```
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a workflow with the context `{C}`",
    note = "define it with the `workflow!` macro and `context = {C};`"
)]
pub trait Workflow<C: Context>: Debug + Clone + Send + Sync {
    /// The input of the start node.
    type Input: Send + Sync + Serialize + DeserializeOwned;
    /// The output of the terminal nodes.
    type Output: Send + Sync + Serialize + DeserializeOwned;
    /// The work items: one variant for each node.
    type WorkItem: WorkItem;

    /// The workflow's name, `[A-Za-z0-9_-]{1,64}`. It is part of subjects, keys, logs and spans.
    fn name(&self) -> &'static str;

    /// The first work item of a run with this input.
    fn start_work_item(&self, input: Self::Input) -> Self::WorkItem;

    /// Runs one work item once, appends its successors to `queue`, and returns the output where its node is terminal.
    ///
    /// It sees a single item and no other state of the run, so a gathering node runs once for each value. Runners call
    /// [`attempt_work_item`](Self::attempt_work_item) instead.
    ///
    /// # Errors
    /// The node's error, where no `on_failure` edge handles it.
    async fn process_work_item<'a>(
        &'a self,
        ctx: &'a WorkflowCtx<C>,
        item: Self::WorkItem,
        queue: &mut VecDeque<Self::WorkItem>,
    ) -> Result<Option<Self::Output>, Error>;

    /// The graph in the DOT language of Graphviz: see [`Graph::to_dot`].
    fn to_dot(&self) -> &'static str;

    /// The graph as data. The default has the name alone, and no gathering nodes.
    fn graph(&self) -> Graph {
        Graph::opaque(self.name())
    }

    /// The signals that its nodes may wait for, as the nodes declare them. The default is none.
    fn signals(&self) -> Vec<SignalType> {
        Vec::new()
    }

    /// Runs one work item once and returns the outcome. A node's error is an [`Outcome::Failed`], never a panic.
    async fn attempt_work_item<'a>(
        &'a self,
        ctx: &'a WorkflowCtx<C>,
        item: Self::WorkItem,
    ) -> Outcome<Self::WorkItem, Self::Output> {
        let mut queue = VecDeque::new();
        match self.process_work_item(ctx, item, &mut queue).await {
            Ok(output) => Outcome::Next(Emission { items: queue.into(), output }),
            Err(error) => Outcome::Failed(error),
        }
    }

    /// The outcome of an item whose node has run, and whose result cannot be kept: the `on_failure` edge of the node, if it
    /// has one.
    #[doc(hidden)]
    fn fail_work_item(&self, item: Self::WorkItem, error: Error) -> Outcome<Self::WorkItem, Self::Output> {
        let _ignored = item;
        Outcome::Failed(error)
    }

    /// The retry policy and the time limits of the steps of a node.
    #[doc(hidden)]
    fn step_rules(&self, node: &str) -> StepRules {
        let _ignored = node;
        StepRules::default()
    }

    /// How long a run of the workflow may take: the clause `deadline`.
    #[doc(hidden)]
    fn deadline(&self) -> Option<Duration> {
        None
    }

    /// The work items that clean up after an item whose run was cancelled before its node ran: the targets of the `on_cancel` edge
    /// of the node, with its input. Empty without such an edge.
    #[doc(hidden)]
    fn cancel_work_item(&self, item: Self::WorkItem) -> Vec<Self::WorkItem> {
        let _ignored = item;
        Vec::new()
    }

    /// Runs the workflow to its end in this process, one work item after the other, in the order in which they were
    /// created. Returns the first output, after all branches have ended. Nothing is durable.
    ///
    /// # Errors
    /// The error of the node that failed the run, or [`Error::NoOutput`].
    async fn run<'a>(&'a self, ctx: &'a WorkflowCtx<C>, input: Self::Input) -> Result<Self::Output, Error> {
        local::run(self, ctx, input).await
    }

    /// As [`run`](Self::run), and saves a checkpoint before the first step and after every step. Where the store has a
    /// checkpoint of `id`, the run continues from it and `input` is ignored. A run that has ended returns its output
    /// again and executes nothing.
    ///
    /// The run changes a deep copy of the context, which is saved with each checkpoint; the caller's context does not
    /// change.
    ///
    /// # Errors
    /// The error of the node that failed the run, [`Error::NoOutput`], or the store's error.
    async fn run_with_checkpoint<CS>(
        &self,
        ctx: &WorkflowCtx<C>,
        input: Self::Input,
        store: &CS,
        id: &str,
    ) -> Result<Self::Output, Error>
    where
        CS: CheckpointStore<C, Self::WorkItem> + Send + Sync,
    {
        checkpointed::run(self, ctx, input, store, id).await
    }

    /// Continues a run from its last checkpoint.
    ///
    /// # Errors
    /// [`Error::NotStarted`] where there is no checkpoint, [`Error::AlreadyCompleted`] where the run has ended, the
    /// error of the node that failed the run, or the store's error.
    async fn resume<CS>(&self, store: &CS, id: &str) -> Result<Self::Output, Error>
    where
        CS: CheckpointStore<C, Self::WorkItem> + Send + Sync,
    {
        checkpointed::resume(self, store, id).await
    }

    /// Creates a run for workers to execute: stores its context and queues its first work item. Executes nothing. A
    /// second call with the same id and input changes nothing. An id can be used again when the context store has no record
    /// of it any more: the new run is another [incarnation](jetway_state::Incarnation), and nothing of the earlier one acts on
    /// it. See [`stores`](crate::stores#run-ids-that-are-used-again) for what that needs of the stores.
    ///
    /// The run keeps the context of `ctx`, but not its cancellation token and time limit. To end the run, use
    /// [`cancel`](crate::distributed::DistributedOrchestrator::cancel). The time limit of a node is that of the worker
    /// that executes it, [`WorkerBuilder::step_timeout`](crate::distributed::WorkerBuilder::step_timeout).
    ///
    /// # Errors
    /// The error of a store. [`Error::Generic`] where the run exists with another input.
    async fn start_distributed<CS, Q>(
        &self,
        ctx: &WorkflowCtx<C>,
        input: Self::Input,
        context_store: &CS,
        queue: &Q,
        id: &str,
    ) -> Result<(), Error>
    where
        CS: ContextStore<C> + Send + Sync,
        Q: WorkQueue<C, Self::WorkItem> + Send + Sync,
        C: Merge + Default,
    {
        over_stores::start(self, ctx, input, context_store, queue, id).await
    }

    /// Executes one step of any run: leases a work item from the queue, runs its node, commits the outcome and queues
    /// the successors. Returns the run id and the output where the node of this item was terminal and gave an output,
    /// whether or not other branches of the run continue. Of several outputs it returns the first. Returns `None` where
    /// the step gave no output, and where the queue is empty.
    ///
    /// The result is that of this step alone: for the status and the first output of the whole run, see
    /// [`wait_for_completion`](crate::distributed::DistributedOrchestrator::wait_for_completion).
    ///
    /// ```
    /// use jetway_core::{Counter, Transition, Workflow, WorkflowCtx};
    /// use jetway_core::distributed::{InMemoryContextStore, InMemoryWorkQueue, ItemProcessedOutcome, StepCallbacks};
    /// # extern crate jetway_core as jetway;
    /// # use jetway_core::Error;
    /// # use jetway_macros::{node, workflow};
    /// # use std::sync::Arc;
    ///
    /// node! { pub struct Add { n: u64 }; context = Counter; input = u64; output = u64; |_, x| Ok(Transition::Next(x + self.n)) }
    /// workflow! {
    ///     pub struct Both { start: Add, left: Add, right: Add }
    ///     context = Counter;
    ///     start = start;
    ///     edges { start => [left, right]; left => []; right => []; }
    /// }
    /// # struct Quiet;
    /// # #[async_trait::async_trait]
    /// # impl StepCallbacks<Counter, Both> for Quiet {
    /// #     async fn on_started(&self, _: String, _: BothWorkItem) -> Result<(), Error> { Ok(()) }
    /// #     async fn on_item_processed(&self, _: String, _: BothWorkItem, _: ItemProcessedOutcome) -> Result<(), Error> { Ok(()) }
    /// # }
    ///
    /// # fn main() {
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(async {
    /// let both = Both { start: Add { n: 1 }, left: Add { n: 10 }, right: Add { n: 100 } };
    /// let (contexts, queue) = (InMemoryContextStore::new(), InMemoryWorkQueue::new());
    /// both.start_distributed(&WorkflowCtx::new(Counter::default()), 1, &contexts, &queue, "r1").await.expect("it starts");
    /// let mut outputs = Vec::new();
    /// for _ in 0..3 {
    ///     let step = both.step_distributed(&contexts, &queue, 0, Arc::new(Quiet)).await.expect("the step succeeds");
    ///     outputs.push(step.map(|(_run_id, output)| output));
    /// }
    /// assert_eq!(outputs, [None, Some(12), Some(102)]);
    /// # });
    /// # }
    /// ```
    ///
    /// `worker_id` names the worker in logs.
    ///
    /// # Errors
    /// The error of the node or of a store, with the run and the item where they are known.
    async fn step_distributed<CS, Q>(
        &self,
        context_store: &CS,
        queue: &Q,
        worker_id: usize,
        callbacks: Arc<dyn StepCallbacks<C, Self>>,
    ) -> Result<Option<(String, Self::Output)>, StepError<Self::WorkItem>>
    where
        C: 'static + Merge + Default,
        CS: ContextStore<C> + Send + Sync,
        Q: WorkQueue<C, Self::WorkItem> + Send + Sync,
    {
        over_stores::step(self, context_store, queue, worker_id, callbacks).await
    }
}
