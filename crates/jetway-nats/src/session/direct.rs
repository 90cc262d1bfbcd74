//! Direct reads: any replica of the stream may answer.
//!
//! The answer may lack what was acknowledged a moment ago. That is good enough for listings, and exact for a stream of one
//! replica.

use super::{Connection, Failure, api};
use crate::names::NUM_PENDING;
use async_nats::{
    HeaderMap, Message, Request, StatusCode,
    datetime::{DateTime, from_nanos},
    jetstream::{
        message::StreamMessage,
        stream::{DirectGetError, DirectGetErrorKind, Stream},
    },
};
use futures::StreamExt as _;
use jetway_state::Timestamp;
use std::{collections::HashMap, time::Duration};
use tokio::time::timeout;

/// How long the server may take to send the next message of a page.
const NEXT_MESSAGE_WITHIN: Duration = Duration::from_secs(5);
/// How many messages [`all`] reads per request.
const PAGE_SIZE: usize = 256;

/// How many bytes of messages one request reads, about. Otherwise a page of large messages could be more than the client
/// library holds for a receiver, which then loses some.
pub(crate) const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// One page of messages.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) messages: Vec<StreamMessage>,
    /// How many messages follow.
    pub(crate) pending: u64,
}

/// The latest message of a subject.
pub(super) async fn latest(
    connection: &Connection,
    stream: &str,
    subject: String,
) -> Result<Option<StreamMessage>, Failure> {
    found(handle(connection, stream).await?.direct_get_last_for_subject(subject).await)
}

/// The handle of the client library. It asks the server nothing.
async fn handle(connection: &Connection, stream: &str) -> Result<Stream<()>, Failure> {
    connection.jetstream.get_stream_no_info(stream).await.map_err(|error| no_answer(&error))
}

/// The first message of a subject, wildcards allowed, from a sequence on.
pub(super) async fn first_from(
    connection: &Connection,
    stream: &str,
    subject: String,
    from: u64,
) -> Result<Option<StreamMessage>, Failure> {
    let stream = handle(connection, stream).await?;
    found(stream.direct_get_next_for_subject(subject, Some(from.max(1))).await)
}

fn found(read: Result<StreamMessage, DirectGetError>) -> Result<Option<StreamMessage>, Failure> {
    match read {
        Ok(message) => Ok(Some(message)),
        Err(error) => match error.kind() {
            DirectGetErrorKind::NotFound => Ok(None),
            DirectGetErrorKind::ErrorResponse(StatusCode::NO_RESPONDERS, _) => Err(Failure::NoResponders),
            _ => Err(no_answer(&error)),
        },
    }
}

/// Up to `most` messages of a subject, wildcards allowed, from a sequence on, in the order of the stream. Fewer, if they are
/// large.
pub(crate) async fn page(
    connection: &Connection,
    stream: &str,
    subject: &str,
    from: u64,
    most: usize,
) -> Result<Page, Failure> {
    let query = serde_json::json!({ "seq": from.max(1), "next_by_subj": subject, "batch": most, "max_bytes": PAGE_BYTES });
    read(connection, stream, &query).await
}

/// All messages of a subject, wildcards allowed, in the order of the stream: the latest of each subject, also if it was
/// replaced while they were read.
pub(crate) async fn all(
    connection: &Connection,
    stream: &str,
    subject: &str,
) -> Result<Vec<StreamMessage>, Failure> {
    let mut messages: Vec<StreamMessage> = Vec::new();
    loop {
        let from = messages.last().map_or(1, |last| last.sequence + 1);
        let read = page(connection, stream, subject, from, PAGE_SIZE).await?;
        let more = read.pending > 0 && !read.messages.is_empty();
        messages.extend(read.messages);
        if !more {
            return Ok(latest_of_subjects(messages));
        }
    }
}

fn latest_of_subjects(messages: Vec<StreamMessage>) -> Vec<StreamMessage> {
    let latest: HashMap<String, u64> =
        messages.iter().map(|message| (message.subject.to_string(), message.sequence)).collect();
    let is_latest = |message: &StreamMessage| latest.get(message.subject.as_str()) == Some(&message.sequence);
    messages.into_iter().filter(is_latest).collect()
}

