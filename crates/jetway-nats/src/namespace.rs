//! Sets up a namespace: creates what is missing, and changes the number of replicas without losing work.
//!
//! # More replicas
//!
//! Hosts may be at work. The order of the changes keeps every read exact that a decision rests on:
//!
//! 1. The number is recorded in the metadata of the bucket of snapshots.
//! 2. The stream of tickets is made anew if the server need not sync it, since such a stream can have one replica only.
//!    Meanwhile hosts repeat their writes. Then the tickets of all pending items are published from the snapshots, which
//!    still have one replica, so that no run is overlooked. Until that is done, the metadata of the stream say so. The stream of
//!    alarms is made anew as well, and its [alarms] are copied.
//! 3. Hosts see the record with their next announcement, and then read from the leader alone. Their announcements say so.
//! 4. The other streams get their replicas.
//!
//! A crash at any point is repaired by the same command.

mod alarms;

use crate::{
    backend::NatsBackend,
    config::{NatsConfig, Provisioning},
    names::{KV_OPERATION, Names, REPLICAS, REPLICAS_RECORD, Stream, TICKETS_MISSING},
    provision::{self, replicas::record_of, streams::expected},
    session::{self, Backoff, Connection, Failure, api, direct},
};
use async_nats::jetstream::{
    ErrorCode, consumer,
    stream::{Config, PersistenceMode},
};
use futures::future::BoxFuture;
use jetway_engine::{
    backend::{Backend, BackendError, BackendErrorKind},
    republish_tickets,
};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// The delays between two looks at what others do.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(1);
/// How long new replicas may take to get all messages.
const REPLICATED_WITHIN: Duration = Duration::from_secs(300);
/// How long hosts may take to learn the number of replicas, at least. They may announce themselves at another interval.
const LEARNED_WITHIN: Duration = Duration::from_secs(60);
/// A host announces itself three times before its entry expires.
const ANNOUNCEMENTS: u32 = 4;

/// What [`set_up`] found and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamespaceReport {
    /// The namespace.
    pub namespace: String,
    /// The number of replicas that it is set up for.
    pub replicas: usize,
    /// The streams that were created.
    pub created: Vec<String>,
    /// The streams that have another number of replicas than before.
    pub changed: Vec<ChangedStream>,
    /// The streams that were as they should be.
    pub unchanged: Vec<String>,
    /// Tickets that were published again, since their stream was made anew.
    pub tickets: u64,
    /// Streams of stores whose number of replicas differs. They are changed with `nats stream edit`, while no process uses
    /// them.
    pub left: Vec<String>,
}

/// A stream with another number of replicas than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedStream {
    /// Its name.
    pub stream: String,
    /// How many replicas it had.
    pub before: usize,
}

/// Creates the streams of a namespace that are missing, and records [`NatsConfig::replicas`] for all its hosts. If that is
/// another number than before, changes the streams that exist; no work is lost, and hosts may be running. Repeating it
/// changes nothing.
///
/// # Errors
/// As [`NatsBackend::connect`]. `Misconfigured` also if the server is no cluster of so many servers, and `Unavailable` if
/// hosts or servers take too long to follow: then call it again.
pub fn set_up(config: NatsConfig) -> BoxFuture<'static, Result<NamespaceReport, BackendError>> {
    Box::pin(async move {
        let (connection, _facts) = session::connect(&config).await?;
        Namespace::read(connection, config).await?.set_up().await
    })
}

/// A namespace as it was found.
struct Namespace {
    connection: Arc<Connection>,
    config: NatsConfig,
    names: Names,
    found: BTreeMap<String, Config>,
    replicas: usize,
}

impl Namespace {
    async fn read(connection: Arc<Connection>, config: NatsConfig) -> Result<Self, BackendError> {
        let names = Names::new(config.namespace.clone());
        let mut found = BTreeMap::new();
        for stream in Stream::OF_HOSTS.into_iter().chain(Stream::OF_STORES) {
            let name = names.stream(stream);
            match api::stream_info(&connection, &name).await {
                Ok(info) => drop(found.insert(name, info.config)),
                Err(failure) if failure.is_absent() => {}
                Err(failure) => return Err(provision::unreadable(failure, &name, &connection)),
            }
        }
        let recorded = found.get(&names.stream(Stream::Runs)).map(record_of);
        let replicas = config.replicas.or(recorded).unwrap_or(1);
        Ok(Self { connection, config, names, found, replicas })
    }

    async fn set_up(self) -> Result<NamespaceReport, BackendError> {
        let mut report = self.empty_report();
        if let Some(runs) = self.stream(Stream::Runs) {
            let recorded = runs.metadata.get(REPLICAS_RECORD).map(String::as_str);
            let record = self.replicas.to_string();
            if recorded != Some(record.as_str()) {
                let mut runs = runs.clone();
                runs.metadata.insert(REPLICAS_RECORD.to_owned(), record);
                self.update(&runs, "record the number of replicas in").await?;
            }
            report.tickets = self.complete_tickets(&mut report).await?;
            if self.move_alarms().await? {
                self.note_changed(&mut report, Stream::Timers);
            }
            if runs.num_replicas == 1 && self.replicas > 1 {
                self.wait_for_hosts().await?;
            }
        }
        self.change_replicas(&mut report).await?;
        self.create_missing(&mut report).await?;
        Ok(report)
    }

