//! Parsing the server's reply to a publish.

use async_nats::{Message, StatusCode, jetstream};
use serde::Deserialize;

/// The server's reply to a publish.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PublishReply {
    /// Stored. `sequence` is that of the message, or of the last message of a batch of `count`.
    Stored { sequence: u64, count: Option<usize> },
    /// Not stored.
    Refused(jetstream::Error),
    /// Not stored: no stream has the subject at the moment.
    NoResponders,
    /// It cannot be parsed, so the outcome is unknown.
    Malformed,
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

impl PublishReply {
    pub(super) fn parse(message: &Message) -> Self {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Self::NoResponders;
        }
        match serde_json::from_slice::<Ack>(&message.payload) {
            Ok(Ack { error: Some(error), .. }) => Self::Refused(error),
            Ok(Ack { seq, count, error: None }) if seq > 0 => Self::Stored { sequence: seq, count },
            Ok(_) => Self::Malformed,
            Err(error) => {
                tracing::warn!(%error, "cannot parse the nats-server's reply to a publish");
                Self::Malformed
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
    fn replies_are_parsed() {
        let stored = PublishReply::parse(&message(r#"{"stream":"S","seq":7}"#, None));
        assert_eq!(stored, PublishReply::Stored { sequence: 7, count: None });
        let batch = PublishReply::parse(&message(r#"{"stream":"S","seq":9,"batch":"b","count":3}"#, None));
        assert_eq!(batch, PublishReply::Stored { sequence: 9, count: Some(3) });
        let refused = r#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 1"},"stream":"S","seq":0}"#;
        assert!(matches!(PublishReply::parse(&message(refused, None)), PublishReply::Refused(_)));
        assert_eq!(
            PublishReply::parse(&message("", Some(StatusCode::NO_RESPONDERS))),
            PublishReply::NoResponders
        );
        assert_eq!(PublishReply::parse(&message("hello", None)), PublishReply::Malformed);
        assert_eq!(PublishReply::parse(&message("{}", None)), PublishReply::Malformed);
    }
}
