//! Reads the headers of a stream's messages in their order, without the bodies, through an ephemeral consumer.

use super::NatsBackend;
use crate::{
    provision::ephemeral_consumer,
    pull::{DeliveryInfo, PullRequest},
    session::{api, direct},
};
use async_nats::{Message, StatusCode, jetstream::consumer::DeliverPolicy};
use futures::StreamExt as _;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use std::{fmt, ops::ControlFlow, time::Duration};
use tokio::time::timeout;

/// How many headers one request reads.
const READ_AT_ONCE: usize = 500;
/// How many messages one call reads. The next call reads the rest.
const MAX_READS: usize = 20_000;
/// How long the server may take to send the next message.
const NEXT_MESSAGE_WITHIN: Duration = Duration::from_secs(5);

/// The messages to read.
pub(super) struct HeadersQuery<'a> {
    /// What they are, for an error.
    pub(super) what: &'a str,
    pub(super) stream: &'a str,
    pub(super) subjects: String,
}

/// Takes the headers of one message, and decides whether to read on.
type Visit<'a> = dyn FnMut(DeliveryInfo, &Message) -> ControlFlow<()> + Send + 'a;

impl NatsBackend {
    /// Reads headers from `from` on until `visit` breaks or no message is left, 20,000 at most.
    pub(super) async fn read_headers(
        &self,
        query: HeadersQuery<'_>,
        from: DeliverPolicy,
        visit: &mut Visit<'_>,
    ) -> Result<(), BackendError> {
        let HeadersQuery { what, stream, subjects } = query;
        let name = format!("sweep_{:016x}", rand::random::<u64>());
        let consumer = ephemeral_consumer(name.clone(), subjects, from);
        let created = api::create_consumer(&self.connection, stream, &consumer).await;
        created.map_err(|failure| failure.cannot(format!("scan {what}")))?;
        let read = self.pull_headers(what, stream, &name, visit).await;
        // The server would remove it a little later.
        if let Err(failure) = api::delete_consumer(&self.connection, stream, &name).await {
            tracing::debug!(error = %failure, "cannot remove the consumer of a scan; it expires");
        }
        read
    }

    async fn pull_headers(
        &self,
        what: &str,
        stream: &str,
        consumer: &str,
        visit: &mut Visit<'_>,
    ) -> Result<(), BackendError> {
        let failed = |error: &dyn fmt::Display| {
            BackendError::new(BackendErrorKind::Unavailable, format!("cannot scan {what}: {error}"))
        };
        let client = &self.connection.client;
        let inbox = client.new_inbox();
        let mut messages = client.subscribe(inbox.clone()).await.map_err(|error| failed(&error))?;
        let mut reads = 0;
        while reads < MAX_READS {
            let request = PullRequest::new(READ_AT_ONCE);
            let sent = request.send(&self.connection, stream, consumer, inbox.clone()).await;
            sent.map_err(|failure| failed(&failure))?;
            for _ in 0..READ_AT_ONCE {
                let next = timeout(NEXT_MESSAGE_WITHIN, messages.next()).await.ok().flatten();
                let message = next.ok_or_else(|| failed(&"the server did not reply in time"))?;
                match message.status {
                    None => {
                        reads += 1;
                        let delivery = message.reply.as_ref().and_then(|reply| DeliveryInfo::parse(reply));
                        if let Some(delivery) = delivery
                            && visit(delivery, &message).is_break()
                        {
                            return Ok(());
                        }
                    }
                    Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => return Ok(()),
                    Some(_) => return Err(failed(&direct::status_text(&message))),
                }
            }
        }
        Ok(())
    }
}
