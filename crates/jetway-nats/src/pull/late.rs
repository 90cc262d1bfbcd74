//! Messages that arrive after their receiver has stopped waiting.
//!
//! A pull request cannot be withdrawn: the server may be sending a message at this moment. If nobody receives it, it is
//! delivered again only when its lease expires. So a task takes over the subscription, and gives back every message that
//! still arrives.

use super::{DeliveryInfo, GiveBack, MessageLease, status::Status};
use crate::session::Connection;
use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
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
pub(crate) enum Until {
    /// Until the server has ended the subscription. For a pull with many requests.
    Unsubscribed,
    /// Until the first message, or until this time, when the request has certainly ended. For a request for one message:
    /// the subscription stays, so that a message which the server is about to send is not lost.
    RequestEnd(Instant),
}

/// A subscription whose receiver has stopped waiting.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) subscriber: Subscriber,
    pub(crate) until: Until,
    pub(crate) give_back: Arc<dyn GiveBack>,
}

/// What the task receives.
#[derive(Debug)]
enum Told {
    Late(Late),
    /// Answer when everything so far is given back.
    Finish(oneshot::Sender<()>),
}

/// Gives back late messages.
#[derive(Debug, Clone)]
pub(crate) struct LateDeliveries(mpsc::Sender<Told>);

impl LateDeliveries {
    /// Starts the task. It ends with the handle.
    pub(crate) fn start(connection: Arc<Connection>) -> (Self, AbortOnDropHandle<()>) {
        let (sender, told) = mpsc::channel(CAPACITY);
        let task = tokio::spawn(give_back_all(connection, told));
        (Self(sender), AbortOnDropHandle::new(task))
    }

    /// Takes over a subscription.
    pub(crate) fn take(&self, late: Late) {
        if self.0.try_send(Told::Late(late)).is_err() {
            tracing::debug!(
                "late messages are not given back: they are delivered again when their leases end"
            );
        }
    }

    /// Waits until everything that was taken over is given back.
    pub(crate) async fn finish(&self) {
        let (sender, finished) = oneshot::channel();
        if self.0.send(Told::Finish(sender)).await.is_err() || finished.await.is_err() {
            tracing::debug!("late messages may not be given back: their task has ended");
        }
    }
}

async fn give_back_all(connection: Arc<Connection>, mut told: mpsc::Receiver<Told>) {
    let mut receiving = FuturesUnordered::new();
    loop {
        tokio::select! {
            next = told.recv(), if receiving.len() < CAPACITY => match next {
                Some(Told::Late(late)) => receiving.push(give_back(&connection, late)),
                Some(Told::Finish(finished)) => {
                    while let Some(()) = receiving.next().await {}
                    if finished.send(()).is_err() {
                        tracing::debug!("nobody waits any more for late messages to be given back");
                    }
                }
                None => break,
            },
            Some(()) = receiving.next() => {}
        }
    }
    while let Some(()) = receiving.next().await {}
}

async fn give_back(connection: &Arc<Connection>, Late { mut subscriber, until, give_back }: Late) {
    match until {
        Until::Unsubscribed => {
            if timeout(ENDED_WITHIN, end_at_server(connection, &mut subscriber)).await.is_err() {
                tracing::debug!("the server did not end a subscription in time");
            }
            // Everything that the server has sent is here now.
            while let Some(Some(message)) = subscriber.next().now_or_never() {
                give_back_one(connection, &*give_back, message).await;
            }
        }
        Until::RequestEnd(end) => {
            if let Ok(Some(message)) = timeout_at(end, subscriber.next()).await {
                give_back_one(connection, &*give_back, message).await;
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

async fn give_back_one(connection: &Arc<Connection>, give_back: &dyn GiveBack, message: Message) {
    if Status::of(&message).is_some() {
        return;
    }
    // Nothing is sent to a subject that is not an acknowledgement of a consumer.
    let Some((reply, delivery)) = message.reply.clone().and_then(|reply| {
        let delivery = DeliveryInfo::parse(&reply)?;
        Some((reply, delivery))
    }) else {
        return;
    };
    // Nobody extends it.
    let lease = MessageLease::new(Arc::clone(connection), reply, Duration::ZERO);
    if let Err(error) = give_back.give_back(&message, delivery, &lease).await {
        tracing::debug!(%error, "a late message is not given back: it is delivered again when its lease ends");
    }
}
