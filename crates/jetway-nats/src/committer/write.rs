//! A message to be stored, the condition under which it is stored, and the errors.

use crate::{
    headers::insert_trace,
    names::{COMMIT, INCARNATION, PARTS, PRIOR_COMMITS, REVISION, STATUS, TTL},
    session::{is_out_of_room, kind_of},
};
use async_nats::{
    HeaderMap, HeaderValue, Subject,
    header::{
        NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE,
        NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
    },
    jetstream,
};
use bytes::Bytes;
use jetway_engine::{
    backend::{BackendError, BackendErrorKind},
    fail_point::{FailPoint, fail_point},
};
use jetway_state::{
    CommitId, Incarnation, STORE_ELSEWHERE,
    run::{ResultVersion, Status},
    trace::TraceHeaders,
};
use std::time::Duration;

/// The sequence that is returned for a unique message if its subject has a message already.
pub(crate) const ALREADY_STORED: u64 = 0;

/// A message to be stored.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) subject: Subject,
    pub(crate) payload: Bytes,
    pub(crate) condition: Condition,
}

/// The condition under which a message is stored, with the headers that belong to it. It also decides how a lost reply is
/// handled.
#[derive(Debug)]
pub(crate) enum Condition {
    /// A snapshot: stored if `expected` is the subject's latest sequence. The commit id identifies the writer. It expires
    /// after `keep` if the status is terminal.
    Snapshot {
        expected: u64,
        commit: CommitId,
        incarnation: Incarnation,
        status: Status,
        keep: Option<Duration>,
    },
    /// A value of a store: stored if `expected` is the subject's latest sequence. `prior_commits` are the commits of the
    /// values before it. It expires after `keep`. `parts` is the value's size in bytes if it is stored in parts.
    StoreValue {
        expected: u64,
        commit: CommitId,
        prior_commits: String,
        keep: Option<Duration>,
        parts: Option<usize>,
    },
    /// A unique message: stored if its subject has no message. If there is one, that counts as stored.
    Unique(Option<TraceHeaders>),
    /// A result: stored if its subject has no message.
    Result(ResultVersion),
    /// Stored in any case. The headers make storing it twice harmless.
    Always(HeaderMap),
}

impl Write {
    /// Marks a fail point, if this is a commit and not the first write of its run.
    pub(super) fn fail_point(&self, point: FailPoint) {
        if matches!(self.condition, Condition::Snapshot { expected: 1.., .. }) {
            fail_point(point);
        }
    }

    /// Its approximate size in a batch, in bytes.
    pub(super) fn size(&self) -> usize {
        self.payload.len() + self.subject.len() + 256
    }

    /// The headers, built for each attempt.
    pub(super) fn headers(&self) -> HeaderMap {
        match &self.condition {
            Condition::Snapshot { expected, commit, incarnation, status, keep } => {
                let mut headers = HeaderMap::new();
                headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(*expected));
                headers.insert(COMMIT, commit.to_string());
                headers.insert(INCARNATION, incarnation.to_string());
                headers.insert(STATUS, status.as_str());
                if let Some(keep) = keep.filter(|_| status.is_terminal()) {
                    headers.insert(TTL, time_to_live(keep));
                }
                headers
            }
            Condition::StoreValue { expected, commit, prior_commits, keep, parts } => {
                let mut headers = HeaderMap::new();
                headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(*expected));
                headers.insert(COMMIT, commit.to_string());
                if !prior_commits.is_empty() {
                    headers.insert(PRIOR_COMMITS, prior_commits.as_str());
                }
                if let Some(bytes) = parts {
                    headers.insert(PARTS, HeaderValue::from(*bytes));
                }
                if let Some(keep) = keep {
                    headers.insert(TTL, time_to_live(*keep));
                }
                headers
            }
            Condition::Unique(trace) => {
                let mut headers = HeaderMap::new();
                headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
                if let Some(trace) = trace {
                    insert_trace(&mut headers, trace);
                }
                headers
            }
            Condition::Result(ResultVersion { incarnation, revision }) => {
                let mut headers = HeaderMap::new();
                headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
                headers.insert(INCARNATION, incarnation.to_string());
                headers.insert(REVISION, HeaderValue::from(*revision));
                headers
            }
            Condition::Always(headers) => headers.clone(),
        }
    }

    /// Whether a message that exists already counts as stored.
    pub(super) fn is_unique(&self) -> bool {
        matches!(self.condition, Condition::Unique(_) | Condition::Result(_))
    }
}

/// In whole seconds. The server accepts no less than one.
fn time_to_live(keep: Duration) -> String {
    format!("{}s", keep.as_secs().max(1))
}

