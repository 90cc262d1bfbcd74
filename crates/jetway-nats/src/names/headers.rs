//! Header names, and the words that stand in headers.

use async_nats::HeaderName;

/// The commit that wrote a snapshot: by it a writer that got no answer knows its own write again.
pub(crate) const COMMIT: HeaderName = HeaderName::from_static("Jetway-Commit");
/// The run's status, so that a listing need not open the snapshot.
pub(crate) const STATUS: HeaderName = HeaderName::from_static("Jetway-Status");
/// The commits that a store's value was made by before, youngest first, so that a writer who got no answer finds his
/// own below those of others.
pub(crate) const PAST: HeaderName = HeaderName::from_static("Jetway-Prior-Commits");
/// How many bytes a store's value has that is kept in parts.
pub(crate) const PARTS: HeaderName = HeaderName::from_static("Jetway-Parts");
/// The server and the connection over which a host announces itself.
pub(crate) const SERVER: HeaderName = HeaderName::from_static("Jetway-Server");
/// The run id of a start message.
pub(crate) const RUN_ID: HeaderName = HeaderName::from_static("Jetway-Run-Id");
/// How long a request waits for the result, such as `30s`.
pub(crate) const WAIT: HeaderName = HeaderName::from_static("Jetway-Wait");
/// The one-word reason of a dead letter.
pub(crate) const WHY: HeaderName = HeaderName::from_static("Jetway-Why");
/// The reason of a dead letter in a sentence.
pub(crate) const REASON: HeaderName = HeaderName::from_static("Jetway-Reason");
/// How large the message was that a dead letter does not keep all of.
pub(crate) const CUT: HeaderName = HeaderName::from_static("Jetway-Original-Size");
/// The subject that a dead letter came by.
pub(crate) const ORIGINAL_SUBJECT: HeaderName = HeaderName::from_static("Jetway-Original-Subject");
/// Stands before the name of a header that would be an order to the server if a dead letter carried it as it came.
pub(crate) const ORIGINAL_HEADER: &str = "Jetway-Original-";

/// The headers of a message that cannot be read, as base64.
pub(crate) const ORIGINAL_HEADERS: HeaderName = HeaderName::from_static("Jetway-Original-Headers");

/// The encoding of a start's input.
pub(crate) const CONTENT_TYPE: HeaderName = HeaderName::from_static("Content-Type");
/// CBOR, in [`CONTENT_TYPE`].
pub(crate) const CBOR: &str = "application/cbor";
/// JSON, in [`CONTENT_TYPE`].
pub(crate) const JSON: &str = "application/json";

/// W3C trace context.
pub(crate) const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
/// W3C trace context.
pub(crate) const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");

/// What a header starts with that is an order to the server.
pub(crate) const SERVER_HEADER: &str = "Nats-";
/// How long the message lives, in seconds: `86400s`.
pub(crate) const TTL: HeaderName = HeaderName::from_static("Nats-TTL");
/// How many messages a pull request still waited for when it ended.
pub(crate) const PENDING_MESSAGES: HeaderName = HeaderName::from_static("Nats-Pending-Messages");
/// How many messages follow the ones that were read directly.
pub(crate) const NUM_PENDING: HeaderName = HeaderName::from_static("Nats-Num-Pending");
/// Marks a key that was deleted or purged with `nats kv`.
pub(crate) const KV_OPERATION: HeaderName = HeaderName::from_static("KV-Operation");
