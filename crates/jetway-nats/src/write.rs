//! One message that is to be stored, and what became of it.

use crate::{
    error,
    names::{COMMIT, PARTS, PAST, STATUS, TRACE_PARENT, TRACE_STATE, TTL},
};
use async_nats::{
    HeaderMap, HeaderName, HeaderValue, Subject,
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
use jetway_state::{CommitId, STORE_ELSEWHERE, run::Status, trace::TraceHeaders};
use std::time::Duration;

/// Room for subject and headers beside the payload in a message of the largest size.
pub(crate) const OVERHEAD: usize = 4096;

/// The sequence of a message of which there is one for its subject, where there was one already.
pub(crate) const IS_THERE: u64 = 0;

/// One message that is to be stored.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) subject: Subject,
    pub(crate) payload: Bytes,
    pub(crate) body: Body,
}

/// What kind of message it is: which condition it is stored under, and how a lost answer is made up for.
#[derive(Debug)]
pub(crate) enum Body {
    /// A snapshot: stored if `expected` is the subject's latest sequence. The commit's id tells whose write it is.
    Snapshot { expected: u64, commit: CommitId, status: Status, keep: Duration },
    /// A value of a store: stored if `expected` is the subject's latest sequence. It expires after `keep`, and where it
    /// is kept in parts it says how many bytes they have.
    Value { expected: u64, commit: CommitId, past: String, keep: Option<Duration>, parts: Option<usize> },
    /// A message of which there is one for its subject: stored if there is none, and a second one counts as stored.
    Once(Option<TraceHeaders>),
    /// Any other message. Its headers make storing it twice harmless.
    Always(HeaderMap),
}

impl Write {
    /// Where this is a commit, and not the first write of its run: a place between two operations of it.
    pub(crate) fn fail_point(&self, point: FailPoint) {
        if matches!(self.body, Body::Snapshot { expected: 1.., .. }) {
            fail_point(point);
        }
    }

    /// How many bytes it counts for in a batch.
    pub(crate) fn size(&self) -> usize {
        self.payload.len() + self.subject.len() + 256
    }

    /// The headers, made anew for each sending.
    pub(crate) fn headers(&self) -> HeaderMap {
        match &self.body {
            Body::Snapshot { expected, commit, status, keep } => {
                let mut headers = HeaderMap::new();
                headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(*expected));
                headers.insert(COMMIT, commit.to_string());
                headers.insert(STATUS, status.as_str());
                if status.is_terminal() {
                    headers.insert(TTL, time_to_live(*keep));
                }
                headers
            }
            Body::Value { expected, commit, past, keep, parts } => {
                let mut headers = HeaderMap::new();
                headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(*expected));
                headers.insert(COMMIT, commit.to_string());
                if !past.is_empty() {
                    headers.insert(PAST, past.as_str());
                }
                if let Some(bytes) = parts {
                    headers.insert(PARTS, HeaderValue::from(*bytes));
                }
                if let Some(keep) = keep {
                    headers.insert(TTL, time_to_live(*keep));
                }
                headers
            }
            Body::Once(trace) => {
                let mut headers = HeaderMap::new();
                headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
                if let Some(trace) = trace {
                    insert_trace(&mut headers, trace);
                }
                headers
            }
            Body::Always(headers) => headers.clone(),
        }
    }

    /// Whether a second message of this kind counts as stored.
    pub(crate) fn is_once(&self) -> bool {
        matches!(self.body, Body::Once(_))
    }
}

/// In whole seconds, of which the server wants one at least.
fn time_to_live(keep: Duration) -> String {
    format!("{}s", keep.as_secs().max(1))
}

/// Adds what makes a message part of a batch.
pub(crate) fn in_batch(headers: &mut HeaderMap, batch: &str, sequence: usize, last: bool) {
    headers.insert(NATS_BATCH_ID, batch);
    headers.insert(NATS_BATCH_SEQUENCE, HeaderValue::from(sequence));
    if last {
        headers.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
    }
}

/// Adds W3C trace context.
pub(crate) fn insert_trace(headers: &mut HeaderMap, trace: &TraceHeaders) {
    insert(headers, TRACE_PARENT, trace.parent.as_deref());
    insert(headers, TRACE_STATE, trace.state.as_deref());
}

