//! Messages that arrive after their receiver has stopped waiting.
//!
//! A pull request cannot be withdrawn: the server may be sending a message at this moment. If nobody receives it, it is
//! delivered again only when its lease expires. So a task takes over the subscription, and gives back every message that
//! still arrives.

use super::{DeliveryInfo, status::Status};
use crate::session::Connection;
use async_nats::{Message, Subscriber, jetstream::AckKind};
use futures::{StreamExt as _, stream::FuturesUnordered};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

/// How many subscriptions the task holds, and how many may wait for it. Messages for one more are delivered again when
/// their leases expire.
const CAPACITY: usize = 1024;
/// How long the server may take to process the end of a subscription.
const DRAINED_WITHIN: Duration = Duration::from_secs(2);

/// Until when messages are given back.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NakUntil {
    /// Until the server has ended the subscription. For a pull with many requests.
    Drained,
    /// Until the first message, or until this time, when the request has certainly ended. For a request for one message:
    /// the subscription stays, so that a message which the server is about to send is not lost.
    RequestEnd(Instant),
}

/// Gives back late messages.
#[derive(Debug, Clone)]
pub(crate) struct LateDeliveries(mpsc::Sender<(Subscriber, NakUntil)>);

impl LateDeliveries {
    /// Starts the task. It ends with the handle.
    pub(crate) fn start(connection: Arc<Connection>) -> (Self, AbortOnDropHandle<()>) {
        let (sender, mut subscriptions) = mpsc::channel::<(Subscriber, NakUntil)>(CAPACITY);
        let task = tokio::spawn(async move {
            let mut receiving = FuturesUnordered::new();
            loop {
                tokio::select! {
                    next = subscriptions.recv(), if receiving.len() < CAPACITY => match next {
                        Some((subscriber, until)) => {
                            receiving.push(give_back(&connection, subscriber, until));
                        }
                        None => break,
                    },
                    Some(()) = receiving.next() => {}
                }
            }
            while let Some(()) = receiving.next().await {}
        });
        (Self(sender), AbortOnDropHandle::new(task))
    }

    /// Takes over a subscription.
    pub(crate) fn nak(&self, subscriber: Subscriber, until: NakUntil) {
        if self.0.try_send((subscriber, until)).is_err() {
            tracing::debug!("too many pulls end at once; their messages come back when their leases expire");
        }
    }
}

async fn give_back(connection: &Connection, mut subscriber: Subscriber, until: NakUntil) {
    match until {
        NakUntil::Drained => {
            let drained = async {
                if subscriber.drain().await.is_err() {
                    return;
                }
                while let Some(message) = subscriber.next().await {
                    if !nak(connection, message).await {
                        return;
                    }
                }
            };
            if timeout(DRAINED_WITHIN, drained).await.is_err() {
                tracing::debug!(
                    "a subscription was not ended in time; late messages come back after their leases"
                );
            }
        }
        NakUntil::RequestEnd(end) => {
            if let Ok(Some(message)) = timeout_at(end, subscriber.next()).await {
                nak(connection, message).await;
            }
        }
    }
}

/// Gives a message back. Returns false if the connection is closed.
async fn nak(connection: &Connection, message: Message) -> bool {
    if Status::of(&message).is_some() {
        return true;
    }
    // Nothing is sent to a subject that is not an acknowledgement of a consumer.
    let Some(reply) = message.reply.filter(|reply| DeliveryInfo::parse(reply).is_some()) else { return true };
    connection.client.publish(reply, AckKind::Nak(None).into()).await.is_ok()
}
