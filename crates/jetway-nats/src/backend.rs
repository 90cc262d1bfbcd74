//! The backend of hosts and clients: one connection, the streams of one namespace, and the tasks that write to them.

mod alarms;
mod beats;
mod cancels;
mod durability;
mod headers;
mod hosts;
mod queues;
mod results;
mod set_up;
pub(crate) mod signals;
mod snapshots;
pub(crate) mod start_message;
mod starts;
mod stream_counts;
mod ticket_loss;
pub(crate) mod tickets;

pub(crate) use alarms::schedule;
pub use durability::{Durability, Synced};
pub use queues::{OldestStart, PausedConsumer, QueueReport};
pub use stream_counts::StreamCounts;

use crate::{
    committer::Committer,
    config::NatsConfig,
    dead_letters::DeadLetters,
    names::{Names, ReplyPrefixes, Stream},
    provision,
    pull::{HeaderScan, LateDeliveries, Nak, Pull, PullContext, Source},
    result_writer::ResultWriter,
    session::{Connection, Reads, RenewedConnection, ServerFacts, StreamFacts, StreamReader, api},
    setup::Setup,
    upkeep::TicketLosses,
};
use futures::future::BoxFuture;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use jetway_state::Namespace;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

/// Jetway's data on a NATS server. It implements all traits of [`jetway_engine::backend`].
///
/// It owns one connection, another one for what clients send as soon as it serves them, and a few tasks, on the runtime that
/// calls [`connect`](Self::connect). Dropping it ends them.
/// Streams of tickets and starts keep the connection open while they exist.
pub struct NatsBackend {
    config: NatsConfig,
    names: Names,
    replies: ReplyPrefixes,
    streams: StreamNames,
    connection: Arc<Connection>,
    /// Receives what clients send.
    for_clients: Arc<RenewedConnection>,
    /// What this host hears of cancelled runs.
    cancels: cancels::CancelEvents,
    /// Reads stored messages.
    reads: Arc<Reads>,
    /// Reads snapshots and chunks.
    runs: StreamReader,
    /// What is known of the stream of signals.
    signal_facts: Arc<StreamFacts>,
    /// Whether this user may ask for the configuration of streams.
    inspects_streams: bool,
    /// How often this host has announced itself.
    announcements: AtomicU32,
    /// Whether the streams of the namespace are known to exist.
    is_set_up: AtomicBool,
    /// Whether a crash of the server may lose tickets or alarms that it has acknowledged.
    may_lose_tickets: bool,
    committers: Committers,
    results: Arc<ResultWriter>,
    dead_letters: DeadLetters,
    facts: ServerFacts,
    pulls: PullContext,
    /// Reports tickets that were lost with their stream.
    ticket_losses: TicketLosses,
    _tasks: [Option<AbortOnDropHandle<()>>; 4],
}

/// The number of messages that went over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// To the server.
    pub sent: u64,
    /// From the server.
    pub received: u64,
}

/// The names of the streams.
#[derive(Debug, Clone)]
struct StreamNames {
    starts: String,
    tickets: String,
    timers: String,
    signals: String,
    runs: String,
    done: String,
    dead: String,
    hosts: String,
    beats: String,
}

/// The committer of each stream.
#[derive(Debug)]
struct Committers {
    starts: Committer,
    /// Leases of tickets and wake-ups share it.
    tickets: Arc<Committer>,
    timers: Committer,
    /// Who brings back signals shares it.
    signals: Arc<Committer>,
    runs: Committer,
}

impl Committers {
    async fn new(setup: &Setup) -> Result<Self, BackendError> {
        Ok(Self {
            starts: setup.committer(Stream::Starts).await?,
            tickets: Arc::new(setup.committer(Stream::Tickets).await?),
            timers: setup.committer(Stream::Timers).await?,
            signals: Arc::new(setup.committer(Stream::Signals).await?),
            runs: setup.committer(Stream::Runs).await?,
        })
    }
}

