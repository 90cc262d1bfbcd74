//! Requests to the JetStream API: the only file that names one of its operations.

use crate::{error::Failure, link::Link};
use async_nats::jetstream::{
    ErrorCode,
    account::Account,
    consumer,
    message::StreamMessage,
    stream::{self, PurgeRequest, PurgeResponse, RawMessage},
};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;

/// What a stream says about itself.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StreamInfo {
    pub(crate) config: stream::Config,
    pub(crate) state: StreamState,
    /// How many subjects match the filter, of which this is one page.
    #[serde(default)]
    total: usize,
}

/// What a stream holds.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StreamState {
    /// When the latest message was written, in RFC 3339.
    pub(crate) last_ts: String,
    #[serde(default)]
    pub(crate) subjects: Option<HashMap<String, u64>>,
}

/// A consumer as it is.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ConsumerInfo {
    pub(crate) config: consumer::Config,
    /// The last message that it handed out.
    #[serde(default)]
    pub(crate) delivered: Place,
    /// The last message up to which all are acknowledged.
    #[serde(default)]
    pub(crate) ack_floor: Place,
}

/// Where a consumer stands.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(crate) struct Place {
    #[serde(default)]
    pub(crate) stream_seq: u64,
}

/// A message of a stream, whatever its headers are.
#[derive(Debug)]
pub(crate) struct Any {
    /// Without headers where they cannot be read.
    pub(crate) message: StreamMessage,
    /// The headers as base64, where they cannot be read.
    pub(crate) unreadable: Option<String>,
}

#[derive(Deserialize)]
struct Found {
    message: RawMessage,
}

#[derive(Deserialize)]
struct Names {
    #[serde(default)]
    consumers: Option<Vec<String>>,
    #[serde(default)]
    total: usize,
}

#[derive(Deserialize)]
struct Success {}

pub(crate) async fn account(link: &Link) -> Result<Account, Failure> {
    link.api("INFO".to_owned(), &json!({})).await
}

pub(crate) async fn stream_info(link: &Link, stream: &str) -> Result<StreamInfo, Failure> {
    link.api(format!("STREAM.INFO.{stream}"), &json!({})).await
}

pub(crate) async fn create_stream(link: &Link, config: &stream::Config) -> Result<StreamInfo, Failure> {
    link.api(format!("STREAM.CREATE.{}", config.name), config).await
}

/// The subjects of a stream that match `filter`, and how many messages each has. One request where there are none.
pub(crate) async fn subjects(
    link: &Link,
    stream: &str,
    filter: &str,
) -> Result<HashMap<String, u64>, Failure> {
    let mut found = HashMap::new();
    loop {
        let asked = json!({ "subjects_filter": filter, "offset": found.len() });
        let info: StreamInfo = link.api(format!("STREAM.INFO.{stream}"), &asked).await?;
        let page = info.state.subjects.unwrap_or_default();
        let last = page.is_empty();
        found.extend(page);
        if last || found.len() >= info.total {
            return Ok(found);
        }
    }
}

/// The latest message of a subject, as the leader of the stream has it: it knows everything that it has acknowledged.
pub(crate) async fn latest(
    link: &Link,
    stream: &str,
    subject: &str,
) -> Result<Option<StreamMessage>, Failure> {
    get(link, stream, &json!({ "last_by_subj": subject })).await
}

/// The first message of a subject, wildcards allowed, from a sequence on, as the leader of the stream has it. One whose
/// headers cannot be read is a message all the same.
pub(crate) async fn next_any(
    link: &Link,
    stream: &str,
    subject: &str,
    from: u64,
) -> Result<Option<Any>, Failure> {
    let asked = json!({ "seq": from.max(1), "next_by_subj": subject });
    let Some(mut raw) = get_raw(link, stream, &asked).await? else { return Ok(None) };
    if let Ok(message) = raw.clone().try_into() {
        return Ok(Some(Any { message, unreadable: None }));
    }
    let unreadable = Some(raw.headers.take().unwrap_or_default());
    Ok(Some(Any { message: read(raw)?, unreadable }))
}

async fn get(link: &Link, stream: &str, asked: &serde_json::Value) -> Result<Option<StreamMessage>, Failure> {
    get_raw(link, stream, asked).await?.map(read).transpose()
}

fn read(raw: RawMessage) -> Result<StreamMessage, Failure> {
    raw.try_into().map_err(|error: async_nats::Error| Failure::NoAnswer(error.to_string()))
}

