//! Messages that arrive after their receiver has stopped waiting.
//!
//! A pull request cannot be withdrawn: the server may be sending a message at this moment. If nobody receives it, it is
//! delivered again only when its lease expires. So a task takes over the subscription, and gives back every message that
//! still arrives.

use super::{DeliveryInfo, status::Status};
use crate::session::Connection;
use async_nats::{Message, Subscriber, jetstream::AckKind};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

/// How many subscriptions the task holds, and how many may wait for it. Messages for one more are delivered again when
/// their leases expire.
const CAPACITY: usize = 1024;
/// How long the server may take to end a subscription. After this time late messages come back when their leases expire.
const ENDED_WITHIN: Duration = Duration::from_secs(30);
/// "Unsubscribe after this many messages": more than a server reads as a number, so it ends the subscription at once (tried
/// on 2.14; `parseSize` of server/util.go gives -1). The client keeps its side, because so many messages never arrive.
///
/// `Subscriber::drain` is not enough: async-nats 0.51 drops its side as soon as it sends anything else on the connection,
/// and with it what the server was sending.
const UNSUBSCRIBE_AT_SERVER: u64 = u64::MAX;

/// Until when messages are given back.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NakUntil {
    /// Until the server has ended the subscription. For a pull with many requests.
    Unsubscribed,
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
        NakUntil::Unsubscribed => {
            if timeout(ENDED_WITHIN, end_at_server(connection, &mut subscriber)).await.is_err() {
                tracing::debug!("the server did not end a subscription in time");
            }
            // Everything that the server has sent is here now.
            while let Some(Some(message)) = subscriber.next().now_or_never() {
                if !nak(connection, message).await {
                    return;
                }
            }
        }
        NakUntil::RequestEnd(end) => {
            if let Ok(Some(message)) = timeout_at(end, subscriber.next()).await {
                nak(connection, message).await;
            }
        }
    }
}

/// Returns when the server has ended the subscription and everything that it sent before has arrived.
async fn end_at_server(connection: &Connection, subscriber: &mut Subscriber) {
    if subscriber.unsubscribe_after(UNSUBSCRIBE_AT_SERVER).await.is_err() {
        return;
    }
    // Nobody listens there. The server processes what one connection sends in order, so its answer ("no responders") comes
    // after the last message of the subscription.
    if let Ok(answer) = connection.client.request(connection.client.new_inbox(), Bytes::new()).await {
        tracing::debug!(subject = %answer.subject, "somebody answered where nobody listens");
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
