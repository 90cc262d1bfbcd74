//! Requests to the JetStream API. No other file sends one.

use super::{Connection, Failure};
use crate::names::{self, ACCOUNT_INFO, ConsumerOperation, STREAM_NAMES, StreamOperation, USER_INFO};
use async_nats::jetstream::{
    self, ErrorCode,
    account::Account,
    consumer,
    message::StreamMessage,
    stream::{self, PurgeRequest, PurgeResponse, RawMessage},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{json, value::RawValue};
use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

/// The configuration and state of a stream.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StreamInfo {
    pub(crate) config: stream::Config,
    pub(crate) state: StreamState,
    /// When it was made, in RFC 3339.
    #[serde(default)]
    pub(crate) created: String,
    /// The servers of a cluster that store it.
    #[serde(default)]
    cluster: Option<ClusterInfo>,
    /// How many subjects match the filter. The state lists one page of them.
    #[serde(default)]
    total: usize,
    #[serde(default)]
    ts: Option<String>,
}

/// The servers that store a stream.
#[derive(Debug, Clone, Deserialize)]
struct ClusterInfo {
    #[serde(default)]
    leader: Option<String>,
    /// Those besides the leader.
    #[serde(default)]
    replicas: Option<Vec<ReplicaInfo>>,
}

#[derive(Debug, Clone, Deserialize)]
struct ReplicaInfo {
    /// Whether it has all that the leader has.
    #[serde(default)]
    current: bool,
}

impl StreamInfo {
    /// Whether as many servers as configured have the whole stream.
    pub(crate) fn is_replicated(&self) -> bool {
        let Some(cluster) = &self.cluster else { return self.config.num_replicas == 1 };
        let current = cluster.replicas.iter().flatten().filter(|replica| replica.current).count();
        cluster.leader.as_ref().is_some_and(|leader| !leader.is_empty())
            && current + 1 >= self.config.num_replicas
    }
}

/// The state of a stream.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StreamState {
    /// The sequence of the latest message, also if it was removed since.
    #[serde(default)]
    pub(crate) last_seq: u64,
    /// When the latest message was written, in RFC 3339.
    pub(crate) last_ts: String,
    #[serde(default)]
    pub(crate) subjects: Option<HashMap<String, u64>>,
}

/// The configuration and state of a consumer.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ConsumerInfo {
    pub(crate) config: consumer::Config,
    /// The last message that it delivered.
    #[serde(default)]
    pub(crate) delivered: ConsumerPosition,
    /// All messages up to this one are acknowledged.
    #[serde(default)]
    pub(crate) ack_floor: ConsumerPosition,
    /// How many messages it has delivered that are not acknowledged.
    #[serde(default)]
    pub(crate) num_ack_pending: u64,
    /// How many messages it has not delivered yet.
    #[serde(default)]
    pub(crate) num_pending: u64,
    /// Whether it delivers nothing for a while, because somebody has paused it.
    #[serde(default)]
    pub(crate) paused: bool,
    /// For how long, in nanoseconds.
    #[serde(default)]
    pub(crate) pause_remaining: u64,
    #[serde(default)]
    ts: Option<String>,
}

/// An answer that tells the time of the server.
trait Stamped {
    /// In RFC 3339.
    fn stamp(&self) -> Option<&str>;
}

impl Stamped for StreamInfo {
    fn stamp(&self) -> Option<&str> {
        self.ts.as_deref()
    }
}

impl Stamped for ConsumerInfo {
    fn stamp(&self) -> Option<&str> {
        self.ts.as_deref()
    }
}

/// A position of a consumer in its stream.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(crate) struct ConsumerPosition {
    #[serde(default)]
    pub(crate) stream_seq: u64,
}

/// A message of a stream, also if its headers cannot be parsed.
#[derive(Debug)]
pub(crate) struct RawOrParsed {
    /// It has no headers if they cannot be parsed.
    pub(crate) message: StreamMessage,
    /// The headers in base64, if they cannot be parsed.
    pub(crate) raw_headers: Option<String>,
}

#[derive(Deserialize)]
struct FoundMessage {
    message: RawMessage,
}

#[derive(Deserialize)]
struct ConsumerNames {
    #[serde(default)]
    consumers: Option<Vec<String>>,
    #[serde(default)]
    total: usize,
}

