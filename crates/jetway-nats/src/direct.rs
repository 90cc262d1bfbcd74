//! Reading without the stream's leader: any replica may answer.
//!
//! What was acknowledged a moment ago may be missing. That is fit for listings, and for a stream of one replica, where
//! the one that answers is the leader.

use crate::{error::Failure, jsapi, link::Link, names::NUM_PENDING};
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
use std::time::Duration;
use tokio::time::timeout;

/// How long the next message of an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Several messages.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) messages: Vec<StreamMessage>,
    /// How many more there are.
    pub(crate) pending: u64,
}

/// The latest message of a subject.
pub(crate) async fn latest(stream: &Stream<()>, subject: String) -> Result<Option<StreamMessage>, Failure> {
    found(stream.direct_get_last_for_subject(subject).await)
}

/// The first message of a subject, wildcards allowed, from a sequence on.
pub(crate) async fn next(
    stream: &Stream<()>,
    subject: String,
    from: u64,
) -> Result<Option<StreamMessage>, Failure> {
    found(stream.direct_get_next_for_subject(subject, Some(from.max(1))).await)
}

fn found(read: Result<StreamMessage, DirectGetError>) -> Result<Option<StreamMessage>, Failure> {
    match read {
        Ok(message) => Ok(Some(message)),
        Err(error) => match error.kind() {
            DirectGetErrorKind::NotFound => Ok(None),
            DirectGetErrorKind::ErrorResponse(StatusCode::NO_RESPONDERS, _) => Err(Failure::Nobody),
            _ => Err(unreadable(&error)),
        },
    }
}

/// Up to `most` messages of a subject, wildcards allowed, from a sequence on, in the order of the stream.
pub(crate) async fn page(
    link: &Link,
    stream: &str,
    subject: &str,
    from: u64,
    most: usize,
) -> Result<Page, Failure> {
    let asked = serde_json::json!({ "seq": from.max(1), "next_by_subj": subject, "batch": most });
    read(link, stream, &asked).await
}

/// The latest message of each subject that matches.
pub(crate) async fn latest_of_each(link: &Link, stream: &str, subject: &str) -> Result<Page, Failure> {
    read(link, stream, &serde_json::json!({ "multi_last": [subject] })).await
}

async fn read(link: &Link, stream: &str, asked: &serde_json::Value) -> Result<Page, Failure> {
    let inbox = link.client.new_inbox();
    let mut answers = link.client.subscribe(inbox.clone()).await.map_err(|error| unreadable(&error))?;
    let request = Request::new().inbox(inbox).payload(asked.to_string().into());
    link.jetstream.send_request(jsapi::direct(stream), request).await.map_err(|error| unreadable(&error))?;
    let mut page = Page::default();
    loop {
        let answer = timeout(ANSWER_WITHIN, answers.next()).await;
        let message =
            answer.ok().flatten().ok_or_else(|| unreadable(&"the server did not answer in time"))?;
        match message.status {
            None => page.messages.push(StreamMessage::try_from(message).map_err(|error| unreadable(&error))?),
            Some(StatusCode::NOT_FOUND) => return Ok(page),
            Some(StatusCode::NO_RESPONDERS) => return Err(Failure::Nobody),
            Some(end) if end.is_success() => {
                page.pending = pending(message.headers.as_ref());
                return Ok(page);
            }
            Some(_) => return Err(unreadable(&status(&message))),
        }
    }
}

/// A status message in words.
pub(crate) fn status(message: &Message) -> String {
    let code = message.status.map_or(0, |status| status.as_u16());
    format!("the server answered {code} {}", message.description.as_deref().unwrap_or_default())
}

/// A point in time, as messages of the server carry it.
pub(crate) fn point(time: Timestamp) -> Result<DateTime, Failure> {
    from_nanos(i128::from(time.0) * 1_000_000).map_err(|error| unreadable(&error))
}

fn pending(headers: Option<&HeaderMap>) -> u64 {
    let pending = headers.and_then(|headers| headers.get(NUM_PENDING));
    pending.and_then(|pending| pending.as_str().parse().ok()).unwrap_or(0)
}

fn unreadable(error: &impl ToString) -> Failure {
    Failure::NoAnswer(error.to_string())
}
