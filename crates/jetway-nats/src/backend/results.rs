//! Results of runs, and dead letters.

use super::NatsBackend;
use crate::{
    headers::incarnation_of,
    session::{Backoff, ConnectionState, api},
};
use async_nats::{Client, Message, SubscribeError, Subscriber, jetstream::message::StreamMessage};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream::SelectAll};
use jetway_engine::backend::{BackendError, BackendErrorKind, DeadLetter, Results, RunResult};
use jetway_state::{Incarnation, RunKey, run::WantedResult};
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

#[async_trait]
impl Results for NatsBackend {
    async fn publish_done(&self, result: RunResult) -> Result<(), BackendError> {
        jetway_state::hop!("NatsBackend::publish_done");
        self.results.publish(&result).await
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
    messages: SelectAll<Subscriber>,
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
            match self.messages(&connection.client).await {
                Ok(messages) => return Ok(ResultMessages { messages, state, connects }),
                // A message has just ended it.
                Err(_) if attempts > 0 && reads.has_ended(&connection).await => {}
                Err(error) => return Err(closed(self.run).caused_by(error)),
            }
        }
    }

    /// The messages on the subject of the result, and on that of the refusal of the start message.
    async fn messages(&self, client: &Client) -> Result<SelectAll<Subscriber>, SubscribeError> {
        let mut messages = SelectAll::new();
        messages.push(client.subscribe(self.subject.clone()).await?);
        if let Some(start) = self.wanted.unsettled_start() {
            messages.push(client.subscribe(self.backend.names.refusal(self.run, start.start_id)).await?);
        }
        Ok(messages)
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
        if let Some(refusal) = self.refusal().await? {
            return Ok(Some(refusal));
        }
        let Some(stored) = self.backend.latest_result(self.run, &self.subject).await? else {
            return Ok(None);
        };
        let incarnation = incarnation_of(&stored.headers);
        if let Some(incarnation) = incarnation {
            self.wanted = self.judged(incarnation).await?;
        }
        Ok(self.wanted.accepts(incarnation).then_some(stored.payload))
    }

    /// The refusal of the start message, if that is waited for and there is one.
    async fn refusal(&self) -> Result<Option<Bytes>, BackendError> {
        let Some(start) = self.wanted.unsettled_start() else { return Ok(None) };
        let subject = self.backend.names.refusal(self.run, start.start_id);
        let found = self.backend.latest_result(self.run, &subject).await?;
        Ok(found.map(|found| found.payload))
    }

    /// What is wanted, now that there is a result of this incarnation.
    async fn judged(&self, incarnation: Incarnation) -> Result<WantedResult, BackendError> {
        let mut wanted = self.wanted;
        if let Some(start) = wanted.unsettled_start() {
            // The refusal of any start is no result of a run. And a refusal is published before its message is removed.
            if incarnation.refused_start().is_some()
                || !self.backend.has_settled(&self.run.workflow, start).await?
                || self.refusal().await?.is_some()
            {
                return Ok(wanted);
            }
            wanted = wanted.settled();
        }
        if wanted != WantedResult::Latest {
            return Ok(wanted);
        }
        let record = self.backend.results.recorded_incarnation(self.run, 0).await?;
        Ok(wanted.given(incarnation, record))
    }

    /// A message that arrived, if it is the wanted result. It may be the late one of an earlier run.
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
}

fn closed(run: &RunKey) -> BackendError {
    let sentence = format!("cannot wait for the result of run {run}: the connection is closed");
    BackendError::new(BackendErrorKind::Unavailable, sentence)
}
