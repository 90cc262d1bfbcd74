//! What waits in the streams, and what keeps it from being delivered.

use super::NatsBackend;
use crate::{
    names::{Names, Stream},
    session::{
        Failure,
        api::{self, ConsumerInfo},
    },
};
use futures::future::BoxFuture;
use jetway_engine::backend::{BackendError, Ticket};
use jetway_state::{
    Timestamp,
    codec::{self, EnvelopeError},
};
use std::{collections::BTreeMap, time::Duration};

/// How many leased tickets of a workflow are read to find those of a newer format.
const MAX_TICKETS: usize = 256;

/// What waits in the streams of a namespace, and what keeps it from being delivered. A user who may not ask for a part of it
/// gets a report without that part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueReport {
    /// The consumers that somebody has paused.
    pub paused: Vec<PausedConsumer>,
    /// The numbers of start messages that wait, by workflow.
    pub starts: BTreeMap<String, u64>,
    /// The oldest of them.
    pub oldest_start: Option<OldestStart>,
    /// The numbers of tickets that wait or are leased, by workflow.
    pub tickets: BTreeMap<String, u64>,
    /// The numbers of alarms that are armed, by workflow.
    pub alarms: BTreeMap<String, u64>,
    /// The numbers of wake-ups that wait or are being forwarded, by workflow: alarms that have rung.
    pub wakes: BTreeMap<String, u64>,
    /// The numbers of signals that wait to be applied, by workflow.
    pub signals: BTreeMap<String, u64>,
    /// The numbers of signals that are put off, by workflow: their runs do not exist yet.
    pub signals_put_off: BTreeMap<String, u64>,
    /// The numbers of tickets that a newer version of Jetway wrote, by workflow. At most 256 are looked at for each.
    pub newer_tickets: BTreeMap<String, u64>,
    /// The numbers of dead letters, by `workflow.why`.
    pub dead_letters: BTreeMap<String, u64>,
    /// The name of the stream of dead letters.
    pub dead_letter_stream: String,
}

/// A consumer that delivers nothing until a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PausedConsumer {
    /// The stream.
    pub stream: String,
    /// The consumer.
    pub consumer: String,
    /// What it delivers: `tickets`, `wake-ups`, `signals` or `start messages`.
    pub delivers: &'static str,
    /// The workflow.
    pub workflow: String,
    /// Until when, in the time of the server.
    pub until: Timestamp,
}

/// The oldest start message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldestStart {
    /// Its workflow, as its sender wrote it.
    pub workflow: String,
    /// When the server stored it.
    pub at: Timestamp,
    /// How long it has waited, in the time of the server.
    pub age: Duration,
}