#[derive(Deserialize)]
struct UserInfo {
    data: UserData,
}

#[derive(Deserialize)]
struct UserData {
    account: String,
}

#[derive(Deserialize)]
struct StreamNames {
    #[serde(default)]
    streams: Option<Vec<String>>,
    #[serde(default)]
    total: usize,
}

#[derive(Deserialize)]
struct Success {}

/// What every answer may have in the place of a value.
#[derive(Deserialize)]
struct MaybeRefused {
    error: Option<jetstream::Error>,
}

/// One request: `STREAM.INFO.<stream>` and the like.
async fn request<B: Serialize + ?Sized, T: DeserializeOwned>(
    connection: &Connection,
    operation: String,
    body: &B,
) -> Result<T, Failure> {
    let body = serde_json::value::to_raw_value(body)
        .map_err(|error| Failure::NoAnswer(format!("cannot encode the request: {error}")))?;
    let answer = ask(connection, operation, &body).await?;
    serde_json::from_str(answer.get()).map_err(|error| cannot_decode(&error))
}

/// Sends a request and returns the answer, unless it is an error.
///
/// It is compiled once, not once for each type of an answer.
async fn ask(connection: &Connection, operation: String, body: &RawValue) -> Result<Box<RawValue>, Failure> {
    let subjects = connection.api_subjects(&operation);
    let answer = connection.jetstream.request::<_, _, Box<RawValue>>(operation, body);
    connection
        .unless_denied(&subjects, answer)
        .await?
        .map_err(Failure::from)
        .and_then(unless_refused)
        .inspect_err(|failure| connection.note(failure))
}

fn unless_refused(answer: Box<RawValue>) -> Result<Box<RawValue>, Failure> {
    let MaybeRefused { error } = serde_json::from_str(answer.get()).map_err(|error| cannot_decode(&error))?;
    error.map_or(Ok(answer), |error| Err(Failure::Refused(error)))
}

fn cannot_decode(error: &serde_json::Error) -> Failure {
    Failure::NoAnswer(format!("cannot decode the answer: {error}"))
}

/// One request whose answer tells the time of the server.
async fn stamped<B: Serialize + ?Sized, T: DeserializeOwned + Stamped>(
    connection: &Connection,
    operation: String,
    body: &B,
) -> Result<T, Failure> {
    let sent = Instant::now();
    let answer: T = request(connection, operation, body).await?;
    connection.server_clock.answered(sent, answer.stamp());
    Ok(answer)
}

pub(crate) async fn account(connection: &Connection) -> Result<Account, Failure> {
    request(connection, ACCOUNT_INFO.to_owned(), &json!({})).await
}

/// Waits until the server has processed everything that was sent over this connection before.
pub(crate) async fn round_trip(connection: &Connection) -> Result<(), Failure> {
    account(connection).await.map(drop)
}

pub(crate) async fn stream_info(connection: &Connection, stream: &str) -> Result<StreamInfo, Failure> {
    stamped(connection, StreamOperation::Info.on(stream), &json!({})).await
}

pub(crate) async fn create_stream(
    connection: &Connection,
    config: &stream::Config,
) -> Result<StreamInfo, Failure> {
    stamped(connection, StreamOperation::Create.on(&config.name), config).await
}

pub(crate) async fn update_stream(
    connection: &Connection,
    config: &stream::Config,
) -> Result<StreamInfo, Failure> {
    request(connection, StreamOperation::Update.on(&config.name), config).await
}

/// The state of a stream, with the number of messages of one subject: one answer of one server.
pub(crate) async fn subject_state(
    connection: &Connection,
    stream: &str,
    subject: &str,
) -> Result<StreamInfo, Failure> {
    stamped(connection, StreamOperation::Info.on(stream), &json!({ "subjects_filter": subject })).await
}

pub(crate) async fn delete_stream(connection: &Connection, stream: &str) -> Result<(), Failure> {
    let Success {} = request(connection, StreamOperation::Delete.on(stream), &json!({})).await?;
    Ok(())
}