    fn stream(&self, stream: Stream) -> Option<&Config> {
        self.found.get(&self.names.stream(stream))
    }

    /// All streams that exist are unchanged so far.
    fn empty_report(&self) -> NamespaceReport {
        let of_hosts = Stream::OF_HOSTS.map(|stream| self.names.stream(stream));
        let (of_hosts, of_stores): (Vec<_>, Vec<_>) =
            self.found.iter().partition(|(name, _)| of_hosts.contains(name));
        let differs = |(_, config): &(&String, &Config)| config.num_replicas != self.replicas;
        NamespaceReport {
            namespace: self.config.namespace.to_string(),
            replicas: self.replicas,
            created: Vec::new(),
            changed: Vec::new(),
            unchanged: of_hosts.into_iter().map(|(name, _)| name.clone()).collect(),
            tickets: 0,
            left: of_stores.into_iter().filter(differs).map(|(name, _)| name.clone()).collect(),
        }
    }

    async fn update(&self, config: &Config, action: &str) -> Result<(), BackendError> {
        match api::update_stream(&self.connection, config).await {
            Ok(_info) => Ok(()),
            Err(failure) => Err(provision::not_created(failure, config, &self.connection, action)),
        }
    }

    /// Makes the stream of tickets anew if it is missing, or cannot have the replicas. Then publishes the missing tickets.
    /// Returns their number.
    async fn complete_tickets(&self, report: &mut NamespaceReport) -> Result<u64, BackendError> {
        let name = self.names.stream(Stream::Tickets);
        let found = self.found.get(&name);
        let is_async = |found: &Config| found.persist_mode == Some(PersistenceMode::Async);
        let is_incomplete = |found: &Config| found.metadata.contains_key(TICKETS_MISSING);
        match found {
            Some(found) if is_async(found) && self.replicas > 1 => {
                self.replace_tickets(&name).await?;
                self.note_changed(report, Stream::Tickets);
            }
            Some(found) if !is_incomplete(found) => return Ok(0),
            Some(_) => {}
            None => {
                self.create_tickets().await?;
                report.created.push(name.clone());
            }
        }
        let trusting = NatsConfig { provisioning: Provisioning::Trust, ..self.config.clone() };
        let backend: Arc<dyn Backend> = Arc::new(NatsBackend::connect(trusting).await?);
        let mut backoff = Backoff::until(FIRST_DELAY, LONGEST_DELAY, REPLICATED_WITHIN);
        let published = loop {
            match republish_tickets(Arc::clone(&backend)).await {
                // The streams have just got more replicas, and their leaders may change.
                Err(error) if error.is_retryable() && backoff.wait().await => {
                    tracing::debug!(%error, "publishing the missing tickets again");
                }
                published => break published?,
            }
        };
        let complete = self.tickets_config();
        self.update(&complete, "complete").await?;
        Ok(published.tickets)
    }

    fn tickets_config(&self) -> Config {
        let async_tickets = provision::has_async_tickets(&self.connection);
        let config = expected(&self.names, &self.config, Stream::Tickets, self.replicas, async_tickets);
        // An operator may have given it a limit.
        let max_bytes = self.stream(Stream::Tickets).map_or(config.max_bytes, |found| found.max_bytes);
        Config { max_bytes, ..config }
    }

    /// Makes the stream and its consumers anew.
    async fn replace_tickets(&self, name: &str) -> Result<(), BackendError> {
        let failed = |failure: Failure| failure.cannot(format!("make stream {name} anew"));
        let consumers = self.durable_consumers(name).await?;
        self.check_cluster().await?;
        api::delete_stream(&self.connection, name).await.map_err(failed)?;
        self.create_tickets().await?;
        self.recreate_consumers(name, consumers).await;
        Ok(())
    }

    async fn durable_consumers(&self, stream: &str) -> Result<Vec<consumer::Config>, BackendError> {
        let failed = |failure: Failure| failure.cannot(format!("read the consumers of stream {stream}"));
        let mut consumers = Vec::new();
        for consumer in api::consumer_names(&self.connection, stream).await.map_err(failed)? {
            match api::consumer_info(&self.connection, stream, &consumer).await {
                Ok(info) => consumers.push(info.config),
                Err(failure) if failure.is_absent() => {}
                Err(failure) => return Err(failed(failure)),
            }
        }
        consumers.retain(|consumer| consumer.durable_name.is_some());
        Ok(consumers)
    }

    async fn recreate_consumers(&self, stream: &str, consumers: Vec<consumer::Config>) {
        for consumer in consumers {
            if let Err(failure) = api::create_consumer(&self.connection, stream, &consumer).await {
                // The hosts of its workflow make it too.
                tracing::debug!(stream, error = %failure, "cannot make a consumer anew");
            }
        }
    }

