//! The lease of a message: acknowledge it, give it back, or extend it.

use crate::session::{Backoff, Connection};
use async_nats::{Subject, jetstream::AckKind};
use async_trait::async_trait;
use bytes::Bytes;
use jetway_engine::backend::{BackendError, BackendErrorKind, Lease};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long the server may take to confirm an answer before it is sent again.
const CONFIRM_WITHIN: Duration = Duration::from_secs(2);

/// The lease of a message of a durable consumer.
#[derive(Clone)]
pub(crate) struct MessageLease {
    connection: Arc<Connection>,
    reply: Subject,
    duration: Duration,
}

impl MessageLease {
    /// `reply` is the reply subject of the message, `duration` how long the lease lasts without an extension.
    pub(crate) fn new(connection: Arc<Connection>, reply: Subject, duration: Duration) -> Self {
        Self { connection, reply, duration }
    }

    /// Sends an answer for the message. It does not wait for the server.
    pub(crate) async fn send(&self, answer: AckKind) -> Result<(), BackendError> {
        let sent = self.connection.client.publish(self.reply.clone(), answer.into()).await;
        sent.map_err(|error| {
            let sentence = "cannot acknowledge a message: the connection is closed";
            BackendError::new(BackendErrorKind::Unavailable, sentence).caused_by(error)
        })
    }

    /// Sends an answer for the message again and again until the server has confirmed it, for at most `within`.
    pub(crate) async fn send_confirmed(&self, answer: AckKind, within: Duration) -> Result<(), BackendError> {
        let answer: Bytes = answer.into();
        let mut backoff = Backoff::within(within);
        loop {
            let request = self.connection.client.request(self.reply.clone(), answer.clone());
            let reason = match timeout(CONFIRM_WITHIN, request).await {
                Ok(Ok(_confirmed)) => return Ok(()),
                Ok(Err(error)) => error.to_string(),
                Err(_elapsed) => "no reply".to_owned(),
            };
            if !backoff.wait().await {
                let sentence =
                    format!("the server did not confirm the acknowledgement of a message: {reason}");
                return Err(BackendError::new(BackendErrorKind::Unavailable, sentence));
            }
        }
    }
}

impl fmt::Debug for MessageLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageLease")
            .field("reply", &self.reply)
            .field("duration", &self.duration)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Lease for MessageLease {
    async fn extend(&self) -> Result<(), BackendError> {
        self.send(AckKind::Progress).await
    }

    async fn ack(&self) -> Result<(), BackendError> {
        jetway_state::hop!("MessageLease::ack");
        self.send(AckKind::Ack).await
    }

    async fn nak(&self) -> Result<(), BackendError> {
        self.send(AckKind::Nak(None)).await
    }

    async fn nak_later(&self, delay: Duration) -> Result<(), BackendError> {
        self.send(AckKind::Nak(Some(delay))).await
    }

    fn duration(&self) -> Duration {
        self.duration
    }
}
