//! Reads the headers of a stream's messages in their order, without the bodies, through an ephemeral consumer.

use super::NatsBackend;
use crate::{
    provision::ephemeral_consumer,
    pull::{DeliveryInfo, PullRequest},
    session::{Connection, Failure, api, direct},
};
use async_nats::{HeaderMap, StatusCode, jetstream::consumer::DeliverPolicy};
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

/// Takes the subject and the headers of one message, and decides whether to read on.
type Visit<'a> = dyn FnMut(DeliveryInfo, &str, Option<&HeaderMap>) -> ControlFlow<()> + Send + 'a;

/// How one consumer was read.
enum Read {
    /// `visit` broke, no message is left, or enough were read.
    Ended,
    /// A message ended the connection. All up to this sequence were read.
    Lost(u64),
}

impl NatsBackend {
    /// Reads headers from `from` on until `visit` breaks or no message is left, 20,000 at most. A message whose headers cannot be
    /// parsed has none.
    pub(super) async fn read_headers(
        &self,
        query: HeadersQuery<'_>,
        mut from: DeliverPolicy,
        visit: &mut Visit<'_>,
    ) -> Result<(), BackendError> {
        let mut left = MAX_READS;
        while let Read::Lost(last) = self.read_consumer(&query, from, &mut left, visit).await? {
            let HeadersQuery { what, stream, subjects } = &query;
            let found = self.reads.first_from(stream, subjects, last + 1).await;
            let found = found.map_err(|failure| failure.cannot(format!("scan {what}")))?;
            let Some(message) = found else { return Ok(()) };
            let published = u64::try_from(message.time.unix_timestamp_nanos()).unwrap_or(0);
            let delivery = DeliveryInfo { delivered: 1, sequence: message.sequence, published };
            left = left.saturating_sub(1);
            if visit(delivery, &message.subject, Some(&message.headers)).is_break() || left == 0 {
                return Ok(());
            }
            from = DeliverPolicy::ByStartSequence { start_sequence: message.sequence + 1 };
        }
        Ok(())
    }

    async fn read_consumer(
        &self,
        query: &HeadersQuery<'_>,
        from: DeliverPolicy,
        left: &mut usize,
        visit: &mut Visit<'_>,
    ) -> Result<Read, BackendError> {
        let HeadersQuery { what, stream, subjects } = query;
        let failed = |failure: Failure| failure.cannot(format!("scan {what}"));
        let name = format!("sweep_{:016x}", rand::random::<u64>());
        let consumer = ephemeral_consumer(name.clone(), subjects.clone(), from);
        let created = api::create_consumer(&self.connection, stream, &consumer).await.map_err(failed)?;
        // It delivers from the message after this one on.
        let mut last = created.delivered.stream_seq;
        let connection = self.reads.get().await.map_err(failed)?;
        let read = pull_headers(&connection, query, &name, left, &mut last, visit).await;
        // The server would remove it a little later.
        if let Err(failure) = api::delete_consumer(&self.connection, stream, &name).await {
            tracing::debug!(error = %failure, "cannot remove the consumer of a scan; it expires");
        }
        match read {
            Err(_) if self.reads.has_ended(&connection).await => Ok(Read::Lost(last)),
            read => read.map(|()| Read::Ended),
        }
    }
}

async fn pull_headers(
    connection: &Connection,
    query: &HeadersQuery<'_>,
    consumer: &str,
    left: &mut usize,
    last: &mut u64,
    visit: &mut Visit<'_>,
) -> Result<(), BackendError> {
    let HeadersQuery { what, stream, .. } = query;
    let failed = |error: &dyn fmt::Display| {
        BackendError::new(BackendErrorKind::Unavailable, format!("cannot scan {what}: {error}"))
    };
    let inbox = connection.client.new_inbox();
    let mut messages = connection.client.subscribe(inbox.clone()).await.map_err(|error| failed(&error))?;
    while *left > 0 {
        let request = PullRequest::new(READ_AT_ONCE);
        let sent = request.send(connection, stream, consumer, inbox.clone()).await;
        sent.map_err(|failure| failed(&failure))?;
        for _ in 0..READ_AT_ONCE {
            let next = timeout(NEXT_MESSAGE_WITHIN, messages.next()).await.ok().flatten();
            let message = next.ok_or_else(|| failed(&"the server did not reply in time"))?;
            match message.status {
                None => {
                    *left = left.saturating_sub(1);
                    let Some(delivery) = message.reply.as_ref().and_then(|reply| DeliveryInfo::parse(reply))
                    else {
                        continue;
                    };
                    *last = delivery.sequence;
                    if visit(delivery, &message.subject, message.headers.as_ref()).is_break() {
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
