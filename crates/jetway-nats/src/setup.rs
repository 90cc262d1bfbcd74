//! What hosts and stores do first: connect, check the server, create the streams, and start committers.

use crate::{
    committer::Committer,
    config::{Grouping, NatsConfig, WriteConfig},
    dead_letters::DeadLetters,
    names::{Names, Stream},
    provision::{Provisioned, provision},
    session::{self, Connection, Reads, ServerFacts, StreamFacts, StreamReader, api},
    upkeep::{TicketLosses, Upkeep, UpkeepFacts},
};
use jetway_engine::backend::BackendError;
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

/// A connection to a server on which the streams exist.
pub(crate) struct Setup {
    pub(crate) connection: Arc<Connection>,
    pub(crate) facts: ServerFacts,
    pub(crate) names: Names,
    /// Reads stored messages.
    pub(crate) reads: Arc<Reads>,
    pub(crate) provisioned: Provisioned,
    /// Asks the server for its time. `None` if this user may not ask.
    pub(crate) time_keeper: Option<AbortOnDropHandle<()>>,
    /// Makes again what disappears. `None` if this user does not look at streams.
    pub(crate) upkeep: Option<AbortOnDropHandle<()>>,
    /// Reports tickets that were lost with their stream.
    pub(crate) ticket_losses: TicketLosses,
    /// What is known of the stream that has the snapshots, or the values of stores.
    stream_facts: Arc<StreamFacts>,
    /// What is known of the stream of signals.
    pub(crate) signal_facts: Arc<StreamFacts>,
    writes: WriteConfig,
}

impl Setup {
    /// Connects, and makes sure that `streams` exist.
    ///
    /// # Errors
    /// Those of [`session::connect`] and [`provision`].
    pub(crate) async fn new(config: &NatsConfig, streams: &[Stream]) -> Result<Self, BackendError> {
        let (connection, facts) = session::connect(config).await?;
        let names = Names::new(config.namespace.clone());
        let reads = Arc::new(Reads::new(config, Arc::clone(&connection)));
        let provisioned = provision(&connection, &names, config, streams).await?;
        let stream_facts = Arc::new(StreamFacts::default());
        if let Some(replicas) = provisioned.replicas_recorded() {
            stream_facts.prepare_for(replicas);
        }
        let values = streams.iter().find(|stream| matches!(stream, Stream::Runs | Stream::StoreState));
        let time_keeper = match values {
            Some(stream) if provisioned.is_inspected() => {
                let stream = names.stream(*stream);
                let info = api::stream_info(&connection, &stream).await;
                stream_facts.learn(&info.map_err(|failure| failure.cannot(format!("read stream {stream}")))?);
                Some(session::keep_time(Arc::clone(&connection), stream, Arc::clone(&stream_facts)))
            }
            _ => None,
        };
        let signal_facts = Arc::new(StreamFacts::default());
        if streams.contains(&Stream::Signals) && provisioned.is_inspected() {
            let stream = names.stream(Stream::Signals);
            let info = api::stream_info(&connection, &stream).await;
            signal_facts.learn(&info.map_err(|failure| failure.cannot(format!("read stream {stream}")))?);
        }
        let learned = UpkeepFacts { values: Arc::clone(&stream_facts), signals: Arc::clone(&signal_facts) };
        let (upkeep, ticket_losses) = Upkeep::start(&connection, &names, config, streams, learned);
        let writes = config.writes.clone();
        Ok(Self {
            connection,
            facts,
            names,
            reads,
            provisioned,
            time_keeper,
            upkeep,
            ticket_losses,
            stream_facts,
            signal_facts,
            writes,
        })
    }

    /// Starts the committer of a stream.
    pub(crate) async fn committer(&self, stream: Stream) -> Result<Committer, BackendError> {
        let grouping = match self.provisioned.accepts_batches(stream) {
            true => self.writes.grouping,
            false => Grouping::Never,
        };
        let writes = WriteConfig { grouping, ..self.writes.clone() };
        Committer::start(Arc::clone(&self.connection), self.names.stream(stream), writes).await
    }

    /// Starts the committer of dead letters.
    pub(crate) async fn dead_letters(&self) -> Result<DeadLetters, BackendError> {
        let committer = self.committer(Stream::Dead).await?;
        Ok(DeadLetters::new(self.names.clone(), Arc::new(committer)))
    }

    /// A reader of the stream that has the snapshots, or the values of stores.
    pub(crate) fn reader(&self, stream: Stream) -> StreamReader {
        let facts = Arc::clone(&self.stream_facts);
        let (connection, reads) = (Arc::clone(&self.connection), Arc::clone(&self.reads));
        StreamReader::new(connection, reads, self.names.stream(stream), facts)
    }
}
