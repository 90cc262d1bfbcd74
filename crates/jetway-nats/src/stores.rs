//! Stores for runs without hosts: contexts, work items, checkpoints, and records about runs and workers.
//!
//! [`Workflow::step_distributed`](jetway_core::Workflow::step_distributed) and related methods get their stores from the
//! caller. These stores keep everything on JetStream, so that any number of processes can step the same runs.
//!
//! | what | where | guarantee |
//! |---|---|---|
//! | contexts, snapshots, checkpoints, run infos, metrics, errors, item states, heartbeats | the bucket `JETWAY_ns_STORE_STATE` | each change is a compare-and-swap on the key's revision. If the reply is lost, the writer finds its commit id in the value or in one of the next 31 values |
//! | work items | the stream `JETWAY_ns_STORE_ITEMS` | one message per item, delivered under a lease, removed when it is acknowledged |
//! | work items that no version can decode | the stream `JETWAY_ns_DEAD` | with the reason and their payload |
//!
//! All keys and subjects contain the name of an application: two workflows of one namespace do not receive each other's
//! items. Hosts ([`NatsBackend`](crate::NatsBackend)) use other buckets and streams.

mod bucket;
mod checkpoint;
mod context;
mod errors;
mod item_queue;
mod item_state;
mod leases;
mod liveness;
mod metrics;
mod run_info;
mod work_queue;

pub use checkpoint::NatsCheckpointStore;
pub use context::NatsContextStore;
pub use errors::NatsErrorStore;
pub use item_state::NatsWorkItemStateStore;
pub use liveness::NatsLivenessStore;
pub use metrics::NatsMetricsStore;
pub use run_info::NatsRunInfoStore;
pub use work_queue::NatsWorkQueue;

use crate::{
    config::NatsConfig,
    names::{StoreNames, Stream},
    pull::{HeaderScan, Source},
    setup::Setup,
};
use bucket::Bucket;
use futures::future::BoxFuture;
use item_queue::ItemQueue;
use jetway_core::clock::Clock;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use jetway_state::WorkflowName;
use std::{fmt, sync::Arc, time::Duration};
use tokio_util::task::AbortOnDropHandle;

/// The default time that a queue waits for an item.
const DEFAULT_WAIT: Duration = Duration::from_secs(1);
/// The default limit of the time that a lease is extended.
const DEFAULT_MAX_LEASE: Duration = Duration::from_secs(3600);

/// The stores of one application on a NATS server. Clones share the connection.
///
/// It owns one connection and a few tasks, on the runtime that calls [`connect`](Self::connect). They end when the last
/// store is dropped.
///
/// ```no_run
/// use jetway_core::distributed::{ItemProcessedOutcome, StepCallbacks};
/// use jetway_core::{Counter, Transition, Workflow, WorkflowCtx};
/// use jetway_state::Error;
/// use jetway_macros::{node, workflow};
/// use jetway_nats::{NatsConfig, NatsStores};
/// use std::sync::Arc;
///
/// node! {
///     pub struct Double {};
///     context = Counter; input = u64; output = u64;
///     |ctx, number| { ctx.increment(); Ok(Transition::Next(number * 2)) }
/// }
///
/// workflow! {
///     pub struct Twice { first: Double, second: Double }
///     name = "twice";
///     start = first;
///     context = Counter;
///     edges { first => [second]; second => {}; }
/// }
///
/// struct Quiet;
///
/// #[async_trait::async_trait]
/// impl StepCallbacks<Counter, Twice> for Quiet {
///     async fn on_started(&self, _run_id: String, _item: TwiceWorkItem) -> Result<(), Error> {
///         Ok(())
///     }
///
///     async fn on_item_processed(
///         &self,
///         _run_id: String,
///         _item: TwiceWorkItem,
///         _outcome: ItemProcessedOutcome,
///     ) -> Result<(), Error> {
///         Ok(())
///     }
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let workflow = Twice { first: Double {}, second: Double {} };
/// let stores = NatsStores::connect(NatsConfig::new("nats://127.0.0.1:4222"), workflow.name()).await?;
/// let (contexts, queue) = (stores.context_store(), stores.work_queue());
///
/// let ctx = WorkflowCtx::new(Counter::default());
/// workflow.start_distributed(&ctx, 21, &contexts, &queue, "run-1").await?;
///
/// // Any number of processes may do this.
/// loop {
///     let ended = workflow.step_distributed(&contexts, &queue, 0, Arc::new(Quiet)).await?;
///     if let Some((run_id, output)) = ended {
///         println!("{run_id} has the output {output}");
///         break;
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct NatsStores {
    shared: Arc<Shared>,
    wait: Duration,
    max_lease: Duration,
}

/// What the stores of one connection share.
#[derive(Debug)]
struct Shared {
    names: StoreNames,
    bucket: Bucket,
    items: ItemQueue,
    /// How long finished runs are kept.
    keep_finished: Duration,
    clock: Arc<dyn Clock>,
    _tasks: [Option<AbortOnDropHandle<()>>; 2],
}

