//! What an ended pull and a lost connection leave behind: messages that were on their way are given back, those that
//! nobody can read are taken away.

use super::{Source, status::Status, unreadable};
use crate::{dead_letters::DeadLetters, link::Link};
use async_nats::{Subscriber, jetstream::AckKind};
use futures::StreamExt as _;
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::task::AbortOnDropHandle;

/// How many ended pulls may wait. What one more had on its way is delivered again after its lease.
const WAITING: usize = 64;
/// How long the server may take to say that nothing more is on its way.
const DRAINED_WITHIN: Duration = Duration::from_secs(2);

/// Takes what pulls leave behind.
#[derive(Debug, Clone)]
pub(crate) struct Janitor {
    left: mpsc::Sender<Left>,
    dead: DeadLetters,
}

/// What a pull leaves behind.
enum Left {
    /// Its subscription.
    Subscription(Subscriber),
    /// The connection, perhaps over a message that cannot be read.
    Connection(Source),
}

impl Janitor {
    /// Starts the task; it ends with the handle.
    pub(crate) fn start(link: Arc<Link>, dead: DeadLetters) -> (Self, AbortOnDropHandle<()>) {
        let (sender, mut left) = mpsc::channel(WAITING);
        let janitor = Self { left: sender, dead: dead.clone() };
        let task = tokio::spawn(async move {
            while let Some(left) = left.recv().await {
                match left {
                    Left::Subscription(subscriber) => {
                        if timeout(DRAINED_WITHIN, give_back(&link, subscriber)).await.is_err() {
                            tracing::debug!(
                                "what an ended pull had on its way is left to be delivered after its lease"
                            );
                        }
                    }
                    Left::Connection(source) => bury(&link, &source, &dead).await,
                }
            }
        });
        (janitor, AbortOnDropHandle::new(task))
    }

    /// Ends a subscription in an orderly way.
    pub(super) fn take(&self, subscriber: Subscriber) {
        if self.left.try_send(Left::Subscription(subscriber)).is_err() {
            tracing::debug!("more pulls end than can be put in order");
        }
    }

    /// Looks before the first message is asked for: a message may have cost the connection of the host before.
    pub(super) async fn look_now(&self, link: &Link, source: &Source) {
        bury(link, source, &self.dead).await;
    }

    /// The connection was lost and is back: looks whether a message of this consumer was the reason.
    pub(super) fn look(&self, source: &Source) {
        if self.left.try_send(Left::Connection(source.clone())).is_err() {
            tracing::debug!("more connections are lost than can be looked into");
        }
    }
}

/// Takes away what cannot be read.
async fn bury(link: &Link, source: &Source, dead: &DeadLetters) {
    match unreadable::bury(link, source, dead).await {
        Ok(0) => {}
        Ok(buried) => {
            let stream = &source.stream;
            tracing::warn!(buried, stream, "messages with unreadable headers are among the dead letters now");
        }
        // It comes again, and takes the connection with it again, which brings the next try.
        Err(error) => tracing::warn!(%error, "messages that cost the connection may be left"),
    }
}

async fn give_back(link: &Link, mut subscriber: Subscriber) {
    if subscriber.drain().await.is_err() {
        return;
    }
    while let Some(message) = subscriber.next().await {
        if Status::of(&message).is_some() {
            continue;
        }
        let Some(reply) = message.reply else { continue };
        if link.client.publish(reply, AckKind::Nak(None).into()).await.is_err() {
            return;
        }
    }
}
