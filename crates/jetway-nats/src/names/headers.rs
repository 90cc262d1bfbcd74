//! Header names, and the values that some headers have.

use async_nats::{HeaderName, header, service};

/// The commit that wrote a snapshot. A writer that got no reply recognises its own write by it.
pub(crate) const COMMIT: HeaderName = HeaderName::from_static("Jetway-Commit");
/// The first incarnation of the run of a snapshot or a result; the incarnation of that of a dead letter. On a signal: the one that it is for.
pub(crate) const INCARNATION: HeaderName = HeaderName::from_static("Jetway-Incarnation");
/// On a result: the revision of the snapshot that ended the run.
pub(crate) const REVISION: HeaderName = HeaderName::from_static("Jetway-Revision");
/// The run's status, so that a listing need not decode the snapshot.
pub(crate) const STATUS: HeaderName = HeaderName::from_static("Jetway-Status");
/// The commits of a store's earlier values, the latest first. A writer that got no reply finds its own commit here, also
/// after other writers have replaced its value.
pub(crate) const PRIOR_COMMITS: HeaderName = HeaderName::from_static("Jetway-Prior-Commits");
/// The size in bytes of a store's value that is stored in parts.
pub(crate) const PARTS: HeaderName = HeaderName::from_static("Jetway-Parts");
/// The ids of the server and of the connection over which a host announced itself.
pub(crate) const SERVER: HeaderName = HeaderName::from_static("Jetway-Server");
/// For how many replicas a host that announces itself is prepared.
pub(crate) const REPLICAS: HeaderName = HeaderName::from_static("Jetway-Replicas");
/// The run id of a start message.
pub(crate) const RUN_ID: HeaderName = HeaderName::from_static("Jetway-Run-Id");
/// What the sender of a start message knows its refusal by.
pub(crate) const START_ID: HeaderName = HeaderName::from_static("Jetway-Start-Id");
/// The id of a signal that its sender has chosen: for two signals of one run it says that they are one.
pub(crate) const SIGNAL_ID: HeaderName = HeaderName::from_static("Jetway-Signal-Id");
/// When the run of a start message begins: RFC 3339, or `+10m` after the message was sent.
pub(crate) const START_AT: HeaderName = HeaderName::from_static("Jetway-Start-At");
/// How long the run of a start message may take after its start, such as `10m`.
pub(crate) const DEADLINE: HeaderName = HeaderName::from_static("Jetway-Deadline");
/// How long a request waits for the result, such as `30s`.
pub(crate) const WAIT: HeaderName = HeaderName::from_static("Jetway-Wait");
/// The reason of a dead letter in one word.
pub(crate) const WHY: HeaderName = HeaderName::from_static("Jetway-Why");
/// The reason of a dead letter as a sentence.
pub(crate) const REASON: HeaderName = HeaderName::from_static("Jetway-Reason");
/// The size of the message, on a dead letter that does not hold all of it.
pub(crate) const ORIGINAL_SIZE: HeaderName = HeaderName::from_static("Jetway-Original-Size");
/// The subject of the message that became a dead letter.
pub(crate) const ORIGINAL_SUBJECT: HeaderName = HeaderName::from_static("Jetway-Original-Subject");
/// The prefix for the name of a header of the sender that would mean something else on a dead letter.
pub(crate) const ORIGINAL_HEADER: &str = "Jetway-Original-";

/// The headers of a message in base64, if they cannot be parsed.
pub(crate) const ORIGINAL_HEADERS: HeaderName = HeaderName::from_static("Jetway-Original-Headers");

/// The encoding of a start's input.
pub(crate) const CONTENT_TYPE: HeaderName = HeaderName::from_static("Content-Type");
/// CBOR, in [`CONTENT_TYPE`].
pub(crate) const CBOR: &str = "application/cbor";
/// JSON, in [`CONTENT_TYPE`].
pub(crate) const JSON: &str = "application/json";

/// The sentence of an error of the service.
pub(crate) const SERVICE_ERROR: &str = service::NATS_SERVICE_ERROR;
/// The code of an error of the service.
pub(crate) const SERVICE_ERROR_CODE: &str = service::NATS_SERVICE_ERROR_CODE;

/// W3C trace context.
pub(crate) const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
/// W3C trace context.
pub(crate) const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");

/// The prefix of headers that hosts write.
pub(crate) const OWN_HEADER: &str = "Jetway-";
/// The prefix of headers that the server acts on.
pub(crate) const SERVER_HEADER: &str = "Nats-";
/// How long the server keeps the message, in seconds: `86400s`.
pub(crate) const TTL: HeaderName = HeaderName::from_static("Nats-TTL");
/// When the server publishes a scheduled message: `@at 2026-01-01T00:00:00.000Z`.
pub(crate) const SCHEDULE: HeaderName = header::NATS_SCHEDULE;
/// The subject to which the server publishes a scheduled message.
pub(crate) const SCHEDULE_TARGET: HeaderName = header::NATS_SCHEDULE_TARGET;
/// How the value of [`SCHEDULE`] for a point in time begins.
pub(crate) const SCHEDULED_AT: &str = "@at ";
/// How many messages a pull request still waited for when it ended.
pub(crate) const PENDING_MESSAGES: HeaderName = HeaderName::from_static("Nats-Pending-Messages");
/// How many messages follow those of a direct read.
pub(crate) const NUM_PENDING: HeaderName = HeaderName::from_static("Nats-Num-Pending");
/// Marks a key that was deleted or purged with `nats kv`.
pub(crate) const KV_OPERATION: HeaderName = HeaderName::from_static("KV-Operation");
/// The value of [`KV_OPERATION`] for a deleted key.
pub(crate) const KV_DELETED: &str = "DEL";
