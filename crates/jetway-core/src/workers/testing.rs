//! A workflow whose nodes run a script of the test, all stores in memory, and a clock that tests can advance.

use crate::distributed::{
    ContextStore, ContextStoreError, DistributedOrchestrator, DistributedWorker, InMemoryContextStore,
    InMemoryErrorStore, InMemoryLivenessStore, InMemoryMetricsStore, InMemoryRunInfoStore,
    InMemoryWorkItemStateStore, InMemoryWorkQueue, OrchestratorBuilder, WorkerBuilder,
};
use crate::{
    Counter, WorkItem, Workflow, WorkflowCtx,
    clock::Clock,
    nodes::retry::{BackoffStrategy, RetryError, RetryPolicy},
    step,
};
use async_trait::async_trait;
use futures::future::BoxFuture;
use jetway_state::{Error, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Item {
    Start(String, u32),
    Branch(String, u32),
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(_, branches) => write!(f, "start {branches}"),
            Self::Branch(_, number) => write!(f, "branch {number}"),
        }
    }
}

impl WorkItem for Item {
    fn instance_id(&self) -> String {
        let (Self::Start(id, _) | Self::Branch(id, _)) = self;
        id.clone()
    }

    fn with_instance_id(self, id: String) -> Self {
        match self {
            Self::Start(_, branches) => Self::Start(id, branches),
            Self::Branch(_, number) => Self::Branch(id, number),
        }
    }

    fn is_terminal(&self) -> bool {
        matches!(self, Self::Branch(..))
    }
}

type Script = Arc<dyn Fn(String, u32) -> BoxFuture<'static, Result<(), Error>> + Send + Sync>;

/// `start n` creates the branches 0 to n - 1. Each branch adds one to the context and outputs its number.
#[derive(Clone)]
pub(crate) struct Fan {
    script: Script,
    /// The executed items and their attempts.
    pub(crate) calls: Arc<Mutex<Vec<(String, u32)>>>,
}

impl Fan {
    pub(crate) fn new() -> Self {
        Self::doing(|_, _| async { Ok(()) })
    }

    /// Nodes that first run `script` with the item and the attempt.
    pub(crate) fn doing<F>(script: impl Fn(String, u32) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        Self { script: Arc::new(move |item, attempt| Box::pin(script(item, attempt))), calls: Arc::default() }
    }

    /// Nodes that notify the first handle when they begin and then wait for the second.
    pub(crate) fn held() -> (Self, Arc<Notify>, Arc<Notify>) {
        let (begun, released) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let both = (Arc::clone(&begun), Arc::clone(&released));
        let fan = Self::doing(move |_, _| {
            let (begun, released) = both.clone();
            async move {
                begun.notify_one();
                released.notified().await;
                Ok(())
            }
        });
        (fan, begun, released)
    }

    /// Nodes that fail for the first `times` attempts at each item.
    pub(crate) fn failing(times: u32) -> Self {
        Self::doing(move |item, attempt| async move {
            if attempt <= times { Err(Error::Generic(format!("{item} is busy"))) } else { Ok(()) }
        })
    }

    pub(crate) fn calls(&self) -> Vec<(String, u32)> {
        self.calls.lock().unwrap().clone()
    }
}

impl fmt::Debug for Fan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fan")
    }
}

#[async_trait]
impl Workflow<Counter> for Fan {
    type Input = u32;
    type Output = u32;
    type WorkItem = Item;

    fn name(&self) -> &'static str {
        "fan"
    }

    fn start_work_item(&self, input: u32) -> Item {
        Item::Start("start".to_owned(), input)
    }

    fn to_dot(&self) -> &'static str {
        ""
    }

    async fn process_work_item<'a>(
        &'a self,
        ctx: &'a WorkflowCtx<Counter>,
        item: Item,
        queue: &mut VecDeque<Item>,
    ) -> Result<Option<u32>, Error> {
        let attempt = step().map_or(1, |step| step.attempt());
        self.calls.lock().unwrap().push((item.to_string(), attempt));
        (self.script)(item.to_string(), attempt).await?;
        match item {
            Item::Start(id, branches) => {
                queue.extend((0..branches).map(|number| Item::Branch(format!("{id}-{number}"), number)));
                Ok(None)
            }
            Item::Branch(_, number) => {
                ctx.store.increment();
                Ok(Some(number))
            }
        }
    }
}