/// The subjects of a stream that match `filter`, with their numbers of messages. If there are none, this is one request.
pub(crate) async fn subjects(
    connection: &Connection,
    stream: &str,
    filter: &str,
) -> Result<HashMap<String, u64>, Failure> {
    let mut found = HashMap::new();
    loop {
        let query = json!({ "subjects_filter": filter, "offset": found.len() });
        let info: StreamInfo = stamped(connection, StreamOperation::Info.on(stream), &query).await?;
        let page = info.state.subjects.unwrap_or_default();
        let last = page.is_empty();
        found.extend(page);
        if last || found.len() >= info.total {
            return Ok(found);
        }
    }
}

/// The latest message of a subject, read from the leader of the stream, which has every message that was acknowledged. It has no
/// headers if they cannot be parsed.
pub(crate) async fn latest(
    connection: &Connection,
    stream: &str,
    subject: &str,
) -> Result<Option<StreamMessage>, Failure> {
    get(connection, stream, &json!({ "last_by_subj": subject })).await
}

/// The message with this sequence, read from the leader of the stream.
pub(crate) async fn message(
    connection: &Connection,
    stream: &str,
    sequence: u64,
) -> Result<Option<StreamMessage>, Failure> {
    get(connection, stream, &json!({ "seq": sequence })).await
}

/// The first message of a subject, wildcards allowed, from a sequence on, read from the leader of the stream. Messages
/// whose headers cannot be parsed are included.
pub(crate) async fn first_from(
    connection: &Connection,
    stream: &str,
    subject: &str,
    from: u64,
) -> Result<Option<RawOrParsed>, Failure> {
    let query = json!({ "seq": from.max(1), "next_by_subj": subject });
    message_raw(connection, stream, &query).await?.map(raw_or_parsed).transpose()
}

fn raw_or_parsed(mut raw: RawMessage) -> Result<RawOrParsed, Failure> {
    if let Ok(message) = raw.clone().try_into() {
        return Ok(RawOrParsed { message, raw_headers: None });
    }
    let raw_headers = Some(raw.headers.take().unwrap_or_default());
    Ok(RawOrParsed { message: parsed(raw)?, raw_headers })
}

async fn get(
    connection: &Connection,
    stream: &str,
    query: &serde_json::Value,
) -> Result<Option<StreamMessage>, Failure> {
    let found = message_raw(connection, stream, query).await?.map(raw_or_parsed).transpose()?;
    Ok(found.map(|found| found.message))
}

fn parsed(raw: RawMessage) -> Result<StreamMessage, Failure> {
    raw.try_into().map_err(|error: async_nats::Error| Failure::NoAnswer(error.to_string()))
}

