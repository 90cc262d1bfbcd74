//! The backend: one connection, the streams of one namespace, and the tasks that write to them.

use crate::{
    committer::Committer,
    config::{Grouping, NatsConfig, WriteConfig},
    connect::{self, ServerFacts},
    dead_letters::DeadLetters,
    link::Link,
    names::{Names, Stream},
    provision::provision,
    pull::{Pull, Source, janitor::Janitor},
};
use async_nats::jetstream::stream;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use jetway_state::Namespace;
use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

/// Jetway's data on a NATS server: implements every port of [`jetway_engine::backend`].
///
/// It owns one connection and a handful of tasks, on the runtime that [`connect`](Self::connect) is called on; dropping
/// it ends them. Streams of tickets and starts keep the connection as long as they are held.
pub struct NatsBackend {
    pub(crate) config: NatsConfig,
    pub(crate) names: Names,
    pub(crate) streams: StreamNames,
    pub(crate) link: Arc<Link>,
    /// The stream of snapshots, for direct reads.
    pub(crate) runs: stream::Stream<()>,
    /// Whether snapshots are known to be on one server only.
    pub(crate) one_replica: bool,
    /// Whether a server that crashes may lose tickets that it has acknowledged.
    pub(crate) may_lose_tickets: bool,
    pub(crate) keep_finished: Duration,
    pub(crate) committers: Committers,
    pub(crate) dead: DeadLetters,
    facts: ServerFacts,
    janitor: Janitor,
    _janitor: AbortOnDropHandle<()>,
}

/// What has gone over a connection, in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// To the server.
    pub sent: u64,
    /// From the server.
    pub received: u64,
}

/// The names of the streams.
#[derive(Debug, Clone)]
pub(crate) struct StreamNames {
    pub(crate) starts: String,
    pub(crate) tickets: String,
    pub(crate) runs: String,
    pub(crate) done: String,
    pub(crate) hosts: String,
}

/// What writes to the streams.
#[derive(Debug)]
pub(crate) struct Committers {
    pub(crate) starts: Committer,
    pub(crate) tickets: Committer,
    pub(crate) runs: Committer,
    pub(crate) done: Committer,
}

impl NatsBackend {
    /// Connects, checks the server, and makes the streams of the namespace exist.
    ///
    /// # Errors
    /// `Unavailable` where there is no server, `Refused` where it refuses the login, `Misconfigured` where it is too
    /// old, has no JetStream, or has streams that this build cannot work with. Each says what to do.
    pub async fn connect(config: NatsConfig) -> Result<Self, BackendError> {
        let (link, facts) = connect::connect(&config).await?;
        let names = Names::new(config.namespace.clone());
        let provisioned = provision(&link, &names, &config, &Stream::ALL).await?;
        let name = |stream| names.stream(stream);
        let streams = StreamNames {
            starts: name(Stream::Starts),
            tickets: name(Stream::Tickets),
            runs: name(Stream::Runs),
            done: name(Stream::Done),
            hosts: name(Stream::Hosts),
        };
        let start = async |stream| {
            let grouping = match provisioned.takes_batches(stream) {
                true => config.writes.grouping,
                false => Grouping::Never,
            };
            let writes = WriteConfig { grouping, ..config.writes.clone() };
            Committer::start(Arc::clone(&link), name(stream), writes).await.map_err(closed)
        };
        let committers = Committers {
            starts: start(Stream::Starts).await?,
            tickets: start(Stream::Tickets).await?,
            runs: start(Stream::Runs).await?,
            done: start(Stream::Done).await?,
        };
        let dead = DeadLetters::new(names.clone(), Arc::new(start(Stream::Dead).await?));
        let replicas = provisioned.replicas();
        let runs = link.jetstream.get_stream_no_info(&streams.runs).await.map_err(closed)?;
        let (janitor, janitor_task) = Janitor::start(Arc::clone(&link), dead.clone());
        tracing::info!(
            server = facts.version,
            namespace = %config.namespace,
            replicas,
            "connected to the nats-server at {}",
            config.addresses()
        );
        Ok(Self {
            dead,
            keep_finished: config.keep_finished,
            one_replica: replicas == Some(1),
            may_lose_tickets: provisioned.may_lose_tickets(),
            config,
            names,
            streams,
            link,
            runs,
            committers,
            facts,
            janitor,
            _janitor: janitor_task,
        })
    }

    /// What the server said about itself when the connection was made.
    pub fn server(&self) -> &ServerFacts {
        &self.facts
    }

    /// The namespace.
    pub fn namespace(&self) -> &Namespace {
        self.names.namespace()
    }

    /// What has gone over the connection since it was made.
    pub fn traffic(&self) -> Traffic {
        let counted = self.link.client.statistics();
        Traffic {
            sent: counted.out_messages.load(Ordering::Relaxed),
            received: counted.in_messages.load(Ordering::Relaxed),
        }
    }

    pub(crate) async fn pull(&self, source: Source, slots: Arc<Semaphore>) -> Result<Pull, BackendError> {
        Pull::start(Arc::clone(&self.link), self.config.clone(), source, self.janitor.clone(), slots).await
    }
}

fn closed(error: impl std::error::Error + Send + Sync + 'static) -> BackendError {
    let sentence = "the connection to the nats-server was closed while it was set up";
    BackendError::new(BackendErrorKind::Unavailable, sentence).caused_by(error)
}

impl fmt::Debug for NatsBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBackend")
            .field("urls", &self.config.urls)
            .field("namespace", &self.config.namespace)
            .field("server", &self.facts)
            .finish_non_exhaustive()
    }
}
