//! Status messages: what the server sends for a pull request besides messages.

use super::delivery::DeliveryInfo;
use crate::names::PENDING_MESSAGES;
use async_nats::{Message, StatusCode};

/// A status message of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// A request still waits.
    Heartbeat,
    /// A request has ended, and this number of its messages did not come. `None` if the server does not say how many.
    RequestEnded(Option<usize>),
    /// The consumer does not exist, or JetStream is not running.
    ConsumerGone(String),
    /// All requests have ended.
    RequestsLost(String),
}

impl Status {
    /// The status of a message. `None` for a message that a consumer delivered: its publisher may have put a status into
    /// the headers.
    pub(crate) fn of(message: &Message) -> Option<Self> {
        let code = message.status?;
        if message.reply.as_deref().and_then(DeliveryInfo::parse).is_some() {
            return None;
        }
        let description = message.description.as_deref().unwrap_or_default();
        let pending = message.headers.as_ref().and_then(|headers| headers.get(PENDING_MESSAGES));
        let pending = pending.and_then(|pending| pending.as_str().parse().ok());
        let reason = || format!("{} {description}", code.as_u16());
        Some(match code {
            StatusCode::IDLE_HEARTBEAT => Self::Heartbeat,
            StatusCode::NOT_FOUND | StatusCode::TIMEOUT => Self::RequestEnded(pending),
            StatusCode::NO_RESPONDERS => Self::ConsumerGone("the consumer does not respond".to_owned()),
            _ if description.eq_ignore_ascii_case("batch completed") => Self::RequestEnded(pending),
            _ if description.to_ascii_lowercase().contains("consumer deleted") => {
                Self::ConsumerGone(reason())
            }
            _ => Self::RequestsLost(reason()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_nats::{HeaderMap, Subject};
    use bytes::Bytes;

    fn status(code: u16, description: &str, pending: Option<&str>) -> Option<Status> {
        status_with_reply(None, code, description, pending)
    }

    fn status_with_reply(
        reply: Option<&str>,
        code: u16,
        description: &str,
        pending: Option<&str>,
    ) -> Option<Status> {
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
            description: Some(description.to_owned()),
            length: 0,
        })
    }

    #[test]
    fn a_delivered_message_has_no_status() {
        let reply = "$JS.ACK.S.work_a.3.100.7.1790230470084404000.42";
        for code in [100, 404, 408, 409, 503] {
            assert_eq!(status_with_reply(Some(reply), code, "Consumer Deleted", Some("7")), None, "{code}");
        }
        assert_eq!(status_with_reply(Some("_INBOX.a"), 100, "", None), Some(Status::Heartbeat));
    }

    #[test]
    fn status_codes_are_interpreted() {
        assert_eq!(status(100, "Idle Heartbeat", None), Some(Status::Heartbeat));
        assert_eq!(status(408, "Request Timeout", Some("7")), Some(Status::RequestEnded(Some(7))));
        assert_eq!(status(404, "No Messages", None), Some(Status::RequestEnded(None)));
        assert_eq!(status(409, "Batch Completed", Some("0")), Some(Status::RequestEnded(Some(0))));
        assert!(matches!(status(409, "Consumer Deleted", None), Some(Status::ConsumerGone(_))));
        assert!(matches!(status(503, "", None), Some(Status::ConsumerGone(_))));
        assert_eq!(
            status(409, "Leadership Change", None),
            Some(Status::RequestsLost("409 Leadership Change".to_owned()))
        );
    }
}
