//! Results of runs, and dead letters.

use super::NatsBackend;
use crate::{
    committer::{ALREADY_STORED, Condition, Write},
    headers::incarnation_of,
    names::REVISION,
    session::{Backoff, ConnectionState, api},
};
use async_nats::{HeaderMap, Message, Subscriber, jetstream::message::StreamMessage};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use jetway_engine::backend::{
    BackendError, BackendErrorKind, DeadLetter, Results, RunResult, SnapshotStore as _,
};
use jetway_state::{
    Incarnation, RunKey, Seen,
    run::{ResultVersion, WantedResult},
};
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// The delays between reads of a result whose message did not arrive. Jitter adds up to as much again.
const FIRST_DELAY: Duration = Duration::from_millis(60);
const LONGEST_DELAY: Duration = Duration::from_secs(6);

/// How many times a subscription is tried whose connection ends.
const SUBSCRIPTIONS: usize = 5;

/// How many times the result of an earlier run is replaced, at most.
const REPLACEMENTS: usize = 3;

#[async_trait]
impl Results for NatsBackend {
    async fn publish_done(&self, result: RunResult) -> Result<(), BackendError> {
        jetway_state::hop!("NatsBackend::publish_done");
        let (run, version) = (&result.run, result.version());
        let subject = self.names.done(run);
        for _ in 0..REPLACEMENTS {
            let condition = Condition::Result(version);
            let write = Write { subject: subject.clone().into(), payload: result.json.clone(), condition };
            let stored = self.committers.done.write(write).await;
            if stored.map_err(|error| error.error_of(format!("the result of run {run}")))? != ALREADY_STORED {
                return Ok(());
            }
            // The stored result was published by an earlier attempt, or belongs to another incarnation.
            let Some(stored) = self.latest_result(run, &subject).await? else { continue };
            let stored_version = version_of(&stored.headers);
            // The usual case, a repeated result, needs no read of the record.
            if stored_version.is_some_and(|stored| stored.incarnation == version.incarnation)
                || !version.replaces(stored_version, self.recorded_incarnation(run, result.revision).await?)
            {
                return Ok(());
            }
            let removed = api::delete_message(&self.connection, &self.streams.done, stored.sequence).await;
            removed
                .map_err(|failure| failure.cannot(format!("replace the result of an earlier run {run}")))?;
        }
        let sentence =
            format!("the result of run {run} was not stored: other writers replace it all the time");
        Err(BackendError::new(BackendErrorKind::Unavailable, sentence))
    }

    async fn done(
        &self,
        run: &RunKey,
        wanted: WantedResult,
        wait: Duration,
    ) -> Result<Option<Bytes>, BackendError> {
        let end = Instant::now() + wait;
        let mut awaited = AwaitedResult { backend: self, run, subject: self.names.done(run), wanted };
        // The server sends a result to subscribers before it stores it. So a result may be sent before the subscription
        // and stored after the first read. Therefore the result is read again after growing delays.
        let mut subscribed = match wait.is_zero() {
            true => None,
            false => Some(awaited.subscribe().await?),
        };
        let mut found = awaited.stored_before(end).await?;
        let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
        let mut next_read = Instant::now() + backoff.next_delay();
        while found.is_none() {
            let Some(results) = subscribed.as_mut() else { break };
            tokio::select! {
                message = results.messages.next() => match message {
                    Some(message) => found = awaited.received_before(end, message).await?,
                    // The connection has ended: a message had headers that cannot be parsed.
                    None => {
                        *results = awaited.subscribe().await?;
                        found = awaited.stored_before(end).await?;
                    }
                },
                Ok(()) = results.state.changed() => {
                    let current = results.state.borrow_and_update().connects;
                    if current != results.connects {
                        // What was published while there was no connection was not received.
                        results.connects = current;
                        found = awaited.stored_before(end).await?;
                    }
                }
                () = sleep_until(next_read.min(end)) => {
                    found = awaited.stored_before(end).await?;
                    if next_read >= end {
                        break;
                    }
                    next_read = Instant::now() + backoff.next_delay();
                }
            }
        }
        Ok(found)
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), BackendError> {
        self.dead_letters.store(letter).await
    }
}

/// A result that somebody waits for.
struct AwaitedResult<'a> {
    backend: &'a NatsBackend,
    run: &'a RunKey,
    subject: String,
    wanted: WantedResult,
}

/// The messages on the subject of a result.
struct ResultMessages {
    messages: Subscriber,
    state: watch::Receiver<ConnectionState>,
    /// The connection over which they arrive.
    connects: u64,
}

