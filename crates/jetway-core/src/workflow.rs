//! A typed graph of nodes.

pub mod callbacks;
mod checkpointed;
mod local;
mod over_stores;

pub use crate::work_item::WorkItem;
use crate::{
    CheckpointStore, Context, ContextStore, Merge, Outcome, StepCallbacks, StepError, WorkQueue, WorkflowCtx,
    outcome::Emission,
};
use async_trait::async_trait;
use jetway_state::{Error, Graph};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::VecDeque, fmt::Debug, sync::Arc};

/// A typed graph of nodes with a name, a start node and a context of type `C`.
///
/// The `workflow!` macro writes it. [`run`](Self::run) runs it in the calling task:
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
    /// What the start node is given.
    type Input: Send + Sync + Serialize + DeserializeOwned;
    /// What the terminal nodes produce.
    type Output: Send + Sync + Serialize + DeserializeOwned;
    /// The workflow's work items.
    type WorkItem: WorkItem;

    /// The workflow's name, `[A-Za-z0-9_-]{1,64}`: part of subjects, keys, logs and spans.
    fn name(&self) -> &'static str;

    /// The work item that a run starts with.
    fn start_work_item(&self, input: Self::Input) -> Self::WorkItem;

    /// Runs one work item, queues its successors and returns the output where its node is terminal.
    ///
    /// This is the primitive without memory: it knows one item, so a gathering node runs for each value by itself.
    /// The engine calls [`attempt_work_item`](Self::attempt_work_item).
    ///
    /// # Errors
    /// What the node failed with, where no `on_failure` edge catches it.
    async fn process_work_item<'a>(
        &'a self,
        ctx: &'a WorkflowCtx<C>,
        item: Self::WorkItem,
        queue: &mut VecDeque<Self::WorkItem>,
    ) -> Result<Option<Self::Output>, Error>;

    /// The graph in Graphviz's DOT language: see [`Graph::to_dot`].
    fn to_dot(&self) -> &'static str;

    /// The graph as data. Where it is not overridden only the name is known: nothing gathers.
    fn graph(&self) -> Graph {
        Graph::opaque(self.name())
    }

    /// Runs one work item and says what came of it; never panics for a node's error.
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

    /// Runs the workflow in this process to its end, one work item after the other, in the order in which they were
    /// begotten. Returns the first output; the other branches have run too by then.
    ///
    /// # Errors
    /// What a node failed with, or [`Error::NoOutput`].
    async fn run<'a>(&'a self, ctx: &'a WorkflowCtx<C>, input: Self::Input) -> Result<Self::Output, Error> {
        local::run(self, ctx, input).await
    }

    /// [`run`](Self::run), saving a checkpoint before the first and after every step. A saved checkpoint of `id` wins
    /// over `input`; a run that has ended returns its output again and executes nothing.
    ///
    /// The run works on a copy of the context, made by encoding and decoding it: the caller's own stays as it is, and may
    /// be used for other runs. What the run made of it is in the checkpoint.
    ///
    /// # Errors
    /// What a node failed with, [`Error::NoOutput`], or what the store failed with.
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

    /// Goes on with a run from its last checkpoint.
    ///
    /// # Errors
    /// [`Error::NotStarted`] where there is no checkpoint, [`Error::AlreadyCompleted`] where the run has ended, and
    /// what a node or the store failed with.
    async fn resume<CS>(&self, store: &CS, id: &str) -> Result<Self::Output, Error>
    where
        CS: CheckpointStore<C, Self::WorkItem> + Send + Sync,
    {
        checkpointed::resume(self, store, id).await
    }

    /// Makes a run exist for workers to execute: its context and first work item. Nothing is executed here. A second
    /// call with the same id and input changes nothing.
    ///
    /// The run takes the context along, and neither its token nor its time limit: a run is ended by
    /// [`cancel`](crate::stores::DistributedOrchestrator::cancel), and its nodes have the limit of the workers that
    /// execute them, [`WorkerBuilder::step_timeout`](crate::stores::WorkerBuilder::step_timeout).
    ///
    /// # Errors
    /// What the stores failed with; a second start with another input.
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

    /// Takes one work item of any run from the queue, runs it, commits what came of it and queues its successors.
    /// Returns the run's id and output where this step ended the run, `None` where more is to be done or nothing was
    /// queued.
    ///
    /// # Errors
    /// What the node or the stores failed with, naming the run and the item where they are known.
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
