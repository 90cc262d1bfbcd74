//! Signals: published by any client, delivered to one coordinator each.
//!
//! | the host dies, or | state | mended by |
//! |---|---|---|
//! | before it has applied a signal, or put it off | the signal is leased | its lease ends, and another host gets it |
//! | between the commit that applies a signal and the ack, or the ack is lost | the signal is applied, and comes again | the record knows its sequence |
//! | between the write that puts a signal off and the ack | the signal exists twice | the record knows it by the id of its sender or, without one, by its first place in the stream |

mod later;
mod message;
mod reader;
mod unroutable;

pub(super) use later::LaterSignals;
pub(crate) use message::{StoredMessage, chosen_id, content_type_of, decode, headers, incarnation_for};

use super::NatsBackend;
use crate::{
    committer::{Condition, Write},
    dead_letters::sender_headers,
    names::Names,
    pull::Source,
    session::{Failure, api, direct},
};
use async_nats::jetstream::message::StreamMessage;
use async_trait::async_trait;
use futures::{StreamExt as _, stream, stream::BoxStream};
use jetway_engine::backend::{
    BackendError, BackendErrorKind, DeadLetter, Hosts as _, NewSignal, SignalDelivery, Signals, StoredSignal,
};
use jetway_state::{RunKey, SignalName, Timestamp, WorkflowName, run::GIVEN_SIGNAL_ID};
use reader::SignalReader;
use std::sync::Arc;
use tokio::sync::Semaphore;

#[async_trait]
impl Signals for NatsBackend {
    async fn publish_signal(&self, signal: &NewSignal) -> Result<StoredSignal, BackendError> {
        let name = checked(&signal.name)?;
        self.check_set_up().await?;
        let chosen = signal.id.as_deref().map(str::trim).filter(|id| !id.is_empty());
        // The write may be repeated, when its reply is lost.
        let id = chosen.map_or_else(given_id, ToOwned::to_owned);
        let NewSignal { run, incarnation, content_type, payload, .. } = signal;
        let write = Write {
            subject: self.names.signal(run, &name).into(),
            payload: payload.clone(),
            condition: Condition::Always(headers(Some(&id), *incarnation, content_type.as_deref())),
        };
        let stored = self.committers.signals.write(write).await;
        let sequence = stored.map_err(|error| error.error_of(format!("signal {name} to run {run}")))?;
        let stored = signal.stored(self.signal_facts.store(), sequence, self.clock().now());
        Ok(StoredSignal { id: Some(id), ..stored })
    }

    async fn signals(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<SignalDelivery, BackendError>>, BackendError> {
        let source = Source {
            stream: self.streams.signals.clone(),
            consumer: Names::signal_consumer(workflow.as_str()),
            filter: self.names.signals_of_workflow(workflow.as_str()),
            workflow: workflow.to_string(),
        };
        let pull = self.pull_of_clients(source, slots).await?;
        let reader = SignalReader::new(self, pull, workflow);
        Ok(stream::unfold(reader, |mut reader| async move { Some((reader.next().await?, reader)) }).boxed())
    }

    async fn stored_signals(
        &self,
        run: &RunKey,
        after: u64,
        most: usize,
    ) -> Result<Vec<StoredSignal>, BackendError> {
        let failed = |failure: Failure| failure.cannot(format!("read the signals of run {run}"));
        let (filter, store) = (self.names.signals_of_run(run), self.signal_facts.store());
        let (mut signals, mut from) = (Vec::new(), after.saturating_add(1));
        while signals.len() < most {
            let page = self.signals_from(&filter, from, most - signals.len()).await.map_err(failed)?;
            let Some(last) = page.messages.last() else { break };
            from = last.sequence + 1;
            // What is no signal becomes a dead letter when it is delivered.
            let read = |message: &StreamMessage| decode(&self.names, &StoredMessage::of(message), store).ok();
            signals.extend(page.messages.iter().filter_map(read));
            if page.pending == 0 {
                break;
            }
        }
        Ok(signals)
    }

    fn letter_of(&self, signal: &NewSignal) -> DeadLetter {
        let NewSignal { run, name, id, incarnation, content_type, payload } = signal;
        let subject = checked(name).map(|name| self.names.signal(run, &name));
        // As if the message had been read.
        let headers = headers(id.as_deref(), *incarnation, content_type.as_deref());
        DeadLetter {
            workflow: run.workflow.to_string(),
            subject: subject.unwrap_or_else(|_bad| format!("signal {run} {name}")),
            headers: sender_headers(Some(&headers)),
            payload: payload.clone(),
            ..DeadLetter::default()
        }
    }

    async fn put_off_signals(&self, run: &RunKey, most: usize) -> Result<Vec<StoredSignal>, BackendError> {
        self.read_put_off(&self.names.put_off_of_run(run), most)
            .await
            .map_err(|failure| failure.cannot(format!("read the signals of run {run} that are put off")))
    }

    async fn remove_put_off(&self, signal: &StoredSignal) -> Result<(), BackendError> {
        let StoredSignal { run, sequence, .. } = signal;
        let removed = api::delete_message(&self.connection, &self.streams.signals, *sequence).await;
        let failed = |failure: Failure| failure.cannot(format!("remove signal {sequence} of run {run}"));
        removed.map(drop).map_err(failed)
    }

    async fn put_off(&self, signal: &StoredSignal, due: Timestamp) -> Result<(), BackendError> {
        self.store_for_later(signal, due).await
    }
}

impl NatsBackend {
    /// Up to `most` messages of a run, read from a server that has all that was acknowledged.
    async fn signals_from(&self, filter: &str, from: u64, most: usize) -> Result<direct::Page, Failure> {
        if !self.runs.facts().one_replica() {
            return self.signals_from_leader(filter, from, most).await;
        }
        let (connection, stream) = (self.reads.get().await?, &self.streams.signals);
        match direct::page(&connection, stream, filter, from, most).await {
            // The headers of one of them have ended the connection.
            Err(ref failure) if self.reads.is_lost(&connection, failure).await => {
                self.signals_from_leader(filter, from, most).await
            }
            read => read,
        }
    }

    /// The same, from the leader of the stream. What has headers that cannot be parsed is left out, since it becomes a dead letter.
    async fn signals_from_leader(
        &self,
        filter: &str,
        mut from: u64,
        most: usize,
    ) -> Result<direct::Page, Failure> {
        let mut page = direct::Page::default();
        while page.messages.len() < most {
            let found = api::first_from(&self.connection, &self.streams.signals, filter, from).await?;
            let Some(found) = found else { return Ok(page) };
            from = found.message.sequence + 1;
            if found.raw_headers.is_none() {
                page.messages.push(found.message);
            }
        }
        page.pending = 1;
        Ok(page)
    }
}

/// The id of a signal whose sender has chosen none.
fn given_id() -> String {
    format!("{GIVEN_SIGNAL_ID}{:032x}", rand::random::<u128>())
}

/// The name of a signal.
///
/// # Errors
/// `Invalid`.
fn checked(name: &str) -> Result<SignalName, BackendError> {
    SignalName::new(name).map_err(|error| BackendError::new(BackendErrorKind::Invalid, error.to_string()))
}
