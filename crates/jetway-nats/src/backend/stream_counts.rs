//! Counts what the streams hold.

use super::NatsBackend;
use crate::session::{Failure, api};
use futures::future::BoxFuture;
use jetway_engine::backend::BackendError;
use std::collections::{BTreeMap, BTreeSet};

/// What the streams of a namespace hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamCounts {
    /// The number of start messages that are not acknowledged.
    pub starts: u64,
    /// The number of tickets that are not acknowledged.
    pub tickets: u64,
    /// The number of alarms that are armed.
    pub alarms: u64,
    /// The number of alarms that have rung and are not forwarded.
    pub wakes: u64,
    /// The number of signals that are not acknowledged, and of those that are put off.
    pub signals: u64,
    /// The runs that have chunks beside their snapshots.
    pub chunked: BTreeSet<String>,
    /// The numbers of dead letters, by `workflow.why`.
    pub dead_letters: BTreeMap<String, u64>,
}

impl NatsBackend {
    /// Counts what the streams hold. It lists all their subjects, so it is not for a hot path.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn stream_counts(&self) -> BoxFuture<'_, Result<StreamCounts, BackendError>> {
        // Boxed, so that it is compiled in this crate and not wherever it is awaited.
        Box::pin(self.count_streams())
    }

    async fn count_streams(&self) -> Result<StreamCounts, BackendError> {
        let subjects =
            async |stream: &str, filter: &str| api::subjects(&self.connection, stream, filter).await;
        let counts = async {
            let starts = subjects(&self.streams.starts, ">").await?;
            let tickets = subjects(&self.streams.tickets, ">").await?;
            let alarms = subjects(&self.streams.timers, &self.names.all_timers()).await?;
            let wakes = subjects(&self.streams.timers, &self.names.all_wakes()).await?;
            let signals = subjects(&self.streams.signals, ">").await?;
            let chunks = subjects(&self.streams.runs, &self.names.chunks()).await?;
            let dead_letters = subjects(&self.streams.dead, ">").await?;
            let runs = chunks.keys().filter_map(|subject| self.names.run_of_chunk(subject));
            let letters = dead_letters
                .into_iter()
                .map(|(subject, messages)| (self.names.dead_letter_key(&subject).to_owned(), messages));
            Ok::<_, Failure>(StreamCounts {
                starts: starts.values().sum(),
                tickets: tickets.values().sum(),
                alarms: alarms.values().sum(),
                wakes: wakes.values().sum(),
                signals: signals.values().sum(),
                chunked: runs.map(|(run, _)| run.to_string()).collect(),
                dead_letters: letters.collect(),
            })
        };
        counts.await.map_err(|failure| failure.cannot("count the messages of the streams"))
    }
}