impl NatsBackend {
    /// Reads what waits in the streams. It lists all their subjects, so it is not for a hot path.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn queues(&self) -> BoxFuture<'_, Result<QueueReport, BackendError>> {
        // Boxed, so that it is compiled in this crate and not wherever it is awaited.
        Box::pin(self.read_queues())
    }

    async fn read_queues(&self) -> Result<QueueReport, BackendError> {
        let mut report =
            QueueReport { dead_letter_stream: self.streams.dead.clone(), ..QueueReport::default() };
        let read = async {
            self.read_starts(&mut report).await?;
            self.read_tickets(&mut report).await?;
            self.read_alarms(&mut report).await?;
            self.read_signals(&mut report).await?;
            for (subject, messages) in self.subjects_of(Stream::Dead, ">").await? {
                *report.dead_letters.entry(self.names.dead_letter_key(&subject).to_owned()).or_default() +=
                    messages;
            }
            Ok::<_, Failure>(())
        };
        read.await.map_err(|failure| failure.cannot("read what waits in the streams"))?;
        Ok(report)
    }

    async fn read_starts(&self, report: &mut QueueReport) -> Result<(), Failure> {
        for (subject, messages) in self.subjects_of(Stream::Starts, ">").await? {
            let workflow = self.names.workflow_of_start(&subject).unwrap_or(&subject);
            *report.starts.entry(workflow.to_owned()).or_default() += messages;
        }
        if !report.starts.is_empty() {
            report.oldest_start = permitted(self.oldest_start().await)?.flatten();
        }
        let (stream, prefix) = (&self.streams.starts, Names::start_consumer(""));
        for (workflow, info) in self.consumers_of(stream, &prefix).await? {
            let consumer = Names::start_consumer(&workflow);
            report.paused.extend(self.paused(stream, consumer, "start messages", workflow, &info));
        }
        Ok(())
    }

    async fn read_tickets(&self, report: &mut QueueReport) -> Result<(), Failure> {
        for (subject, messages) in self.subjects_of(Stream::Tickets, ">").await? {
            let workflow = self.names.ticket_tokens(&subject).map_or(subject.as_str(), |t| t.workflow);
            *report.tickets.entry(workflow.to_owned()).or_default() += messages;
        }
        let (stream, prefix) = (&self.streams.tickets, Names::work_consumer(""));
        for (workflow, info) in self.consumers_of(stream, &prefix).await? {
            self.count_newer(report, stream, &workflow, &info).await?;
            let consumer = Names::work_consumer(&workflow);
            report.paused.extend(self.paused(stream, consumer, "tickets", workflow, &info));
        }
        Ok(())
    }

    async fn read_alarms(&self, report: &mut QueueReport) -> Result<(), Failure> {
        for (subject, messages) in self.subjects_of(Stream::Timers, &self.names.all_timers()).await? {
            if self.names.is_signal_timer(&subject) {
                // The signal is counted.
                continue;
            }
            let workflow =
                self.names.timer_tokens(&subject).map_or(subject.as_str(), |(run, _)| run.workflow);
            *report.alarms.entry(workflow.to_owned()).or_default() += messages;
        }
        for (subject, messages) in self.subjects_of(Stream::Timers, &self.names.all_wakes()).await? {
            let of_signal = self.names.signal_wake_tokens(&subject).map(|(workflow, _)| workflow);
            let workflow = self.names.wake_tokens(&subject).map(|(run, _)| run.workflow).or(of_signal);
            let workflow = workflow.unwrap_or(&subject);
            *report.wakes.entry(workflow.to_owned()).or_default() += messages;
        }
        let (stream, prefix) = (&self.streams.timers, Names::wake_consumer(""));
        for (workflow, info) in self.consumers_of(stream, &prefix).await? {
            self.count_newer(report, stream, &workflow, &info).await?;
            let consumer = Names::wake_consumer(&workflow);
            report.paused.extend(self.paused(stream, consumer, "wake-ups", workflow, &info));
        }
        Ok(())
    }

    async fn read_signals(&self, report: &mut QueueReport) -> Result<(), Failure> {
        for (subject, messages) in self.subjects_of(Stream::Signals, ">").await? {
            let put_off = self.names.put_off_tokens(&subject).map(|signal| signal.workflow);
            let (counts, workflow) = match put_off {
                Some(workflow) => (&mut report.signals_put_off, workflow),
                None => (&mut report.signals, self.names.workflow_of_signal(&subject).unwrap_or(&subject)),
            };
            *counts.entry(workflow.to_owned()).or_default() += messages;
        }
        let (stream, prefix) = (&self.streams.signals, Names::signal_consumer(""));
        for (workflow, info) in self.consumers_of(stream, &prefix).await? {
            let consumer = Names::signal_consumer(&workflow);
            report.paused.extend(self.paused(stream, consumer, "signals", workflow, &info));
        }
        Ok(())
    }

    async fn subjects_of(&self, stream: Stream, filter: &str) -> Result<BTreeMap<String, u64>, Failure> {
        let found = api::subjects(&self.connection, &self.names.stream(stream), filter).await;
        Ok(permitted(found)?.unwrap_or_default().into_iter().collect())
    }

    /// The consumers whose names begin with `prefix`, by workflow.
    async fn consumers_of(&self, stream: &str, prefix: &str) -> Result<Vec<(String, ConsumerInfo)>, Failure> {
        let names = permitted(api::consumer_names(&self.connection, stream).await)?.unwrap_or_default();
        let mut consumers = Vec::new();
        for name in names {
            let Some(workflow) = name.strip_prefix(prefix) else { continue };
            match permitted(api::consumer_info(&self.connection, stream, &name).await) {
                Ok(info) => consumers.extend(info.map(|info| (workflow.to_owned(), info))),
                // It was removed meanwhile.
                Err(failure) if failure.is_absent() => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(consumers)
    }

    fn paused(
        &self,
        stream: &str,
        consumer: String,
        delivers: &'static str,
        workflow: String,
        info: &ConsumerInfo,
    ) -> Option<PausedConsumer> {
        let remaining = Duration::from_nanos(info.paused.then_some(info.pause_remaining)?);
        let until = self.connection.server_time().after(remaining);
        Some(PausedConsumer { stream: stream.to_owned(), consumer, delivers, workflow, until })
    }

    async fn oldest_start(&self) -> Result<Option<OldestStart>, Failure> {
        let (stream, filter) = (&self.streams.starts, self.names.all_starts());
        let Some(found) = api::first_from(&self.connection, stream, &filter, 1).await? else {
            return Ok(None);
        };
        let millis = found.message.time.unix_timestamp_nanos() / 1_000_000;
        let at = Timestamp(u64::try_from(millis).unwrap_or_default());
        let subject = found.message.subject.as_str();
        Ok(Some(OldestStart {
            workflow: self.names.workflow_of_start(subject).unwrap_or(subject).to_owned(),
            at,
            age: self.connection.server_time().since(at),
        }))
    }

    async fn count_newer(
        &self,
        report: &mut QueueReport,
        stream: &str,
        workflow: &str,
        info: &ConsumerInfo,
    ) -> Result<(), Failure> {
        let newer = permitted(self.newer_tickets(stream, info).await)?.unwrap_or_default();
        if newer > 0 {
            *report.newer_tickets.entry(workflow.to_owned()).or_default() += newer;
        }
        Ok(())
    }

    /// The number of leased tickets, or of wake-ups, that a newer version wrote: hosts give them back again and again.
    async fn newer_tickets(&self, stream: &str, info: &ConsumerInfo) -> Result<u64, Failure> {
        if info.num_ack_pending == 0 {
            return Ok(0);
        }
        let (mut newer, mut from) = (0, info.ack_floor.stream_seq + 1);
        for _ in 0..MAX_TICKETS {
            let filter = &info.config.filter_subject;
            let found = api::first_from(&self.connection, stream, filter, from).await?;
            let Some(found) = found.filter(|found| found.message.sequence <= info.delivered.stream_seq)
            else {
                break;
            };
            from = found.message.sequence + 1;
            let ticket = codec::open::<Ticket>(&found.message.payload, "a ticket");
            newer += u64::from(matches!(ticket, Err(EnvelopeError::Newer { .. })));
        }
        Ok(newer)
    }
}

/// `None` if this user may not ask, or there is nothing to ask for.
fn permitted<T>(read: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(Failure::NotPermitted(reason)) => {
            tracing::debug!(reason, "this user may not ask for all of what waits in the streams");
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}
