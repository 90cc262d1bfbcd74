//! The right to a message: acknowledgements, sent without waiting for the server.

use crate::link::Link;
use async_nats::{Subject, jetstream::AckKind};
use async_trait::async_trait;
use jetway_engine::backend::{BackendError, BackendErrorKind, Lease};
use std::{fmt, sync::Arc, time::Duration};

/// The right to a message of a durable consumer.
pub(crate) struct AckLease {
    link: Arc<Link>,
    reply: Subject,
    lasts: Duration,
}

impl AckLease {
    pub(crate) fn new(link: Arc<Link>, reply: Subject, lasts: Duration) -> Self {
        Self { link, reply, lasts }
    }

    async fn say(&self, kind: AckKind) -> Result<(), BackendError> {
        self.link.client.publish(self.reply.clone(), kind.into()).await.map_err(|error| {
            BackendError::new(
                BackendErrorKind::Unavailable,
                "a lease cannot be answered: the connection is closed",
            )
            .caused_by(error)
        })
    }
}

impl fmt::Debug for AckLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckLease")
            .field("reply", &self.reply)
            .field("lasts", &self.lasts)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Lease for AckLease {
    async fn extend(&self) -> Result<(), BackendError> {
        self.say(AckKind::Progress).await
    }

    async fn ack(&self) -> Result<(), BackendError> {
        self.say(AckKind::Ack).await
    }

    async fn nak(&self) -> Result<(), BackendError> {
        self.say(AckKind::Nak(None)).await
    }

    fn duration(&self) -> Duration {
        self.lasts
    }
}
