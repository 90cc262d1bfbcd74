//! Faults for tests of the whole system. Only with the feature `test-hooks`; not part of the public API.

use crate::{
    backend::NatsBackend,
    names::{COMMIT, INCARNATION, KV_DELETED, KV_OPERATION, Names, RUN_ID, STATUS, Stream, TTL},
    session::{Failure, api},
};
use async_nats::{
    HeaderMap, header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, jetstream::context::PublishErrorKind,
};
use bytes::Bytes;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use jetway_state::{RunId, RunKey, Timestamp, WorkflowName};
use std::collections::BTreeSet;

/// How the record of a run goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Removal {
    /// As by `nats kv del`: a marker takes its place.
    Deleted,
    /// As by `nats stream purge --subject`: nothing takes its place.
    Purged,
    /// The server removes it, since its time is over: it is stored again, to expire after a second.
    Expired,
}

/// Removes the record of a run. What belongs to it stays: tickets, chunks, the result. A record that expires is still there
/// when this returns. Without a record, or if the record changes meanwhile, this does nothing.
///
/// # Errors
/// The server does not answer.
pub async fn remove_record(
    backend: &NatsBackend,
    run: &RunKey,
    removal: Removal,
) -> Result<(), BackendError> {
    let (names, connection) = (backend.names(), backend.connection());
    let (stream, subject) = (names.stream(Stream::Runs), names.snapshot(run));
    let what = || format!("remove the record of run {run}");
    let found = api::latest(connection, &stream, &subject).await;
    let Some(record) = found.map_err(|failure| failure.cannot(what()))? else { return Ok(()) };
    let mut headers = HeaderMap::new();
    let payload = match removal {
        _ if record.headers.get(KV_OPERATION).is_some() => return Ok(()),
        // It is about to expire.
        Removal::Expired if record.headers.get(TTL).is_some_and(|ttl| ttl.as_str() == SOON) => return Ok(()),
        Removal::Purged => {
            let removed = api::purge(connection, &stream, subject).await;
            return removed.map(drop).map_err(|failure| failure.cannot(what()));
        }
        Removal::Deleted => {
            headers.insert(KV_OPERATION, KV_DELETED);
            Bytes::new()
        }
        Removal::Expired => {
            for name in [COMMIT, INCARNATION, STATUS] {
                if let Some(value) = record.headers.get(name.clone()) {
                    headers.insert(name, value.clone());
                }
            }
            headers.insert(TTL, SOON);
            record.payload
        }
    };
    headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, record.sequence.to_string());
    let stored = async { connection.jetstream.publish_with_headers(subject, headers, payload).await?.await };
    match stored.await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(()),
        Err(error) => {
            let sentence = format!("cannot {}", what());
            Err(BackendError::new(BackendErrorKind::Unavailable, sentence).caused_by(error))
        }
    }
}

/// The first start messages that are left over, in words, with the state of the consumer that should deliver them.
///
/// # Errors
/// The server does not answer.
pub async fn left_over_starts(backend: &NatsBackend) -> Result<Vec<String>, BackendError> {
    const MOST: usize = 5;
    let (names, connection) = (backend.names(), backend.connection());
    let stream = names.stream(Stream::Starts);
    let failed = |failure: Failure| failure.cannot("describe start messages");
    let (mut described, mut from) = (Vec::new(), 1);
    while described.len() < MOST
        && let Some(found) = api::first_from(connection, &stream, ">", from).await.map_err(failed)?
    {
        let message = found.message;
        from = message.sequence + 1;
        let workflow = names.workflow_of_start(&message.subject).unwrap_or_default();
        let consumer = api::consumer_info(connection, &stream, &Names::start_consumer(workflow)).await;
        let consumer = consumer.map_err(failed)?;
        described.push(format!(
            "start {} of run {:?}, on {}: the consumer has delivered up to {}, {} are delivered and not acknowledged, and all \
             up to {} are acknowledged",
            message.sequence,
            message.headers.get(RUN_ID).map(ToString::to_string),
            message.subject,
            consumer.delivered.stream_seq,
            consumer.num_ack_pending,
            consumer.ack_floor.stream_seq,
        ));
    }
    Ok(described)
}

