//! Stores for runs that workers of your own execute: contexts, work items, checkpoints, and what people ask about runs.
//!
//! [`Workflow::step_distributed`](jetway_core::Workflow::step_distributed) and its like take their stores from the
//! caller. These keep everything on JetStream, so that any number of processes can step the same runs.
//!
//! | what | where | what it rests on |
//! |---|---|---|
//! | contexts, snapshots, checkpoints, infos, numbers, errors, item states, signs of life | the bucket `JETWAY_ns_STORE_STATE` | each change is a compare-and-swap on the key's revision; a lost answer is made up for by the id of its write, which the next 31 values of the key remember |
//! | work items | the stream `JETWAY_ns_STORE_ITEMS` | one message for each item, handed out under a lease, gone when it is settled |
//! | items that no build can decode | the stream `JETWAY_ns_DEAD` | with the reason and their bytes |
//!
//! All keys and subjects carry the name of an application: two workflows of one namespace do not take each other's
//! items. Bucket and stream are others than those of the hosts ([`NatsBackend`](crate::NatsBackend)).

mod bucket;
mod checkpoint;
mod context;
mod errors;
mod item_state;
mod items;
mod leases;
mod leftovers;
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
    committer::Committer,
    config::{Grouping, NatsConfig, WriteConfig},
    connect,
    dead_letters::DeadLetters,
    names::{Names, StoreNames, Stream},
    provision::provision,
};
use bucket::Bucket;
use items::Items;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use jetway_state::WorkflowName;
use std::{fmt, sync::Arc, time::Duration};

/// How long a lease waits for an item where nobody says how long.
const WAIT: Duration = Duration::from_secs(1);
/// How long a lease is kept alive where nobody says how long.
const LONGEST_LEASE: Duration = Duration::from_secs(3600);

/// The stores of one application on a NATS server. Clones share the connection.
///
/// It owns one connection and a handful of tasks, on the runtime that [`connect`](Self::connect) is called on. They live
/// as long as any store does.
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
///         println!("{run_id} gives {output}");
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
    longest: Duration,
}

/// What the stores of one connection share.
#[derive(Debug)]
struct Shared {
    names: StoreNames,
    bucket: Bucket,
    items: Items,
    /// How long what has ended is kept.
    keep_finished: Duration,
}

impl NatsStores {
    /// Connects, and makes the streams of the stores exist. `application` keeps the work of several workflows apart,
    /// `[A-Za-z0-9_-]{1,64}`: usually it is the workflow's name.
    ///
    /// # Errors
    /// `Refused` for a bad name. `Unavailable` where there is no server, `Refused` where it refuses the login,
    /// `Misconfigured` where it is too old, has no JetStream, or has streams that this build cannot work with. Each says
    /// what to do.
    pub async fn connect(config: NatsConfig, application: &str) -> Result<Self, BackendError> {
        let application = WorkflowName::new(application).map_err(|_bad| {
            let sentence = format!(
                "bad application name {application:?}: use 1 to 64 characters out of A-Z, a-z, 0-9, _ and -"
            );
            BackendError::new(BackendErrorKind::Refused, sentence)
        })?;
        let (link, facts) = connect::connect(&config).await?;
        let names = Names::new(config.namespace.clone());
        let provisioned = provision(&link, &names, &config, &Stream::STORES).await?;
        let committer = async |stream| {
            let grouping = match provisioned.takes_batches(stream) {
                true => config.writes.grouping,
                false => Grouping::Never,
            };
            let writes = WriteConfig { grouping, ..config.writes.clone() };
            Committer::start(Arc::clone(&link), names.stream(stream), writes).await.map_err(|error| {
                let sentence = "the connection to the nats-server was closed while it was set up";
                BackendError::new(BackendErrorKind::Unavailable, sentence).caused_by(error)
            })
        };
        let state = committer(Stream::StoreState).await?;
        let dead = DeadLetters::new(names.clone(), Arc::new(committer(Stream::Dead).await?));
        let items = committer(Stream::StoreItems).await?;
        let one_replica = provisioned.replicas() == Some(1);
        let (state_stream, item_stream) =
            (names.stream(Stream::StoreState), names.stream(Stream::StoreItems));
        let bucket = Bucket::open(Arc::clone(&link), &config, state_stream, one_replica, state).await?;
        let keep_finished = config.keep_finished;
        tracing::info!(
            server = facts.version,
            namespace = %config.namespace,
            %application,
            "stores connected to the nats-server at {}",
            config.addresses()
        );
        let names = StoreNames::new(names, application);
        let items = Items::open(link, config, names.clone(), item_stream, items, dead).await?;
        let shared = Arc::new(Shared { names, bucket, items, keep_finished });
        Ok(Self { shared, wait: WAIT, longest: LONGEST_LEASE })
    }