impl NatsBackend {
    /// Connects, checks the server, and creates the streams of the namespace if they do not exist.
    ///
    /// # Errors
    /// `Unavailable` if no server is reachable, `Refused` if it refuses the credentials, `Misconfigured` if it is too old,
    /// has no JetStream, or has streams that this version cannot use. The message says what to do.
    pub fn connect(config: NatsConfig) -> BoxFuture<'static, Result<Self, BackendError>> {
        // Boxed, so that it is compiled in this crate and not wherever it is awaited.
        Box::pin(Self::set_up(config))
    }

    async fn set_up(config: NatsConfig) -> Result<Self, BackendError> {
        // Checks the settings, too.
        let setup = Setup::new(&config, &Stream::OF_HOSTS).await?;
        let replies = ReplyPrefixes::new(&config.inbox_prefix, &config.reply_prefixes)?;
        let committers = Committers::new(&setup).await?;
        let results = Arc::new(ResultWriter::new(&setup).await?);
        let dead_letters = setup.dead_letters().await?;
        let runs = setup.reader(Stream::Runs);
        let Setup {
            connection,
            facts,
            names,
            reads,
            provisioned,
            time_keeper,
            upkeep,
            ticket_losses,
            signal_facts,
            ..
        } = setup;
        let (late, late_task) = LateDeliveries::start(Arc::clone(&connection));
        let (header_scan, scan_task) =
            HeaderScan::start(Arc::clone(&reads), dead_letters.clone(), Arc::clone(&results));
        let missing = Arc::clone(&connection.missing);
        let (config_of_pulls, of_pulls) = (config.clone(), Arc::clone(&connection));
        let pulls = PullContext { connection: of_pulls, config: config_of_pulls, late, header_scan, missing };
        tracing::info!(
            server = facts.version,
            namespace = %config.namespace,
            replicas = provisioned.replicas(),
            "connected to the nats-server at {}",
            config.servers
        );
        Ok(Self {
            streams: StreamNames::new(&names),
            inspects_streams: provisioned.is_inspected(),
            announcements: AtomicU32::new(0),
            is_set_up: AtomicBool::new(provisioned.is_inspected()),
            may_lose_tickets: provisioned.may_lose_tickets(),
            for_clients: Arc::new(RenewedConnection::new(&config, "clients")),
            cancels: cancels::CancelEvents::default(),
            reads,
            config,
            names,
            replies,
            connection,
            runs,
            signal_facts,
            committers,
            results,
            dead_letters,
            facts,
            pulls,
            ticket_losses,
            _tasks: [Some(late_task), Some(scan_task), time_keeper, upkeep],
        })
    }

    /// Version, name and limits of the server, as of the time of connecting.
    pub fn server(&self) -> &ServerFacts {
        &self.facts
    }

    /// The account of this user on the server: `$G` if the server has no accounts. `None` if this user may not ask.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn account(&self) -> Result<Option<String>, BackendError> {
        let asked = api::user_account(&self.connection).await;
        asked.map_err(|failure| failure.cannot("ask for the account of this user"))
    }

    /// The namespace.
    pub fn namespace(&self) -> &Namespace {
        self.names.namespace()
    }

    /// The number of messages that went over the connections since they were made.
    pub fn traffic(&self) -> Traffic {
        let mut traffic = Traffic { sent: 0, received: 0 };
        let others = [self.for_clients.latest(), self.reads.latest_connection()];
        for connection in others.into_iter().flatten().chain([Arc::clone(&self.connection)]) {
            let statistics = connection.client.statistics();
            traffic.sent += statistics.out_messages.load(Ordering::Relaxed);
            traffic.received += statistics.in_messages.load(Ordering::Relaxed);
        }
        traffic
    }

    /// Streams and buckets on the server that earlier versions used under other names: one sentence each, which names
    /// the stream and says what to do.
    ///
    /// # Errors
    /// The server does not answer, or the user may not read the configuration of streams.
    pub async fn obsolete_streams(&self) -> Result<Vec<String>, BackendError> {
        let found = provision::obsolete_streams(&self.connection, &self.names).await;
        found.map_err(|failure| failure.cannot("look for streams with old names"))
    }

    /// Streams and buckets that had disappeared while hosts were up, and were made again: one sentence each, which says when
    /// that was, and what was lost.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn streams_made_again(&self) -> Result<Vec<String>, BackendError> {
        let found = provision::streams_made_again(&self.connection, &self.names).await;
        found.map_err(|failure| failure.cannot("look for streams that were made again"))
    }

    /// The names on the server.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// The subjects to which a host may answer.
    pub(crate) fn reply_prefixes(&self) -> &ReplyPrefixes {
        &self.replies
    }

    /// The connection.
    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// The connection over which everything arrives that clients can send.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) async fn connection_for_clients(&self) -> Result<Arc<Connection>, BackendError> {
        self.for_clients.get().await
    }

    /// A pull of messages that clients send.
    async fn pull_of_clients(&self, source: Source, slots: Arc<Semaphore>) -> Result<Pull, BackendError> {
        let connection = self.connection_for_clients().await?;
        let context = PullContext { connection, ..self.pulls.clone() };
        context.header_scan.schedule(&source);
        Pull::start(context, source, Arc::new(Nak), slots).await.map_err(|error| match error.kind() {
            // The next call makes a new connection.
            BackendErrorKind::Closed => {
                let sentence = "the connection for clients has ended";
                BackendError::new(BackendErrorKind::Unavailable, sentence).caused_by(error)
            }
            _ => error,
        })
    }

    /// How long a finished run is kept. A run that its parent waits for is kept as long as results.
    fn keep_ended(&self, awaited: bool) -> Duration {
        match awaited {
            true => self.config.keep_finished.max(self.config.keep_results),
            false => self.config.keep_finished,
        }
    }
}

impl StreamNames {
    fn new(names: &Names) -> Self {
        Self {
            starts: names.stream(Stream::Starts),
            tickets: names.stream(Stream::Tickets),
            timers: names.stream(Stream::Timers),
            signals: names.stream(Stream::Signals),
            runs: names.stream(Stream::Runs),
            done: names.stream(Stream::Done),
            dead: names.stream(Stream::Dead),
            hosts: names.stream(Stream::Hosts),
            beats: names.stream(Stream::Beats),
        }
    }
}

impl fmt::Debug for NatsBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBackend")
            .field("servers", &self.config.servers)
            .field("namespace", &self.config.namespace)
            .field("server", &self.facts)
            .finish_non_exhaustive()
    }
}
