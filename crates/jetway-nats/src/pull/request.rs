//! Pull requests.

use crate::session::{Connection, Failure, api};
use async_nats::Request;
use serde::Serialize;
use std::time::Duration;

/// A request for messages of a consumer. The server replies to its inbox.
#[derive(Debug, Serialize)]
pub(crate) struct PullRequest {
    batch: usize,
    /// In nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    /// In nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_heartbeat: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    no_wait: bool,
}

impl PullRequest {
    /// A request for up to `messages` that are there now.
    pub(crate) fn new(messages: usize) -> Self {
        Self { batch: messages, expires: None, idle_heartbeat: None, no_wait: true }
    }

    /// The same request, but it waits for messages up to `expires`.
    pub(crate) fn waiting(self, expires: Duration) -> Self {
        Self { expires: Some(nanos(expires)), no_wait: false, ..self }
    }

    /// The same request with heartbeats of the server while it waits.
    pub(crate) fn with_heartbeat(self, interval: Duration) -> Self {
        Self { idle_heartbeat: Some(nanos(interval)), ..self }
    }

    /// Sends the request. It does not wait for a reply.
    pub(crate) async fn send(
        &self,
        connection: &Connection,
        stream: &str,
        consumer: &str,
        inbox: String,
    ) -> Result<(), Failure> {
        let body = serde_json::to_vec(self).map_err(|error| Failure::NoAnswer(error.to_string()))?;
        let request = Request::new().inbox(inbox).payload(body.into());
        let sent = connection.jetstream.send_request(api::pull_subject(stream, consumer), request).await;
        sent.map_err(|error| Failure::NoAnswer(error.to_string()))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_servers_format() {
        let json = |request: PullRequest| serde_json::to_string(&request).unwrap();
        assert_eq!(json(PullRequest::new(1)), r#"{"batch":1,"no_wait":true}"#);
        let second = Duration::from_secs(1);
        assert_eq!(
            json(PullRequest::new(7).waiting(second).with_heartbeat(second)),
            r#"{"batch":7,"expires":1000000000,"idle_heartbeat":1000000000}"#
        );
    }
}