impl NatsStores {
    /// Connects, and creates the streams of the stores if they do not exist. `application`, `[A-Za-z0-9_-]{1,64}`,
    /// separates the data of several workflows; usually it is the workflow's name.
    ///
    /// # Errors
    /// `Refused` for an invalid name. `Unavailable` if no server is reachable, `Refused` if it refuses the credentials,
    /// `Misconfigured` if it is too old, has no JetStream, or has streams that this version cannot use. The message says
    /// what to do.
    pub fn connect(config: NatsConfig, application: &str) -> BoxFuture<'_, Result<Self, BackendError>> {
        // Boxed, so that it is compiled in this crate and not wherever it is awaited.
        Box::pin(Self::set_up(config, application))
    }

    async fn set_up(config: NatsConfig, application: &str) -> Result<Self, BackendError> {
        let application = WorkflowName::new(application).map_err(|_bad| {
            let sentence = format!(
                "bad application name {application:?}: use 1 to 64 characters out of A-Z, a-z, 0-9, _ and -"
            );
            BackendError::new(BackendErrorKind::Refused, sentence)
        })?;
        let setup = Setup::new(&config, &Stream::OF_STORES).await?;
        let state_committer = setup.committer(Stream::StoreState).await?;
        let item_committer = setup.committer(Stream::StoreItems).await?;
        let dead_letters = setup.dead_letters().await?;
        let reader = setup.reader(Stream::StoreState);
        let Setup { connection, facts, names, reads, time_keeper, upkeep, .. } = setup;
        let clock = connection.clock();
        let state_stream = names.stream(Stream::StoreState);
        let item_stream = names.stream(Stream::StoreItems);
        let give_up_after = config.writes.give_up_after;
        let bucket =
            Bucket::new(Arc::clone(&connection), state_stream, reader, state_committer, give_up_after);
        let keep_finished = config.keep_finished;
        tracing::info!(
            server = facts.version,
            namespace = %config.namespace,
            %application,
            "stores connected to the nats-server at {}",
            config.servers
        );
        let names = StoreNames::new(names, application);
        let source = Source {
            stream: item_stream.clone(),
            consumer: names.consumer(),
            filter: names.items(),
            workflow: names.application().to_owned(),
        };
        // An item that has ended the connection of other stores would end this one.
        HeaderScan::once(reads, dead_letters.clone(), &source).await;
        let items =
            ItemQueue::open(connection, config, names.clone(), item_stream, item_committer, dead_letters)
                .await?;
        let shared =
            Arc::new(Shared { names, bucket, items, keep_finished, clock, _tasks: [time_keeper, upkeep] });
        Ok(Self { shared, wait: DEFAULT_WAIT, max_lease: DEFAULT_MAX_LEASE })
    }

    /// The same stores, with queues that wait this long for an item. Zero: they do not wait. Default: one second. A worker
    /// that waits costs the server nothing; one that polls does.
    #[must_use]
    pub fn waiting_for(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The same stores, with queues that extend a lease for at most this long. Default: one hour. It should be longer than
    /// any node runs: an item that this process leased and forgot is delivered again only after this time.
    #[must_use]
    pub fn with_max_lease(mut self, max_lease: Duration) -> Self {
        self.max_lease = max_lease;
        self
    }

    /// The application.
    pub fn application(&self) -> &str {
        self.shared.names.application()
    }

    /// The time of the server. Workers and orchestrators over the [liveness store](Self::liveness_store) use it unless they
    /// are given another clock, so that the clocks of their machines do not matter.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.shared.clock)
    }

    /// The store of contexts and snapshots.
    pub fn context_store<C>(&self) -> NatsContextStore<C> {
        NatsContextStore::new(self)
    }

    /// The queue of work items.
    pub fn work_queue<WI>(&self) -> NatsWorkQueue<WI> {
        NatsWorkQueue::new(self)
    }

    /// The store of checkpoints of in-process runs.
    pub fn checkpoint_store<C, WI>(&self) -> NatsCheckpointStore<C, WI> {
        NatsCheckpointStore::new(self)
    }

    /// The store of run infos.
    pub fn run_info_store(&self) -> NatsRunInfoStore {
        NatsRunInfoStore::new(self)
    }

    /// The store of the metrics of runs.
    pub fn metrics_store(&self) -> NatsMetricsStore {
        NatsMetricsStore::new(self)
    }

    /// The store of failed attempts.
    pub fn error_store(&self) -> NatsErrorStore {
        NatsErrorStore::new(self)
    }

    /// The store of heartbeats and health of workers.
    pub fn liveness_store(&self) -> NatsLivenessStore {
        NatsLivenessStore::new(self)
    }

    /// The store of work item states.
    pub fn work_item_state_store<W>(&self) -> NatsWorkItemStateStore<W> {
        NatsWorkItemStateStore::new(self)
    }

    /// Removes everything that the stores keep for a run, whatever its status: its work items, context, checkpoint, info,
    /// metrics, errors and item states. If workers step the run at the same time, some of it may remain.
    ///
    /// # Errors
    /// `Refused` for an invalid run id, and errors of the server.
    pub async fn forget_run(&self, run_id: &str) -> Result<(), BackendError> {
        let keys = self.shared.names.all_of_run(run_id)?;
        let items = self.shared.items.purge(run_id).await?;
        let values = self.shared.bucket.purge(keys).await?;
        tracing::debug!(run = run_id, items, values, "removed all data of a run");
        Ok(())
    }

    fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

impl fmt::Debug for NatsStores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.debug_struct(f, "NatsStores")
    }
}

impl Shared {
    fn debug_struct(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        f.debug_struct(name).field("application", &self.names.application()).finish_non_exhaustive()
    }
}

/// A store's error: `io` if the same call may succeed later, `other` if not.
fn store_error<E>(error: &BackendError, io: fn(String) -> E, other: fn(String) -> E) -> E {
    let text = error.to_string();
    if error.is_retryable() { io(text) } else { other(text) }
}