async fn get_raw(
    link: &Link,
    stream: &str,
    asked: &serde_json::Value,
) -> Result<Option<RawMessage>, Failure> {
    match link.api::<_, Found>(format!("STREAM.MSG.GET.{stream}"), asked).await {
        Ok(Found { message }) => Ok(Some(message)),
        Err(failure) if failure.code() == Some(ErrorCode::NO_MESSAGE_FOUND) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Removes one message. False where it is gone already.
pub(crate) async fn delete_message(link: &Link, stream: &str, sequence: u64) -> Result<bool, Failure> {
    let asked = json!({ "seq": sequence, "no_erase": true });
    match link.api::<_, Success>(format!("STREAM.MSG.DELETE.{stream}"), &asked).await {
        Ok(Success {}) => Ok(true),
        Err(failure) if failure.is_absent() || failure.code() == Some(ErrorCode::SEQUENCE_NOT_FOUND) => {
            Ok(false)
        }
        Err(failure) => Err(failure),
    }
}

/// Removes every message whose subject matches `filter`, one by one. Returns how many there were.
///
/// Not by a purge: that makes a consumer with a wider filter forget what it has handed out of other subjects as well
/// (observed with nats-server 2.15), so that a message whose holder is lost is in the stream and never comes again.
pub(crate) async fn remove_each(link: &Link, stream: &str, filter: &str) -> Result<u64, Failure> {
    let (mut from, mut removed) = (1, 0);
    while let Some(Any { message, .. }) = next_any(link, stream, filter, from).await? {
        from = message.sequence + 1;
        removed += u64::from(delete_message(link, stream, message.sequence).await?);
    }
    Ok(removed)
}

/// Removes every message whose subject matches `filter`. Returns how many there were. For streams without consumers
/// only, see [`remove_each`].
pub(crate) async fn purge(link: &Link, stream: &str, filter: String) -> Result<u64, Failure> {
    purge_with(link, stream, PurgeRequest { filter: Some(filter), ..PurgeRequest::default() }).await
}

/// Removes every message below a sequence whose subject matches `filter`. Returns how many there were.
pub(crate) async fn purge_before(
    link: &Link,
    stream: &str,
    filter: String,
    sequence: u64,
) -> Result<u64, Failure> {
    let asked = PurgeRequest { filter: Some(filter), sequence: Some(sequence), ..PurgeRequest::default() };
    purge_with(link, stream, asked).await
}

async fn purge_with(link: &Link, stream: &str, asked: PurgeRequest) -> Result<u64, Failure> {
    let purged: PurgeResponse = link.api(format!("STREAM.PURGE.{stream}"), &asked).await?;
    Ok(purged.purged)
}

pub(crate) async fn consumer_info(link: &Link, stream: &str, name: &str) -> Result<ConsumerInfo, Failure> {
    link.api(format!("CONSUMER.INFO.{stream}.{name}"), &json!({})).await
}

/// Creates a consumer; one that is there already must be the same.
pub(crate) async fn create_consumer(
    link: &Link,
    stream: &str,
    config: &consumer::Config,
) -> Result<ConsumerInfo, Failure> {
    let name = config.durable_name.as_deref().or(config.name.as_deref()).unwrap_or_default();
    let operation = format!("CONSUMER.CREATE.{stream}.{name}.{}", config.filter_subject);
    link.api(operation, &json!({ "stream_name": stream, "config": config, "action": "create" })).await
}

pub(crate) async fn delete_consumer(link: &Link, stream: &str, name: &str) -> Result<(), Failure> {
    let Success {} = link.api(format!("CONSUMER.DELETE.{stream}.{name}"), &json!({})).await?;
    Ok(())
}

/// The names of all consumers of a stream.
pub(crate) async fn consumer_names(link: &Link, stream: &str) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    loop {
        let asked = json!({ "offset": names.len() });
        let page: Names = link.api(format!("CONSUMER.NAMES.{stream}"), &asked).await?;
        let found = page.consumers.unwrap_or_default();
        let last = found.is_empty();
        names.extend(found);
        if last || names.len() >= page.total {
            return Ok(names);
        }
    }
}

/// What pull requests for a consumer are published to, below the API's prefix.
pub(crate) fn pull(stream: &str, consumer: &str) -> String {
    format!("CONSUMER.MSG.NEXT.{stream}.{consumer}")
}

/// What direct reads are published to, below the API's prefix.
pub(crate) fn direct(stream: &str) -> String {
    format!("DIRECT.GET.{stream}")
}