async fn message_raw(
    connection: &Connection,
    stream: &str,
    query: &serde_json::Value,
) -> Result<Option<RawMessage>, Failure> {
    match request::<_, FoundMessage>(connection, StreamOperation::GetMessage.on(stream), query).await {
        Ok(FoundMessage { message }) => Ok(Some(message)),
        Err(failure) if failure.code() == Some(ErrorCode::NO_MESSAGE_FOUND) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Removes one message. Returns false if it does not exist any more.
pub(crate) async fn delete_message(
    connection: &Connection,
    stream: &str,
    sequence: u64,
) -> Result<bool, Failure> {
    let query = json!({ "seq": sequence, "no_erase": true });
    match request::<_, Success>(connection, StreamOperation::DeleteMessage.on(stream), &query).await {
        Ok(Success {}) => Ok(true),
        Err(failure) if failure.is_absent() || failure.code() == Some(ErrorCode::SEQUENCE_NOT_FOUND) => {
            Ok(false)
        }
        Err(failure) => Err(failure),
    }
}

/// Removes every message whose subject matches `filter`, one by one. Returns their number.
///
/// This is no purge, because a purge makes a consumer with a wider filter forget which messages of other subjects it has
/// delivered (observed with nats-server 2.15). If the host that holds such a message dies, the message stays in the
/// stream and is never delivered again.
pub(crate) async fn delete_one_by_one(
    connection: &Connection,
    stream: &str,
    filter: &str,
) -> Result<u64, Failure> {
    let (mut from, mut removed) = (1, 0);
    while let Some(RawOrParsed { message, .. }) = first_from(connection, stream, filter, from).await? {
        from = message.sequence + 1;
        removed += u64::from(delete_message(connection, stream, message.sequence).await?);
    }
    Ok(removed)
}

/// Removes every message whose subject matches `filter`. Returns their number. Only for streams without consumers, see
/// [`delete_one_by_one`].
pub(crate) async fn purge(connection: &Connection, stream: &str, filter: String) -> Result<u64, Failure> {
    purge_with(connection, stream, PurgeRequest { filter: Some(filter), ..PurgeRequest::default() }).await
}

/// Removes every message below a sequence whose subject matches `filter`. Returns their number.
pub(crate) async fn purge_before(
    connection: &Connection,
    stream: &str,
    filter: String,
    sequence: u64,
) -> Result<u64, Failure> {
    let query = PurgeRequest { filter: Some(filter), sequence: Some(sequence), ..PurgeRequest::default() };
    purge_with(connection, stream, query).await
}

async fn purge_with(connection: &Connection, stream: &str, query: PurgeRequest) -> Result<u64, Failure> {
    let purged: PurgeResponse = request(connection, StreamOperation::Purge.on(stream), &query).await?;
    Ok(purged.purged)
}

pub(crate) async fn consumer_info(
    connection: &Connection,
    stream: &str,
    name: &str,
) -> Result<ConsumerInfo, Failure> {
    stamped(connection, ConsumerOperation::Info.on(stream, name), &json!({})).await
}

/// Creates a consumer. If it exists, its configuration must be the same.
pub(crate) async fn create_consumer(
    connection: &Connection,
    stream: &str,
    config: &consumer::Config,
) -> Result<ConsumerInfo, Failure> {
    let name = config.durable_name.as_deref().or(config.name.as_deref()).unwrap_or_default();
    let operation = names::create_consumer(stream, name, &config.filter_subject);
    stamped(connection, operation, &json!({ "stream_name": stream, "config": config, "action": "create" }))
        .await
}

pub(crate) async fn delete_consumer(
    connection: &Connection,
    stream: &str,
    name: &str,
) -> Result<(), Failure> {
    let Success {} = request(connection, ConsumerOperation::Delete.on(stream, name), &json!({})).await?;
    Ok(())
}

/// The account of this user: `$G` if the server has no accounts. `None` if this user may not ask.
pub(crate) async fn user_account(connection: &Connection) -> Result<Option<String>, Failure> {
    let answer = connection.client.request(USER_INFO, Bytes::new());
    match connection.unless_denied(&[USER_INFO.to_owned()], answer).await {
        Ok(answer) => {
            let answer = answer.map_err(|error| Failure::NoAnswer(error.to_string()))?;
            let UserInfo { data } = serde_json::from_slice(&answer.payload)
                .map_err(|error| Failure::NoAnswer(format!("cannot decode the user: {error}")))?;
            Ok(Some(data.account))
        }
        Err(_denied) => Ok(None),
    }
}

/// The names of all streams of the account: one request for each 1,024 of them.
pub(crate) async fn stream_names(connection: &Connection) -> Result<HashSet<String>, Failure> {
    let (mut names, mut offset) = (HashSet::new(), 0);
    loop {
        let query = json!({ "offset": offset });
        let page: StreamNames = request(connection, STREAM_NAMES.to_owned(), &query).await?;
        let found = page.streams.unwrap_or_default();
        offset += found.len();
        let last = found.is_empty();
        names.extend(found);
        if last || offset >= page.total {
            return Ok(names);
        }
    }
}

/// The names of all consumers of a stream.
pub(crate) async fn consumer_names(connection: &Connection, stream: &str) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    loop {
        let query = json!({ "offset": names.len() });
        let page: ConsumerNames = request(connection, StreamOperation::Consumers.on(stream), &query).await?;
        let found = page.consumers.unwrap_or_default();
        let last = found.is_empty();
        names.extend(found);
        if last || names.len() >= page.total {
            return Ok(names);
        }
    }
}

/// The subject of pull requests for a consumer, without the prefix of the API.
pub(crate) fn pull_subject(stream: &str, consumer: &str) -> String {
    ConsumerOperation::Next.on(stream, consumer)
}

/// The subject of direct reads of a stream, without the prefix of the API.
pub(super) fn direct_subject(stream: &str) -> String {
    StreamOperation::DirectGet.on(stream)
}
