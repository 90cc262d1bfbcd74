//! Looking at everything that the streams hold, and taking tickets away: for those who put Jetway to the test.

use crate::{NatsBackend, error::Failure, jsapi, names::Stream};
use jetway_engine::backend::BackendError;
use jetway_state::RunKey;
use std::collections::{BTreeMap, BTreeSet};

/// What the streams of a namespace hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    /// How many start messages nobody has settled.
    pub starts: u64,
    /// How many tickets nobody has settled.
    pub tickets: u64,
    /// The runs that have chunks beside their snapshots.
    pub chunked: BTreeSet<String>,
    /// How many dead letters there are, by workflow and reason.
    pub dead_letters: BTreeMap<String, u64>,
}

impl NatsBackend {
    /// Counts what the streams hold. It asks for every subject of theirs, so it is not for a hot path.
    ///
    /// # Errors
    /// The server is out of reach.
    pub async fn census(&self) -> Result<Census, BackendError> {
        let counted = async {
            let starts = jsapi::subjects(&self.link, &self.streams.starts, ">").await?;
            let tickets = jsapi::subjects(&self.link, &self.streams.tickets, ">").await?;
            let keys = jsapi::subjects(&self.link, &self.streams.runs, &self.names.chunks()).await?;
            let dead = jsapi::subjects(&self.link, &self.names.stream(Stream::Dead), ">").await?;
            Ok::<_, Failure>(Census {
                starts: starts.values().sum(),
                tickets: tickets.values().sum(),
                chunked: keys
                    .keys()
                    .filter_map(|key| self.names.run_of_chunk(key))
                    .map(|run| run.to_string())
                    .collect(),
                dead_letters: dead
                    .into_iter()
                    .map(|(subject, count)| (self.names.letter(&subject).to_owned(), count))
                    .collect(),
            })
        };
        counted.await.map_err(|failure| failure.cannot("count what the streams hold"))
    }

    /// Takes every ticket of a run away, also those that a worker holds, as a broken server might: a sweep has to find
    /// what they stood for. Returns how many there were.
    ///
    /// # Errors
    /// The server is out of reach.
    pub async fn lose_tickets(&self, run: &RunKey) -> Result<u64, BackendError> {
        let tickets = self.names.tickets_of_run(run);
        let removed = jsapi::remove_each(&self.link, &self.streams.tickets, &tickets).await;
        removed.map_err(|failure| failure.cannot(format!("take the tickets of run {run} away")))
    }
}
