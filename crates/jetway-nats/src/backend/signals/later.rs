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
//! | after it has put off a signal, before it acks it | the same | the copy is not put off again; the record knows the id |
//! | after it has applied a signal that waits, before it removes it | the signal comes again | the record knows the id |

use super::{StoredMessage, checked, headers, message::decode_put_off};
use crate::{
    backend::{
        NatsBackend,
        alarms::{LATEST, schedule},
    },
    committer::{Committer, Condition, Write},
    dead_letters::{DeadLetters, sender_headers},
    names::{CONTENT_TYPE, INCARNATION, Names, PutOffTokens, SIGNAL_ID},
    session::{Connection, Failure, api, direct},
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
/// No host puts a signal off for so long. Whoever has written such a message, it comes back now.
const FAR: Duration = Duration::from_secs(24 * 3600);
/// The copy of a signal that comes again within this time may be on its way already.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
/// How many overdue signals are brought back at once.
const AT_ONCE: usize = 16;
/// The reason of the dead letter of a signal for which there is no room.
const NO_ROOM: &str = "no-room";
/// The reason of the dead letter of a message that is no signal.
const BAD_SIGNAL: &str = "bad-signal";

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
        if self.has_copy(signal, tokens).await? {
            return Ok(());
        }
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

    /// The signals of these subjects, which are put off, `most` at most. What is no signal, or has no id, is left out.
    pub(super) async fn read_put_off(&self, filter: &str, most: usize) -> Result<Vec<StoredSignal>, Failure> {
        let store = self.signal_facts.store();
        let (mut signals, mut from, mut bytes) = (Vec::new(), 1, 0);
        while signals.len() < most && bytes < direct::PAGE_BYTES {
            let page = self.signals_from(filter, from, most - signals.len()).await?;
            let Some(last) = page.messages.last() else { break };
            from = last.sequence + 1;
            bytes += page.messages.iter().map(|message| message.payload.len()).sum::<usize>();
            let read = |message| decode_put_off(&self.names, &StoredMessage::of(message), store).ok();
            signals.extend(page.messages.iter().filter_map(read).filter(|signal| signal.id.is_some()));
            if page.pending == 0 {
                break;
            }
        }
        Ok(signals)
    }

    /// Whether the same signal is put off already: a host was lost after it had done that.
    async fn has_copy(&self, signal: &StoredSignal, tokens: PutOffTokens<'_>) -> Result<bool, BackendError> {
        let failed = |failure: Failure| {
            failure.cannot(format!("look for signal {} to run {}, to be put off,", signal.name, signal.run))
        };
        let filter = self.names.put_off_at_any_time(tokens);
        let page = self.signals_from(&filter, 1, AT_ONCE).await.map_err(failed)?;
        let (from, store) = (self.connection.server_time().after(ON_ITS_WAY), self.signal_facts.store());
        let until = tokens.due.after(FAR);
        Ok(page.messages.iter().any(|message| {
            let due = self.names.put_off_tokens(&message.subject).map(|tokens| tokens.due);
            let waits = due.is_some_and(|due| (from..until).contains(&due));
            let copy = decode_put_off(&self.names, &StoredMessage::of(message), store);
            waits && copy.is_ok_and(|copy| copy.is_copy_of(signal))
        }))
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
        let far = self.connection.server_time().after(FAR);
        let is_due = |subject: &String| {
            let tokens = self.names.put_off_tokens(subject);
            tokens.is_none_or(|signal| signal.due < until || signal.due > far)
        };
        let overdue = waiting.into_keys().filter(is_due);
        let later = self.later_signals();
        let bring_back = |subject| later.bring_back_all(workflow, subject, &self.dead_letters);
        let brought = stream::iter(overdue).map(bring_back);
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
    async fn bring_back_all(
        &self,
        workflow: &WorkflowName,
        subject: String,
        dead_letters: &DeadLetters,
    ) -> Result<u64, BackendError> {
        let is_signal = self.names.put_off_tokens(&subject).is_some();
        let failed = |failure: Failure| failure.cannot(format!("bring back the signal {subject}"));
        let (mut brought, mut from) = (0, 1);
        let next = async |from| api::first_from(&self.connection, &self.stream, &subject, from).await;
        while let Some(found) = next(from).await.map_err(failed)? {
            from = found.message.sequence + 1;
            brought += 1;
            let (why, reason) = match self.publish_again(&found.message).await {
                Err(error) if error.kind() == BackendErrorKind::NoRoom && self.is_late(&subject) => {
                    (NO_ROOM, error.to_string())
                }
                // It would stay for ever.
                Ok(()) if !is_signal => (BAD_SIGNAL, format!("{subject:?} names no signal that is put off")),
                published => {
                    published?;
                    continue;
                }
            };
            dead_letters.store(letter_of(workflow, &found.message, why, reason)).await?;
            self.remove(&found.message).await?;
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

fn letter_of(workflow: &WorkflowName, message: &StreamMessage, why: &str, reason: String) -> DeadLetter {
    DeadLetter {
        workflow: workflow.to_string(),
        why: why.to_owned(),
        reason,
        subject: message.subject.to_string(),
        headers: sender_headers(Some(&message.headers)),
        payload: message.payload.clone(),
        id: format!("signal-{}-{}", message.sequence, message.time.unix_timestamp_nanos()),
    }
}