/// Three attempts, ten seconds after the first failure, twenty after the second.
pub(crate) fn policy() -> RetryPolicy {
    let (first, longest) = (Duration::from_secs(10), Duration::from_secs(60));
    RetryPolicy::new(3, first, longest, BackoffStrategy::Exponential, RetryError::Generic)
}

pub(crate) fn started() -> WorkflowCtx<Counter> {
    WorkflowCtx::new(Counter::default())
}

/// A clock that follows the time of Tokio, which tests pause and advance.
#[derive(Debug)]
pub(crate) struct TokioClock(Instant);

impl Default for TokioClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        const START: u64 = 1_700_000_000_000;
        Timestamp(START + u64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

/// All stores. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Harness<CS = InMemoryContextStore<Counter>> {
    pub(crate) queue: InMemoryWorkQueue<Item>,
    pub(crate) contexts: CS,
    pub(crate) runs: InMemoryRunInfoStore,
    pub(crate) metrics: InMemoryMetricsStore,
    pub(crate) errors: InMemoryErrorStore,
    pub(crate) liveness: InMemoryLivenessStore,
    pub(crate) items: InMemoryWorkItemStateStore<Item>,
    pub(crate) clock: Arc<TokioClock>,
}

pub(crate) type Worker<CS = InMemoryContextStore<Counter>> = DistributedWorker<
    Fan,
    Counter,
    InMemoryWorkQueue<Item>,
    InMemoryRunInfoStore,
    InMemoryMetricsStore,
    InMemoryErrorStore,
    InMemoryLivenessStore,
    InMemoryWorkItemStateStore<Item>,
    CS,
>;

pub(crate) type Orchestrator<CS = InMemoryContextStore<Counter>> = DistributedOrchestrator<
    Fan,
    Counter,
    InMemoryWorkQueue<Item>,
    InMemoryRunInfoStore,
    InMemoryMetricsStore,
    InMemoryErrorStore,
    InMemoryLivenessStore,
    InMemoryWorkItemStateStore<Item>,
    CS,
>;

impl<CS: ContextStore<Counter> + Clone + 'static> Harness<CS> {
    /// A worker as of another process: it shares the stores alone.
    pub(crate) fn worker(&self, fan: &Fan) -> Worker<CS> {
        let harness = self.clone();
        WorkerBuilder::new()
            .workflow(fan.clone())
            .queue(harness.queue)
            .context_store(harness.contexts)
            .run_info_store(harness.runs)
            .metrics_store(harness.metrics)
            .error_store(harness.errors)
            .liveness_store(harness.liveness)
            .work_item_state_store(harness.items)
            .retry_policy(policy())
            .clock(harness.clock)
            .build()
            .unwrap()
    }

    pub(crate) fn orchestrator(&self) -> Orchestrator<CS> {
        let harness = self.clone();
        OrchestratorBuilder::new()
            .workflow(Fan::new())
            .queue(harness.queue)
            .context_store(harness.contexts)
            .run_info_store(harness.runs)
            .metrics_store(harness.metrics)
            .error_store(harness.errors)
            .liveness_store(harness.liveness)
            .work_item_state_store(harness.items)
            .clock(harness.clock)
            .build()
            .unwrap()
    }
}

/// Executes items until the queue has none that is due. Returns the errors.
pub(crate) async fn drain<CS: ContextStore<Counter> + Clone + 'static>(worker: &Worker<CS>) -> Vec<Error> {
    let mut errors = Vec::new();
    while let Some(item) = worker.try_one(0).await {
        errors.extend(item.err());
    }
    errors
}

/// A store of contexts without snapshots.
#[derive(Clone, Default)]
pub(crate) struct PlainContexts(InMemoryContextStore<Counter>);

#[async_trait]
impl ContextStore<Counter> for PlainContexts {
    async fn get(&self, run_id: &str) -> Result<Option<Counter>, ContextStoreError> {
        self.0.get(run_id).await
    }

    async fn set(&self, run_id: &str, ctx: Counter) -> Result<(), ContextStoreError> {
        self.0.set(run_id, ctx).await
    }

    async fn merge(&self, run_id: &str, ctx: Counter) -> Result<(), ContextStoreError> {
        self.0.merge(run_id, ctx).await
    }
}
