//! What disappears is made again: streams and buckets, by every host that is up and may, and that several of them try does no
//! harm. Consumers are made again by those who pull from them.
//!
//! A request that fails because something is missing is a hint, after which all streams are looked at. Besides, one request
//! each thirty seconds asks for the names of the streams, or, of a user who may not ask for that, for one stream in turn.
//!
//! A stream that was made anew is another one, and hosts that did not make it notice that as well: the facts of the
//! snapshots' stream are learned again, and lost tickets and alarms are reported to the sweep.

use crate::{
    config::{NatsConfig, Provisioning},
    names::{Names, Stream},
    provision,
    session::{Backoff, Connection, Failure, StreamFacts, api},
};
use futures::FutureExt as _;
use jetway_engine::backend::BackendError;
use jetway_state::Timestamp;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::task::AbortOnDropHandle;

/// The time between two looks without a hint.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// After a hint: whoever removed a stream may be about to make it anew, as `jetway setup` does.
const AFTER_HINT: Duration = Duration::from_millis(250);
/// The delays after a failed attempt. Jitter adds up to as much again.
const FIRST_DELAY: Duration = Duration::from_millis(250);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// The time between two log lines about what cannot be made.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Since when tickets or alarms may be lost. The first value tells of no loss.
pub(crate) type TicketLosses = watch::Receiver<Timestamp>;

/// The upkeep of the streams of hosts, or of stores.
pub(crate) struct Upkeep {
    connection: Arc<Connection>,
    names: Names,
    config: NatsConfig,
    streams: Vec<Stream>,
    facts: UpkeepFacts,
    /// When the streams of tickets and of alarms were made.
    made: BTreeMap<String, String>,
    losses: watch::Sender<Timestamp>,
    /// The latest time at which nothing was missing.
    complete_at: Timestamp,
    /// This user may not ask for the names of all streams. The next stream to ask for.
    in_turn: Option<usize>,
    said: Option<Instant>,
}

/// What is known of streams, to be learned again when they are made again.
pub(crate) struct UpkeepFacts {
    /// Of the stream that has the snapshots, or the values of stores.
    pub(crate) values: Arc<StreamFacts>,
    /// Of the stream of signals.
    pub(crate) signals: Arc<StreamFacts>,
}

impl Upkeep {
    /// Starts the task, which ends with the handle. `None` if this user does not look at streams.
    pub(crate) fn start(
        connection: &Arc<Connection>,
        names: &Names,
        config: &NatsConfig,
        streams: &[Stream],
        facts: UpkeepFacts,
    ) -> (Option<AbortOnDropHandle<()>>, TicketLosses) {
        let (losses, reported) = watch::channel(Timestamp(0));
        if config.provisioning == Provisioning::Trust {
            return (None, reported);
        }
        let upkeep = Self {
            connection: Arc::clone(connection),
            names: names.clone(),
            config: config.clone(),
            streams: streams.to_vec(),
            facts,
            made: BTreeMap::new(),
            losses,
            complete_at: connection.server_time(),
            in_turn: None,
            said: None,
        };
        (Some(AbortOnDropHandle::new(tokio::spawn(upkeep.run()))), reported)
    }

    async fn run(mut self) {
        let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
        if let Err(failure) = self.learn().await {
            tracing::debug!(error = %failure, "cannot read when streams were made");
        }
        // What the setup has found missing is made.
        self.connection.missing.notified().now_or_never();
        while !self.connection.is_closed() {
            let hinted = tokio::select! {
                () = sleep(LOOK_EVERY) => false,
                () = self.connection.missing.notified() => true,
            };
            if hinted {
                sleep(AFTER_HINT.mul_f64(rand::random_range(1.0..2.0))).await;
            }
            while let Err(error) = self.look(hinted).await
                && !self.connection.is_closed()
            {
                self.say(&error);
                sleep(backoff.next_delay()).await;
            }
            backoff.reset();
            // What this look itself has found missing is made.
            self.connection.missing.notified().now_or_never();
        }
    }

