//! What the server says to a pull request instead of delivering messages.

use super::reply::Origin;
use crate::names::PENDING_MESSAGES;
use async_nats::{Message, StatusCode};

/// What the server says to a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// It is still there, and has nothing.
    Heartbeat,
    /// A request has ended, with so many messages still to come; `None` where it does not say.
    Ended(Option<usize>),
    /// There is no such consumer (any more), or JetStream is not running.
    Gone(String),
    /// The requests that were made are void.
    Void(String),
}

impl Status {
    /// What a message says; `None` where it is one that is delivered, whose publisher may have written a status into its
    /// headers.
    pub(crate) fn of(message: &Message) -> Option<Self> {
        let status = message.status?;
        if message.reply.as_deref().and_then(Origin::parse).is_some() {
            return None;
        }
        let words = message.description.as_deref().unwrap_or_default();
        let pending = message.headers.as_ref().and_then(|headers| headers.get(PENDING_MESSAGES));
        let pending = pending.and_then(|pending| pending.as_str().parse().ok());
        let said = || format!("{} {words}", status.as_u16());
        Some(match status {
            StatusCode::IDLE_HEARTBEAT => Self::Heartbeat,
            StatusCode::NOT_FOUND | StatusCode::TIMEOUT => Self::Ended(pending),
            StatusCode::NO_RESPONDERS => Self::Gone("nobody answers for the consumer".to_owned()),
            _ if words.eq_ignore_ascii_case("batch completed") => Self::Ended(pending),
            _ if words.to_ascii_lowercase().contains("consumer deleted") => Self::Gone(said()),
            _ => Self::Void(said()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_nats::{HeaderMap, Subject};
    use bytes::Bytes;

    fn said(code: u16, words: &str, pending: Option<&str>) -> Option<Status> {
        said_to(None, code, words, pending)
    }

    fn said_to(reply: Option<&str>, code: u16, words: &str, pending: Option<&str>) -> Option<Status> {
        let mut headers = HeaderMap::new();
        if let Some(pending) = pending {
            headers.insert(PENDING_MESSAGES, pending);
        }
        Status::of(&Message {
            subject: Subject::from_static("x"),
            reply: reply.map(Subject::from),
            payload: Bytes::new(),
            headers: Some(headers),
            status: StatusCode::from_u16(code).ok(),
            description: Some(words.to_owned()),
            length: 0,
        })
    }

    #[test]
    fn a_status_in_a_message_that_was_delivered_is_no_word_of_the_server() {
        let reply = "$JS.ACK.S.work_a.3.100.7.1790230470084404000.42";
        for code in [100, 404, 408, 409, 503] {
            assert_eq!(said_to(Some(reply), code, "Consumer Deleted", Some("7")), None, "{code}");
        }
        assert_eq!(said_to(Some("_INBOX.a"), 100, "", None), Some(Status::Heartbeat));
    }

    #[test]
    fn statuses() {
        assert_eq!(said(100, "Idle Heartbeat", None), Some(Status::Heartbeat));
        assert_eq!(said(408, "Request Timeout", Some("7")), Some(Status::Ended(Some(7))));
        assert_eq!(said(404, "No Messages", None), Some(Status::Ended(None)));
        assert_eq!(said(409, "Batch Completed", Some("0")), Some(Status::Ended(Some(0))));
        assert!(matches!(said(409, "Consumer Deleted", None), Some(Status::Gone(_))));
        assert!(matches!(said(503, "", None), Some(Status::Gone(_))));
        assert_eq!(
            said(409, "Leadership Change", None),
            Some(Status::Void("409 Leadership Change".to_owned()))
        );
    }
}