/// Adds the headers that make a message part of a batch.
pub(super) fn insert_batch(headers: &mut HeaderMap, batch: &str, sequence: usize, last: bool) {
    headers.insert(NATS_BATCH_ID, batch);
    headers.insert(NATS_BATCH_SEQUENCE, HeaderValue::from(sequence));
    if last {
        headers.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
    }
}

/// Why a message is not stored, or not known to be stored.
#[derive(Debug, Clone)]
pub(crate) enum NotStored {
    /// The subject's latest message is another one than expected.
    Conflict,
    /// It is larger than the server accepts.
    TooLarge { bytes: usize, max: usize },
    /// The server refused it.
    Refused(jetstream::Error),
    /// The server did not reply within the time, and may still store it.
    Unknown(String),
    /// The backend was dropped.
    Closed,
}

impl NotStored {
    /// The backend error. `object` names what was to be stored: `the snapshot of run a/b`.
    pub(crate) fn error_of(self, object: impl std::fmt::Display) -> BackendError {
        let error = |kind, rest: String| BackendError::new(kind, format!("{object} {rest}"));
        match self {
            Self::Conflict => {
                error(BackendErrorKind::Conflict, "was changed by another writer in the meantime".to_owned())
            }
            Self::TooLarge { bytes, max } => error(
                BackendErrorKind::TooLarge,
                format!("is {bytes} bytes, and the server takes {max}: {STORE_ELSEWHERE}"),
            ),
            Self::Refused(refusal) if is_out_of_room(&refusal) => error(
                BackendErrorKind::NoRoom,
                format!("was not stored, there is no room: {refusal}; raise the limit, or remove data"),
            ),
            Self::Refused(refusal) => {
                error(kind_of(&refusal), "was refused by the server".to_owned()).caused_by(Refusal(refusal))
            }
            Self::Unknown(reason) => {
                error(BackendErrorKind::Unavailable, format!("may not have been stored: {reason}"))
            }
            Self::Closed => {
                error(BackendErrorKind::Unavailable, "was not stored: the backend was closed".to_owned())
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(jetstream::Error);

#[cfg(test)]
mod tests {
    use super::*;
    use async_nats::HeaderName;

    fn snapshot(status: Status) -> Write {
        let commit = CommitId { writer: 1, number: 2 };
        let (incarnation, keep) = (Incarnation::default(), Some(Duration::from_secs(3600)));
        let condition = Condition::Snapshot { expected: 7, commit, incarnation, status, keep };
        Write { subject: "s".into(), payload: Bytes::new(), condition }
    }

    fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
        headers.get(name).map(HeaderValue::as_str)
    }

    #[test]
    fn a_snapshot_carries_expected_sequence_and_commit() {
        let headers = snapshot(Status::Running).headers();
        assert_eq!(header(&headers, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE), Some("7"));
        assert_eq!(header(&headers, COMMIT), Some("00000000000000012"));
        assert_eq!(header(&headers, STATUS), Some("running"));
        assert_eq!(header(&headers, INCARNATION), Some("0000000000000000"));
        assert_eq!(header(&headers, TTL), None);
    }

    #[test]
    fn only_a_finished_snapshot_expires() {
        for (status, expires) in [
            (Status::Completed, true),
            (Status::Failed, true),
            (Status::Cancelled, true),
            (Status::Paused, false),
        ] {
            let ttl = snapshot(status).headers().get(TTL).map(|value| value.as_str().to_owned());
            assert_eq!(ttl.is_some(), expires, "{status}");
            assert!(ttl.is_none_or(|ttl| ttl == "3600s"));
        }
        // What is left to be done to other runs is in the record.
        let mut open = snapshot(Status::Completed);
        if let Condition::Snapshot { keep, .. } = &mut open.condition {
            *keep = None;
        }
        assert_eq!(header(&open.headers(), TTL), None);
    }

    #[test]
    fn a_store_value_carries_its_headers() {
        let commit = CommitId { writer: 1, number: 2 };
        let value = |keep, parts| Write {
            subject: "s".into(),
            payload: Bytes::new(),
            condition: Condition::StoreValue {
                expected: 7,
                commit,
                prior_commits: "p q".to_owned(),
                keep,
                parts,
            },
        };
        let headers = value(Some(Duration::from_millis(10)), Some(5)).headers();
        assert_eq!(header(&headers, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE), Some("7"));
        assert_eq!(header(&headers, COMMIT), Some("00000000000000012"));
        assert_eq!((header(&headers, TTL), header(&headers, PARTS)), (Some("1s"), Some("5")));
        assert_eq!(header(&headers, PRIOR_COMMITS), Some("p q"));
        let headers = value(None, None).headers();
        assert_eq!((header(&headers, TTL), header(&headers, PARTS)), (None, None));
    }
}
