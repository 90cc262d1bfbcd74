//! One message of a consumer, within a time.

use super::{DeliveryInfo, Late, LateDeliveries, Nak, PullRequest, Until, status::Status};
use crate::session::Connection;
use async_nats::{Message, Subscriber};
use futures::StreamExt as _;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// How much later than requested the server may say that there is no message.
const GRACE: Duration = Duration::from_secs(5);

/// The result of one request.
pub(crate) enum Fetched {
    Message(Message, DeliveryInfo),
    /// There is no message.
    Empty,
    /// The request was lost: the caller should check the consumer and try again.
    Lost(String),
}

/// Requests one message and waits for it up to `wait`. The future may be dropped at any time: a message that arrives later
/// is given back.
///
/// # Errors
/// `Unavailable` if the connection is closed.
pub(crate) async fn fetch_one(
    connection: &Connection,
    stream: &str,
    consumer: &str,
    wait: Duration,
    late: &LateDeliveries,
) -> Result<Fetched, BackendError> {
    let failed = |error: &dyn fmt::Display| {
        let sentence = format!("cannot request a message of consumer {consumer} of stream {stream}: {error}");
        BackendError::new(BackendErrorKind::Unavailable, sentence)
    };
    let inbox = connection.client.new_inbox();
    let subscriber = connection.client.subscribe(inbox.clone()).await.map_err(|error| failed(&error))?;
    let end = Instant::now() + wait + GRACE;
    let mut pending = PendingFetch { subscriber: Some(subscriber), stream, consumer, late, end };
    let mut state = connection.state.clone();
    let connects = state.borrow_and_update().connects;
    let request = match wait.is_zero() {
        true => PullRequest::new(1),
        false => PullRequest::new(1).waiting(wait),
    };
    request.send(connection, stream, consumer, inbox).await.map_err(|error| failed(&error))?;
    let lost = |reason: &str| Ok(Fetched::Lost(reason.to_owned()));
    loop {
        tokio::select! {
            biased;
            next = timeout_at(end, pending.next()) => return match next {
                Err(_elapsed) => lost("the server did not reply"),
                Ok(None) => lost("the subscription has ended"),
                Ok(Some(message)) => {
                    let fetched = pending.received(message);
                    if let Fetched::Message(_, delivery) = &fetched {
                        connection.server_clock.delivered(delivery.published);
                    }
                    Ok(fetched)
                }
            },
            changed = state.changed() => {
                changed.map_err(|_closed| failed(&"the connection is closed"))?;
                // A request that went over another connection may be lost, without a status message.
                if state.borrow_and_update().connects != connects {
                    return lost("the connection was lost");
                }
            }
        }
    }
}

/// A request that waits at the server. If it is dropped, a message that still arrives is given back.
struct PendingFetch<'a> {
    subscriber: Option<Subscriber>,
    stream: &'a str,
    consumer: &'a str,
    late: &'a LateDeliveries,
    /// When the request has certainly ended.
    end: Instant,
}

impl PendingFetch<'_> {
    async fn next(&mut self) -> Option<Message> {
        self.subscriber.as_mut()?.next().await
    }

    fn delivery_of(&self, message: &Message) -> Option<DeliveryInfo> {
        DeliveryInfo::parse_of(message.reply.as_deref()?, self.stream, self.consumer)
    }

    fn received(&mut self, message: Message) -> Fetched {
        let fetched = match Status::of(&message) {
            None => match self.delivery_of(&message) {
                Some(delivery) => Fetched::Message(message, delivery),
                None => Fetched::Lost(format!("no consumer delivered the message on {}", message.subject)),
            },
            Some(Status::RequestEnded(_)) => Fetched::Empty,
            Some(Status::Heartbeat) => Fetched::Lost("the server sent an unexpected heartbeat".to_owned()),
            Some(Status::ConsumerGone(reason) | Status::RequestsLost(reason)) => Fetched::Lost(reason),
        };
        if !matches!(fetched, Fetched::Lost(_)) {
            // The request was for one message, so nothing follows.
            drop(self.subscriber.take());
        }
        fetched
    }
}

impl Drop for PendingFetch<'_> {
    fn drop(&mut self) {
        if let Some(subscriber) = self.subscriber.take() {
            let until = Until::RequestEnd(self.end);
            self.late.take(Late { subscriber, until, give_back: Arc::new(Nak) });
        }
    }
}