    /// The same, with queues that wait so long for an item before they say that there is none. Zero: not at all.
    /// Default: a second. A worker that waits costs the server nothing; one that asks again and again does.
    #[must_use]
    pub fn waiting_for(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The same, with queues whose leases are kept alive for so long at most. Default: an hour. Longer than any node
    /// runs: an item that was leased by hand, and is forgotten within a living process, comes back only then.
    #[must_use]
    pub fn leases_last(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// The application.
    pub fn application(&self) -> &str {
        self.shared.names.application()
    }

    /// The contexts of runs and their snapshots.
    pub fn context_store<C>(&self) -> NatsContextStore<C> {
        NatsContextStore::new(self)
    }

    /// The work items.
    pub fn work_queue<WI>(&self) -> NatsWorkQueue<WI> {
        NatsWorkQueue::new(self)
    }

    /// The checkpoints of runs that stay within a process.
    pub fn checkpoint_store<C, WI>(&self) -> NatsCheckpointStore<C, WI> {
        NatsCheckpointStore::new(self)
    }

    /// The list of runs.
    pub fn run_info_store(&self) -> NatsRunInfoStore {
        NatsRunInfoStore::new(self)
    }

    /// The numbers of runs.
    pub fn metrics_store(&self) -> NatsMetricsStore {
        NatsMetricsStore::new(self)
    }

    /// The failed attempts of runs.
    pub fn error_store(&self) -> NatsErrorStore {
        NatsErrorStore::new(self)
    }

    /// The signs of life of workers.
    pub fn liveness_store(&self) -> NatsLivenessStore {
        NatsLivenessStore::new(self)
    }

    /// How work items fare.
    pub fn work_item_state_store<W>(&self) -> NatsWorkItemStateStore<W> {
        NatsWorkItemStateStore::new(self)
    }

    /// Removes all that the stores keep of a run, whatever its status: its work items, context, checkpoint, info,
    /// numbers, errors and item states. A run that is being stepped meanwhile may leave some of it behind.
    ///
    /// # Errors
    /// `Refused` for a bad run id; what the server failed with.
    pub async fn forget_run(&self, run_id: &str) -> Result<(), BackendError> {
        let kept = self.shared.names.all_of_run(run_id)?;
        let items = self.shared.items.purge(run_id).await?;
        let values = self.shared.bucket.purge(kept).await?;
        tracing::debug!(run_id, items, values, "a run was forgotten");
        Ok(())
    }

    fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

impl fmt::Debug for NatsStores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.named(f, "NatsStores")
    }
}

impl Shared {
    fn named(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        f.debug_struct(name).field("application", &self.names.application()).finish_non_exhaustive()
    }
}

/// A store's error: of the one kind where the same call may succeed later, of the other where it never will.
fn sorted<E>(error: &BackendError, io: fn(String) -> E, other: fn(String) -> E) -> E {
    let text = error.to_string();
    if error.is_retryable() { io(text) } else { other(text) }
}