impl AwaitedResult<'_> {
    async fn subscribe(&self) -> Result<ResultMessages, BackendError> {
        let reads = &self.backend.reads;
        let mut attempts = SUBSCRIPTIONS;
        loop {
            let connection = reads.get().await;
            let connection = connection
                .map_err(|failure| failure.cannot(format!("wait for the result of run {}", self.run)))?;
            let mut state = connection.state.clone();
            let connects = state.borrow_and_update().connects;
            attempts -= 1;
            match connection.client.subscribe(self.subject.clone()).await {
                Ok(messages) => return Ok(ResultMessages { messages, state, connects }),
                // A message has just ended it.
                Err(_) if attempts > 0 && reads.has_ended(&connection).await => {}
                Err(error) => return Err(closed(self.run).caused_by(error)),
            }
        }
    }

    /// The stored result, if it is the wanted one and can be read. As long as there is time, a read is made again that may
    /// succeed then.
    async fn stored_before(&mut self, end: Instant) -> Result<Option<Bytes>, BackendError> {
        let stored = self.stored().await;
        self.unless_it_may_succeed(stored, end)
    }

    /// A message that arrived, if it is the wanted result. What cannot be judged now is read when it is stored.
    async fn received_before(&self, end: Instant, message: Message) -> Result<Option<Bytes>, BackendError> {
        let received = self.received(message).await;
        self.unless_it_may_succeed(received, end)
    }

    fn unless_it_may_succeed(
        &self,
        read: Result<Option<Bytes>, BackendError>,
        end: Instant,
    ) -> Result<Option<Bytes>, BackendError> {
        match read {
            Err(error) if error.is_retryable() && Instant::now() < end => {
                tracing::debug!(run = %self.run, %error, "cannot read a result: reading it again");
                Ok(None)
            }
            read => read,
        }
    }

    /// The stored result, if it is the wanted one.
    async fn stored(&mut self) -> Result<Option<Bytes>, BackendError> {
        let Some(stored) = self.backend.latest_result(self.run, &self.subject).await? else {
            return Ok(None);
        };
        let incarnation = incarnation_of(&stored.headers);
        if let Some(incarnation) = incarnation {
            self.wanted = self.judged(incarnation).await?;
        }
        Ok(self.wanted.accepts(incarnation).then_some(stored.payload))
    }

    /// What is wanted, now that there is a result of this incarnation.
    async fn judged(&self, incarnation: Incarnation) -> Result<WantedResult, BackendError> {
        if !self.wanted.needs_record() {
            return Ok(self.wanted);
        }
        let record = self.backend.recorded_incarnation(self.run, 0).await?;
        Ok(self.wanted.given(incarnation, record))
    }

    /// A message that arrived on the subject, if it is the wanted result. It may be the late one of an earlier run.
    async fn received(&self, message: Message) -> Result<Option<Bytes>, BackendError> {
        let Some(incarnation) = message.headers.as_ref().and_then(incarnation_of) else { return Ok(None) };
        let wanted = self.judged(incarnation).await?;
        Ok(wanted.accepts(Some(incarnation)).then_some(message.payload))
    }
}

impl NatsBackend {
    async fn latest_result(
        &self,
        run: &RunKey,
        subject: &str,
    ) -> Result<Option<StreamMessage>, BackendError> {
        match api::latest(&self.connection, &self.streams.done, subject).await {
            Ok(found) => Ok(found),
            Err(failure) => Err(self.failed(failure, format!("read the result of run {run}")).await),
        }
    }

    /// The incarnation of the current record of a run, which had this revision.
    async fn recorded_incarnation(
        &self,
        run: &RunKey,
        revision: u64,
    ) -> Result<Option<Incarnation>, BackendError> {
        let seen = Seen::new(revision, self.store_id());
        let Some(stored) = self.load(run, seen).await? else { return Ok(None) };
        Ok(Some(stored.open()?.0.incarnation))
    }
}

fn closed(run: &RunKey) -> BackendError {
    let sentence = format!("cannot wait for the result of run {run}: the connection is closed");
    BackendError::new(BackendErrorKind::Unavailable, sentence)
}

/// The version of a stored result; `None` if the message is no result.
fn version_of(headers: &HeaderMap) -> Option<ResultVersion> {
    let incarnation = incarnation_of(headers)?;
    let revision = headers.get(REVISION)?.as_str().parse().ok()?;
    Some(ResultVersion { incarnation, revision })
}