    /// Reports that a stream that existed was made anew.
    fn note_changed(&self, report: &mut NamespaceReport, stream: Stream) {
        let name = self.names.stream(stream);
        let before = self.found.get(&name).map_or(self.replicas, |found| found.num_replicas);
        report.unchanged.retain(|unchanged| *unchanged != name);
        report.changed.push(ChangedStream { stream: name, before });
    }

    /// Creates the stream.
    async fn create_tickets(&self) -> Result<(), BackendError> {
        let mut config = self.tickets_config();
        config.metadata.insert(TICKETS_MISSING.to_owned(), "true".to_owned());
        match api::create_stream(&self.connection, &config).await {
            Ok(_info) => Ok(()),
            // A host that has just started needs it too.
            Err(failure) if failure.code() == Some(ErrorCode::STREAM_NAME_EXIST) => Ok(()),
            Err(failure) => Err(provision::not_created(failure, &config, &self.connection, "create")),
        }
    }

    /// Whether so many replicas are possible: tries them with the bucket of hosts, whose entries are short-lived.
    async fn check_cluster(&self) -> Result<(), BackendError> {
        let Some(hosts) = self.stream(Stream::Hosts) else { return Ok(()) };
        let config = Config { num_replicas: self.replicas, ..hosts.clone() };
        self.update(&config, "change the replicas of").await
    }

    /// Waits until every live host reads in a way that is exact with several replicas.
    async fn wait_for_hosts(&self) -> Result<(), BackendError> {
        let stream = self.names.stream(Stream::Hosts);
        let failed = |failure: Failure| failure.cannot("read which hosts know the number of replicas");
        let within = (self.config.announce_every * ANNOUNCEMENTS).max(LEARNED_WITHIN);
        let mut backoff = Backoff::until(FIRST_DELAY, LONGEST_DELAY, within);
        loop {
            let page = direct::latest_of_each(&self.connection, &stream, &self.names.hosts()).await;
            let page = match page.map_err(failed) {
                Err(error) if error.is_retryable() && backoff.wait().await => continue,
                page => page?,
            };
            let is_prepared =
                |replicas: &str| replicas.parse().is_ok_and(|known: usize| known >= self.replicas);
            let mut live = page.messages.iter().filter(|host| host.headers.get(KV_OPERATION).is_none());
            if live.all(|host| host.headers.get(REPLICAS).is_some_and(|known| is_prepared(known.as_str()))) {
                return Ok(());
            }
            if !backoff.wait().await {
                let sentence = format!(
                    "hosts did not learn within {within:?} that there will be {} replicas: call this again, or stop hosts \
                     that may not read the configuration of streams",
                    self.replicas
                );
                return Err(BackendError::new(BackendErrorKind::Unavailable, sentence));
            }
        }
    }

    /// Changes the replicas of the streams that exist, and waits until all of them have all messages.
    async fn change_replicas(&self, report: &mut NamespaceReport) -> Result<(), BackendError> {
        for stream in Stream::OF_HOSTS {
            let name = self.names.stream(stream);
            if !report.unchanged.contains(&name) {
                continue;
            }
            let failed = |failure| provision::unreadable(failure, &name, &self.connection);
            let found = api::stream_info(&self.connection, &name).await.map_err(failed)?.config;
            if found.num_replicas != self.replicas {
                let changed = Config { num_replicas: self.replicas, ..found };
                self.update(&changed, "change the replicas of").await?;
            }
            let before = self.found.get(&name).map_or(self.replicas, |found| found.num_replicas);
            if before != self.replicas {
                self.note_changed(report, stream);
            }
        }
        for changed in &report.changed {
            self.wait_for_replicas(&changed.stream).await?;
        }
        Ok(())
    }

    async fn wait_for_replicas(&self, stream: &str) -> Result<(), BackendError> {
        let mut backoff = Backoff::until(FIRST_DELAY, LONGEST_DELAY, REPLICATED_WITHIN);
        loop {
            match api::stream_info(&self.connection, stream).await {
                Ok(info) if info.is_replicated() => return Ok(()),
                // It may be electing a leader.
                Ok(_) | Err(Failure::NoAnswer(_)) => {}
                Err(failure) => return Err(provision::unreadable(failure, stream, &self.connection)),
            }
            if !backoff.wait().await {
                let sentence = format!(
                    "stream {stream} does not have all its messages on {} servers after {REPLICATED_WITHIN:?}: check the \
                     servers of the cluster, and call this again",
                    self.replicas
                );
                return Err(BackendError::new(BackendErrorKind::Unavailable, sentence));
            }
        }
    }

    /// Creates what is missing, and checks all streams as a host does.
    async fn create_missing(&self, report: &mut NamespaceReport) -> Result<(), BackendError> {
        let config = NatsConfig {
            replicas: Some(self.replicas),
            provisioning: Provisioning::Create,
            ..self.config.clone()
        };
        provision::provision(&self.connection, &self.names, &config, &Stream::OF_HOSTS).await?;
        let names = Stream::OF_HOSTS.map(|stream| self.names.stream(stream));
        let is_new = |name: &String| !self.found.contains_key(name) && !report.created.contains(name);
        let created: Vec<_> = names.into_iter().filter(is_new).collect();
        report.created.extend(created);
        Ok(())
    }
}