/// The latest messages of some of these subjects: fewer, if they are large.
pub(crate) async fn latest_of_some(
    connection: &Connection,
    stream: &str,
    subjects: &[String],
) -> Result<Page, Failure> {
    let (most, max_bytes) = (subjects.len(), PAGE_BYTES);
    let query = serde_json::json!({ "multi_last": subjects, "batch": most, "max_bytes": max_bytes });
    read(connection, stream, &query).await
}

/// The latest message of each subject that matches.
pub(crate) async fn latest_of_each(
    connection: &Connection,
    stream: &str,
    subject: &str,
) -> Result<Page, Failure> {
    read(connection, stream, &serde_json::json!({ "multi_last": [subject] })).await
}

/// The sequence of the last message of a subject, wildcards allowed.
pub(crate) async fn last(
    connection: &Connection,
    stream: &str,
    subject: &str,
) -> Result<Option<u64>, Failure> {
    let subjects = connection.api_subjects(&api::direct_subject(stream));
    connection.unless_denied(&subjects, read_last(connection, stream, subject)).await?
}

async fn read_last(connection: &Connection, stream: &str, subject: &str) -> Result<Option<u64>, Failure> {
    let inbox = connection.client.new_inbox();
    let mut replies = connection.client.subscribe(inbox.clone()).await.map_err(|error| no_answer(&error))?;
    let query = serde_json::json!({ "last_by_subj": subject });
    let request = Request::new().inbox(inbox).payload(query.to_string().into());
    let sent = connection.jetstream.send_request(api::direct_subject(stream), request).await;
    sent.map_err(|error| no_answer(&error))?;
    let reply = timeout(NEXT_MESSAGE_WITHIN, replies.next()).await.ok().flatten();
    let message = reply.ok_or_else(|| no_answer(&"the server did not reply in time"))?;
    match message.status {
        None => Ok(Some(StreamMessage::try_from(message).map_err(|error| no_answer(&error))?.sequence)),
        Some(StatusCode::NOT_FOUND) => Ok(None),
        Some(StatusCode::NO_RESPONDERS) => Err(Failure::NoResponders),
        Some(_) => Err(no_answer(&status_text(&message))),
    }
}

async fn read(connection: &Connection, stream: &str, query: &serde_json::Value) -> Result<Page, Failure> {
    let subjects = connection.api_subjects(&api::direct_subject(stream));
    connection.unless_denied(&subjects, read_page(connection, stream, query)).await?
}

async fn read_page(
    connection: &Connection,
    stream: &str,
    query: &serde_json::Value,
) -> Result<Page, Failure> {
    let inbox = connection.client.new_inbox();
    let mut replies = connection.client.subscribe(inbox.clone()).await.map_err(|error| no_answer(&error))?;
    let request = Request::new().inbox(inbox).payload(query.to_string().into());
    let sent = connection.jetstream.send_request(api::direct_subject(stream), request).await;
    sent.map_err(|error| no_answer(&error))?;
    let mut page = Page::default();
    loop {
        let reply = timeout(NEXT_MESSAGE_WITHIN, replies.next()).await;
        let message = reply.ok().flatten().ok_or_else(|| no_answer(&"the server did not reply in time"))?;
        match message.status {
            None => page.messages.push(StreamMessage::try_from(message).map_err(|error| no_answer(&error))?),
            Some(StatusCode::NOT_FOUND) => return Ok(page),
            Some(StatusCode::NO_RESPONDERS) => {
                connection.note(&Failure::NoResponders);
                return Err(Failure::NoResponders);
            }
            Some(end) if end.is_success() => {
                page.pending = pending(message.headers.as_ref());
                return Ok(page);
            }
            Some(_) => return Err(no_answer(&status_text(&message))),
        }
    }
}

/// The status of a message as a sentence.
pub(crate) fn status_text(message: &Message) -> String {
    let code = message.status.map_or(0, |status| status.as_u16());
    format!("the server replied {code} {}", message.description.as_deref().unwrap_or_default())
}

/// A time in the form that stored messages carry.
pub(crate) fn server_time(time: Timestamp) -> Result<DateTime, Failure> {
    from_nanos(i128::from(time.0) * 1_000_000).map_err(|error| no_answer(&error))
}

fn pending(headers: Option<&HeaderMap>) -> u64 {
    let pending = headers.and_then(|headers| headers.get(NUM_PENDING));
    pending.and_then(|pending| pending.as_str().parse().ok()).unwrap_or(0)
}

fn no_answer(error: &impl ToString) -> Failure {
    Failure::NoAnswer(error.to_string())
}