/// The runs of the alarms that are armed, and when each rings.
///
/// # Errors
/// The server does not answer.
pub async fn left_over_alarms(backend: &NatsBackend) -> Result<Vec<(RunKey, Timestamp)>, BackendError> {
    let (names, connection) = (backend.names(), backend.connection());
    let found = api::subjects(connection, &names.stream(Stream::Timers), &names.all_timers()).await;
    let found = found.map_err(|failure| failure.cannot("list the alarms"))?;
    let of = |subject: &String| Some((run_of(names, subject)?, names.timer_tokens(subject)?.1));
    Ok(found.keys().filter_map(of).collect())
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundLetter {
    /// The workflow and the reason, as `workflow.why`.
    pub key: String,
    /// The payload of the message.
    pub payload: Bytes,
}

/// All dead letters, in their order.
///
/// # Errors
/// The server does not answer.
pub async fn dead_letters(backend: &NatsBackend) -> Result<Vec<FoundLetter>, BackendError> {
    let (names, connection) = (backend.names(), backend.connection());
    let stream = names.stream(Stream::Dead);
    let failed = |failure: Failure| failure.cannot("read the dead letters");
    let (mut letters, mut from) = (Vec::new(), 1);
    while let Some(found) = api::first_from(connection, &stream, ">", from).await.map_err(failed)? {
        let message = found.message;
        from = message.sequence + 1;
        letters.push(FoundLetter {
            key: names.dead_letter_key(&message.subject).to_owned(),
            payload: message.payload,
        });
    }
    Ok(letters)
}

/// The shortest time that the server accepts.
const SOON: &str = "1s";

/// Removes all tickets of a run, including those that workers hold, as a broken server might. Returns their number.
///
/// # Errors
/// The server does not answer.
pub async fn lose_tickets(backend: &NatsBackend, run: &RunKey) -> Result<u64, BackendError> {
    let names = backend.names();
    let (stream, tickets) = (names.stream(Stream::Tickets), names.tickets_of_run(run));
    let removed = api::delete_one_by_one(backend.connection(), &stream, &tickets).await;
    removed.map_err(|failure| failure.cannot(format!("remove the tickets of run {run}")))
}

/// Removes the alarms of a run, and the wake-ups that nobody has forwarded, also those that hosts hold. `choice` decides which of
/// the runs that have some. Returns the run; `None` if there is none.
///
/// # Errors
/// The server does not answer.
pub async fn lose_alarms(backend: &NatsBackend, choice: usize) -> Result<Option<RunKey>, BackendError> {
    let (names, connection) = (backend.names(), backend.connection());
    let stream = names.stream(Stream::Timers);
    let lost = async {
        let subjects = api::subjects(connection, &stream, ">").await?;
        let runs: BTreeSet<RunKey> = subjects.keys().filter_map(|subject| run_of(names, subject)).collect();
        let Some(run) = runs.iter().nth(choice % runs.len().max(1)) else { return Ok(None) };
        for subject in subjects.keys().filter(|subject| run_of(names, subject).as_ref() == Some(run)) {
            api::delete_one_by_one(connection, &stream, subject).await?;
        }
        Ok(Some(run.clone()))
    };
    lost.await.map_err(|failure: Failure| failure.cannot("remove the alarms of a run"))
}

/// Deletes the stream of alarms, with all alarms and wake-ups. Hosts make it again.
///
/// # Errors
/// The server does not answer.
pub async fn lose_all_alarms(backend: &NatsBackend) -> Result<(), BackendError> {
    let stream = backend.names().stream(Stream::Timers);
    match api::delete_stream(backend.connection(), &stream).await {
        // It is being made again.
        Err(failure) if failure.is_absent() => Ok(()),
        deleted => deleted.map_err(|failure| failure.cannot(format!("delete the stream {stream}"))),
    }
}

/// The run that an alarm or a wake-up is for.
fn run_of(names: &Names, subject: &str) -> Option<RunKey> {
    let (tokens, _) = names.timer_tokens(subject).or_else(|| names.wake_tokens(subject))?;
    let (workflow, run_id) = (WorkflowName::new(tokens.workflow).ok()?, RunId::new(tokens.run_id).ok()?);
    Some(RunKey::new(workflow, run_id))
}
