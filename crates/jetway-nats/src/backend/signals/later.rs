//! Signals that are put off: to runs that do not exist yet.
//!
//! Such a signal is stored again, in its own stream, under a subject that no consumer has. So it waits as durably as every signal,
//! and takes no place among the messages that are delivered and not acknowledged. An alarm in the stream of timers has its sequence.
//! When the alarm rings, a host publishes the signal under a subject that the consumer has, and removes the one that waited.
//!
//! | the host dies, or | state | mended by |
//! |---|---|---|
//! | before the alarm is stored, or the server forgets the alarm | the signal waits without an alarm | the sweep brings back what is overdue |
//! | before the one that waited is removed | the signal exists twice, with one id | the record knows the id |

use super::{checked, headers};
use crate::{
    backend::{
        NatsBackend,
        alarms::{LATEST, schedule},
    },
    committer::{Committer, Condition, Write},
    dead_letters::{DeadLetters, sender_headers},
    names::{CONTENT_TYPE, INCARNATION, Names, PutOffTokens, SIGNAL_ID},
    session::{Connection, Failure, api},
};
use async_nats::{HeaderMap, jetstream::message::StreamMessage};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use jetway_engine::backend::{BackendError, BackendErrorKind, DeadLetter, StoredSignal};
use jetway_state::{Timestamp, WorkflowName};
use std::{sync::Arc, time::Duration};

/// The alarm of what is due since a shorter time may be about to ring.
const GRACE: Duration = Duration::from_secs(5);
/// A signal that cannot be brought back for so long, since the stream is full, becomes a dead letter.
const NO_ROOM_FOR: Duration = Duration::from_secs(60);
/// How many overdue signals are brought back at once.
const AT_ONCE: usize = 16;
/// The reason of the dead letter of a signal for which there is no room.
const NO_ROOM: &str = "no-room";

/// Brings back signals that are put off.
pub(in crate::backend) struct LaterSignals {
    pub(in crate::backend) names: Names,
    pub(in crate::backend) connection: Arc<Connection>,
    pub(in crate::backend) stream: String,
    pub(in crate::backend) committer: Arc<Committer>,
}

impl NatsBackend {
    pub(super) async fn store_for_later(
        &self,
        signal: &StoredSignal,
        due: Timestamp,
    ) -> Result<(), BackendError> {
        let StoredSignal { run, sent_at, incarnation, .. } = signal;
        let (name, due) = (checked(&signal.name)?, due.min(LATEST));
        let workflow = run.workflow.as_str();
        let tokens = PutOffTokens {
            workflow,
            run_id: run.run_id.as_str(),
            name: name.as_str(),
            sent_at: *sent_at,
            due,
        };
        let headers = headers(signal.id.as_deref(), *incarnation, signal.content_type.as_deref());
        let write = Write {
            subject: self.names.put_off(tokens).into(),
            payload: signal.payload.clone(),
            condition: Condition::Always(headers),
        };
        let stored = self.committers.signals.write(write).await;
        let sequence =
            stored.map_err(|error| error.error_of(format!("signal {name} to run {run}, to be put off,")))?;
        let alarm = Write {
            subject: self.names.signal_timer(workflow, sequence, due).into(),
            payload: Bytes::new(),
            condition: Condition::Always(schedule(due, &self.names.signal_wake(workflow, sequence))),
        };
        if let Err(error) = self.committers.timers.write(alarm).await {
            let error = error.error_of("the alarm of a signal");
            tracing::warn!(%run, %error, "a signal that is put off comes again with the next sweep");
        }
        Ok(())
    }

    /// Brings back the signals of a workflow that were due and did not come. Returns their number.
    pub(in crate::backend) async fn bring_back_overdue(
        &self,
        workflow: &WorkflowName,
        until: Timestamp,
    ) -> Result<u64, BackendError> {
        let failed = |failure: Failure| {
            failure.cannot(format!("look for signals of workflow {workflow} that are put off"))
        };
        let until = until.min(self.connection.server_time().before(GRACE));
        let (stream, filter) = (&self.streams.signals, self.names.all_put_off(Some(workflow)));
        let waiting = api::subjects(&self.connection, stream, &filter).await.map_err(failed)?;
        let is_due =
            |subject: &String| self.names.put_off_tokens(subject).is_none_or(|signal| signal.due < until);
        let overdue = waiting.into_keys().filter(is_due);
        let later = self.later_signals();
        let brought = stream::iter(overdue).map(|subject| later.bring_back_all(subject, &self.dead_letters));
        brought.buffer_unordered(AT_ONCE).try_fold(0, |sum, found| future::ready(Ok(sum + found))).await
    }