    /// Looks for what is missing, and makes it again.
    async fn look(&mut self, hinted: bool) -> Result<(), BackendError> {
        let asked_at = self.connection.server_time();
        let missing = self.missing(hinted).await.map_err(|failure| failure.cannot("look for the streams"))?;
        if !missing.is_empty() {
            self.make(&missing).await?;
        }
        if hinted || !missing.is_empty() {
            self.learn().await.map_err(|failure| failure.cannot("read the streams that were made again"))?;
        }
        self.complete_at = asked_at;
        self.said = None;
        Ok(())
    }

    async fn missing(&mut self, all: bool) -> Result<Vec<Stream>, Failure> {
        let Some(turn) = self.in_turn else {
            return match api::stream_names(&self.connection).await {
                Ok(names) => {
                    let is_missing = |stream: &&Stream| !names.contains(&self.names.stream(**stream));
                    Ok(self.streams.iter().filter(is_missing).copied().collect())
                }
                Err(Failure::NotPermitted(reason)) => {
                    tracing::debug!(reason, "this user may not list the streams: asking for each in turn");
                    self.in_turn = Some(0);
                    Box::pin(self.missing(all)).await
                }
                Err(failure) => Err(failure),
            };
        };
        self.in_turn = Some((turn + 1) % self.streams.len().max(1));
        let asked = if all { &self.streams[..] } else { self.streams.get(turn..=turn).unwrap_or_default() };
        let mut missing = Vec::new();
        for stream in asked {
            match api::stream_info(&self.connection, &self.names.stream(*stream)).await {
                Ok(_info) => {}
                Err(failure) if failure.is_absent() => missing.push(*stream),
                // It may not ask for this one either, and learns of a loss by its own requests alone.
                Err(Failure::NotPermitted(_)) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(missing)
    }

    async fn make(&self, missing: &[Stream]) -> Result<(), BackendError> {
        // The number of replicas is recorded in the snapshots' stream, which may be among them.
        let known = self.facts.values.wanted_replicas();
        let is_record = |stream: &Stream| matches!(stream, Stream::Runs | Stream::StoreState);
        let replicas = match missing.iter().any(is_record) && known > 1 {
            true => self.config.replicas.or(Some(known)),
            false => self.config.replicas,
        };
        let config = NatsConfig { replicas, ..self.config.clone() };
        let again = provision::MadeAgain { streams: missing, at: self.connection.server_time() };
        provision::provision_again(&self.connection, &self.names, &config, &self.streams, again).await?;
        for stream in missing {
            let name = self.names.stream(*stream);
            tracing::error!(
                stream = name,
                "stream had disappeared, and is made again: {}",
                provision::lost_with(*stream)
            );
        }
        Ok(())
    }

    /// Learns what is known of the streams again, and reports tickets and alarms that were lost.
    async fn learn(&mut self) -> Result<(), Failure> {
        if let Some(stream) = self.streams.iter().find(|one| matches!(one, Stream::Runs | Stream::StoreState))
        {
            let stream = self.names.stream(*stream);
            let before = self.facts.values.store();
            self.facts.values.learn(&api::stream_info(&self.connection, &stream).await?);
            if before != self.facts.values.store() {
                tracing::warn!(
                    stream,
                    "this is another stream than before: what the earlier one had is gone"
                );
            }
        }
        if self.streams.contains(&Stream::Signals) {
            let stream = self.names.stream(Stream::Signals);
            self.facts.signals.learn(&api::stream_info(&self.connection, &stream).await?);
        }
        let mut made = BTreeMap::new();
        for stream in [Stream::Tickets, Stream::Timers] {
            if self.streams.contains(&stream) {
                let name = self.names.stream(stream);
                let created = api::stream_info(&self.connection, &name).await?.created;
                made.insert(name, created);
            }
        }
        let is_another =
            |(name, created): (&String, &String)| self.made.get(name).is_some_and(|before| before != created);
        let is_lost = made.iter().any(is_another);
        // Both are known by now: a failure between them would hide the loss of the first one.
        self.made = made;
        if is_lost {
            self.losses.send_replace(self.complete_at);
        }
        Ok(())
    }

    /// Says, once a minute, what is missing and cannot be made.
    fn say(&mut self, error: &BackendError) {
        let namespace = self.names.namespace();
        if error.is_retryable() {
            tracing::debug!(%error, "cannot look after the streams");
        } else if self.said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            self.said = Some(Instant::now());
            tracing::error!(%error, "a stream of namespace {namespace} is missing, and this host cannot make it again");
        }
    }
}