/// Adds a header with words of a stranger: line breaks, which a header cannot hold, become spaces.
pub(crate) fn insert(headers: &mut HeaderMap, name: HeaderName, words: Option<&str>) {
    if let Some(words) = words {
        headers.insert(name, one_line(words).as_str());
    }
}

/// The words in one line.
pub(crate) fn one_line(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Takes W3C trace context out of headers.
pub(crate) fn trace_of(headers: Option<&HeaderMap>) -> TraceHeaders {
    let word = |name| headers.and_then(|headers| headers.get(name)).map(|value| value.as_str().to_owned());
    TraceHeaders { parent: word(TRACE_PARENT), state: word(TRACE_STATE) }
}

/// Why a message is not stored, or not known to be.
#[derive(Debug, Clone)]
pub(crate) enum NotStored {
    /// Something else is the subject's latest message.
    Conflict,
    /// It is larger than the server takes.
    TooLarge { bytes: usize, most: usize },
    /// The server refused it.
    Refused(jetstream::Error),
    /// Nothing is known: the server did not answer in the time there was, and may still store it.
    Unknown(String),
    /// The backend was closed.
    Closed,
}

impl NotStored {
    /// The error of a backend. `what` names what was to be stored.
    pub(crate) fn of(self, what: impl std::fmt::Display) -> BackendError {
        let error = |kind, rest: String| BackendError::new(kind, format!("{what} {rest}"));
        match self {
            Self::Conflict => {
                error(BackendErrorKind::Conflict, "was written by somebody else in the meantime".to_owned())
            }
            Self::TooLarge { bytes, most } => error(
                BackendErrorKind::TooLarge,
                format!("is {bytes} bytes, and the server takes {most}: {STORE_ELSEWHERE}"),
            ),
            Self::Refused(refusal) if error::no_room(&refusal) => error(
                BackendErrorKind::NoRoom,
                format!(
                    "was not stored for want of room: {refusal}; raise the limit, or remove what is not needed"
                ),
            ),
            Self::Refused(refusal) => error(error::kind(&refusal), "was refused by the server".to_owned())
                .caused_by(Refusal(refusal)),
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

    fn snapshot(status: Status) -> Write {
        let commit = CommitId { writer: 1, number: 2 };
        let body = Body::Snapshot { expected: 7, commit, status, keep: Duration::from_secs(3600) };
        Write { subject: "s".into(), payload: Bytes::new(), body }
    }

    fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
        headers.get(name).map(HeaderValue::as_str)
    }

    #[test]
    fn a_snapshot_names_what_it_replaces_and_who_wrote_it() {
        let headers = snapshot(Status::Running).headers();
        assert_eq!(header(&headers, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE), Some("7"));
        assert_eq!(header(&headers, COMMIT), Some("00000000000000012"));
        assert_eq!(header(&headers, STATUS), Some("running"));
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
    }

    #[test]
    fn a_value_of_a_store_says_what_it_replaces_and_how_long_it_stays() {
        let commit = CommitId { writer: 1, number: 2 };
        let value = |keep, parts| Write {
            subject: "s".into(),
            payload: Bytes::new(),
            body: Body::Value { expected: 7, commit, past: "p q".to_owned(), keep, parts },
        };
        let headers = value(Some(Duration::from_millis(10)), Some(5)).headers();
        assert_eq!(header(&headers, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE), Some("7"));
        assert_eq!(header(&headers, COMMIT), Some("00000000000000012"));
        assert_eq!((header(&headers, TTL), header(&headers, PARTS)), (Some("1s"), Some("5")));
        assert_eq!(header(&headers, PAST), Some("p q"));
        let headers = value(None, None).headers();
        assert_eq!((header(&headers, TTL), header(&headers, PARTS)), (None, None));
    }

    #[test]
    fn a_strangers_words_stay_in_their_header() {
        let mut headers = HeaderMap::new();
        let trace = TraceHeaders { parent: Some("00-a\r\nNats-Rollup: all".to_owned()), state: None };
        insert_trace(&mut headers, &trace);
        assert_eq!(header(&headers, TRACE_PARENT), Some("00-a  Nats-Rollup: all"));
        assert_eq!(trace_of(Some(&headers)).state, None);
    }
}