    pub(in crate::backend) fn later_signals(&self) -> LaterSignals {
        LaterSignals {
            names: self.names.clone(),
            connection: Arc::clone(&self.connection),
            stream: self.streams.signals.clone(),
            committer: Arc::clone(&self.committers.signals),
        }
    }
}

impl LaterSignals {
    /// Brings back the signal with this sequence.
    pub(in crate::backend) async fn bring_back(&self, sequence: u64) -> Result<(), BackendError> {
        let found = api::message(&self.connection, &self.stream, sequence).await;
        let found = found.map_err(|failure| failure.cannot(format!("read the signal at {sequence}")))?;
        // Otherwise somebody else has brought it back.
        match found {
            Some(message) => self.publish_again(&message).await,
            None => Ok(()),
        }
    }

    /// Brings back all signals of a subject. Returns their number.
    async fn bring_back_all(&self, subject: String, dead_letters: &DeadLetters) -> Result<u64, BackendError> {
        let failed = |failure: Failure| failure.cannot(format!("bring back the signal {subject}"));
        let (mut brought, mut from) = (0, 1);
        let next = async |from| api::first_from(&self.connection, &self.stream, &subject, from).await;
        while let Some(found) = next(from).await.map_err(failed)? {
            from = found.message.sequence + 1;
            match self.publish_again(&found.message).await {
                Err(error) if error.kind() == BackendErrorKind::NoRoom && self.is_late(&subject) => {
                    dead_letters.store(letter_of(&self.names, &found.message, &error)).await?;
                    self.remove(&found.message).await?;
                }
                published => published?,
            }
            brought += 1;
        }
        Ok(brought)
    }

    /// Publishes a message that waits, and removes it. A message that is none of those that wait stays: the stream was made anew.
    async fn publish_again(&self, message: &StreamMessage) -> Result<(), BackendError> {
        let Some(tokens) = self.names.put_off_tokens(&message.subject) else { return Ok(()) };
        let mut headers = HeaderMap::new();
        // A host has written them, and the server may have added others.
        for name in [SIGNAL_ID, INCARNATION, CONTENT_TYPE] {
            if let Some(value) = message.headers.get(name.clone()) {
                headers.insert(name, value.clone());
            }
        }
        let write = Write {
            subject: self.names.signal_again(tokens).into(),
            payload: message.payload.clone(),
            condition: Condition::Always(headers),
        };
        let stored = self.committer.write(write).await;
        stored.map_err(|error| error.error_of(format!("the signal {}, which is due,", message.subject)))?;
        self.remove(message).await
    }

    async fn remove(&self, message: &StreamMessage) -> Result<(), BackendError> {
        let removed = api::delete_message(&self.connection, &self.stream, message.sequence).await;
        let failed = |failure: Failure| failure.cannot(format!("remove the signal {}", message.subject));
        removed.map(drop).map_err(failed)
    }

    /// Whether a signal should have come a while ago.
    fn is_late(&self, subject: &str) -> bool {
        let since = self.connection.server_time().before(NO_ROOM_FOR);
        self.names.put_off_tokens(subject).is_none_or(|signal| signal.due < since)
    }
}

fn letter_of(names: &Names, message: &StreamMessage, error: &BackendError) -> DeadLetter {
    let workflow = names.put_off_tokens(&message.subject).map_or("", |signal| signal.workflow);
    DeadLetter {
        workflow: workflow.to_owned(),
        why: NO_ROOM.to_owned(),
        reason: error.to_string(),
        subject: message.subject.to_string(),
        headers: sender_headers(Some(&message.headers)),
        payload: message.payload.clone(),
        id: format!("signal-{}-{}", message.sequence, message.time.unix_timestamp_nanos()),
    }
}
