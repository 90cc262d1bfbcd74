//! Reading the server's answer to a publish.

use async_nats::{Message, StatusCode, jetstream};
use serde::Deserialize;

/// The server's answer to a publish.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// Stored. The sequence of the message, or of the last one of a batch, and how many the batch had.
    Stored { sequence: u64, count: Option<usize> },
    /// Not stored.
    Refused(jetstream::Error),
    /// Not stored: there is no stream for the subject, or not at this moment.
    Nobody,
    /// Not to be read, so that nothing is known.
    Unreadable,
}

#[derive(Deserialize)]
struct Ack {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    count: Option<usize>,
    #[serde(default)]
    error: Option<jetstream::Error>,
}

impl Answer {
    pub(super) fn read(message: &Message) -> Self {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Self::Nobody;
        }
        match serde_json::from_slice::<Ack>(&message.payload) {
            Ok(Ack { error: Some(error), .. }) => Self::Refused(error),
            Ok(Ack { seq, count, error: None }) if seq > 0 => Self::Stored { sequence: seq, count },
            Ok(_) => Self::Unreadable,
            Err(error) => {
                tracing::warn!(%error, "an answer of the nats-server cannot be read");
                Self::Unreadable
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_nats::Subject;
    use bytes::Bytes;

    fn message(payload: &'static str, status: Option<StatusCode>) -> Message {
        Message {
            subject: Subject::from_static("x"),
            reply: None,
            payload: Bytes::from_static(payload.as_bytes()),
            headers: None,
            status,
            description: None,
            length: 0,
        }
    }

    #[test]
    fn answers() {
        let stored = Answer::read(&message(r#"{"stream":"S","seq":7}"#, None));
        assert_eq!(stored, Answer::Stored { sequence: 7, count: None });
        let batch = Answer::read(&message(r#"{"stream":"S","seq":9,"batch":"b","count":3}"#, None));
        assert_eq!(batch, Answer::Stored { sequence: 9, count: Some(3) });
        let refused = r#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 1"},"stream":"S","seq":0}"#;
        assert!(matches!(Answer::read(&message(refused, None)), Answer::Refused(_)));
        assert_eq!(Answer::read(&message("", Some(StatusCode::NO_RESPONDERS))), Answer::Nobody);
        assert_eq!(Answer::read(&message("hello", None)), Answer::Unreadable);
        assert_eq!(Answer::read(&message("{}", None)), Answer::Unreadable);
    }
}
