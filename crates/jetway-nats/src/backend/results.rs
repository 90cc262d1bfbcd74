//! Results of runs, and dead letters.

use super::NatsBackend;
use crate::{
    committer::{ALREADY_STORED, Condition, Write},
    session::{Backoff, api},
};
use async_nats::{Subscriber, jetstream::message::StreamMessage};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use jetway_engine::backend::{BackendError, BackendErrorKind, DeadLetter, Results};
use jetway_state::{RunKey, Timestamp, run::DoneView};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The delays between reads of a result whose message did not arrive. Jitter adds up to as much again.
const FIRST_DELAY: Duration = Duration::from_millis(60);
const LONGEST_DELAY: Duration = Duration::from_secs(6);

/// How many times the result of an earlier run is replaced, at most.
const REPLACEMENTS: usize = 3;

#[async_trait]
impl Results for NatsBackend {
    async fn publish_done(&self, run: &RunKey, result: Bytes) -> Result<(), BackendError> {
        jetway_state::hop!("NatsBackend::publish_done");
        let subject = self.names.done(run);
        for _ in 0..REPLACEMENTS {
            let condition = Condition::Unique(None);
            let write = Write { subject: subject.clone().into(), payload: result.clone(), condition };
            let stored = self.committers.done.write(write).await;
            if stored.map_err(|error| error.error_of(format!("the result of run {run}")))? != ALREADY_STORED {
                return Ok(());
            }
            // The stored result was published by an earlier attempt, or belongs to an earlier run with this id.
            match self.latest_result(run, &subject).await? {
                Some(stored) if DoneView::supersedes(&result, &stored.payload) => {
                    let removed =
                        api::delete_message(&self.connection, &self.streams.done, stored.sequence).await;
                    removed.map_err(|failure| {
                        failure.cannot(format!("replace the result of an earlier run {run}"))
                    })?;
                }
                Some(_) => return Ok(()),
                None => {}
            }
        }
        let sentence =
            format!("the result of run {run} was not stored: other writers replace it all the time");
        Err(BackendError::new(BackendErrorKind::Unavailable, sentence))
    }

    async fn done(
        &self,
        run: &RunKey,
        since: Timestamp,
        wait: Duration,
    ) -> Result<Option<Bytes>, BackendError> {
        let end = Instant::now() + wait;
        let subject = self.names.done(run);
        let mut state = self.connection.state.clone();
        state.mark_unchanged();
        let mut connects = self.connection.current_state().connects;
        // The server sends a result to subscribers before it stores it. So a result may be sent before the subscription
        // and stored after the first read. Therefore the result is read again after growing delays.
        let mut results = match wait.is_zero() {
            true => None,
            false => Some(self.subscribe_to_result(run, &subject).await?),
        };
        let mut found = self.stored_result(run, &subject, since).await?;
        let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
        let mut next_read = Instant::now() + backoff.next_delay();
        while found.is_none() {
            let Some(results) = results.as_mut() else { break };
            tokio::select! {
                message = results.next() => {
                    let result = message.ok_or_else(|| closed(run))?.payload;
                    found = DoneView::is_since(&result, since).then_some(result);
                }
                changed = state.changed() => {
                    changed.map_err(|_closed| closed(run))?;
                    let current = state.borrow_and_update().connects;
                    if current != connects {
                        // What was published while there was no connection was not received.
                        connects = current;
                        found = self.stored_result(run, &subject, since).await?;
                    }
                }
                () = sleep_until(next_read.min(end)) => {
                    found = self.stored_result(run, &subject, since).await?;
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

impl NatsBackend {
    async fn subscribe_to_result(&self, run: &RunKey, subject: &str) -> Result<Subscriber, BackendError> {
        let subscribed = self.connection.client.subscribe(subject.to_owned()).await;
        subscribed.map_err(|error| closed(run).caused_by(error))
    }

    async fn latest_result(
        &self,
        run: &RunKey,
        subject: &str,
    ) -> Result<Option<StreamMessage>, BackendError> {
        let found = api::latest(&self.connection, &self.streams.done, subject).await;
        found.map_err(|failure| failure.cannot(format!("read the result of run {run}")))
    }

    async fn stored_result(
        &self,
        run: &RunKey,
        subject: &str,
        since: Timestamp,
    ) -> Result<Option<Bytes>, BackendError> {
        let found = self.latest_result(run, subject).await?.map(|message| message.payload);
        Ok(found.filter(|result| DoneView::is_since(result, since)))
    }
}

fn closed(run: &RunKey) -> BackendError {
    let sentence = format!("cannot wait for the result of run {run}: the connection is closed");
    BackendError::new(BackendErrorKind::Unavailable, sentence)
}
