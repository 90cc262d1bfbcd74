//! Giving back what was on its way when a pull ended.

use crate::link::Link;
use async_nats::{Subscriber, jetstream::AckKind};
use futures::StreamExt as _;
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::task::AbortOnDropHandle;

/// How many ended pulls may wait. What one more had on its way is delivered again after its lease.
const WAITING: usize = 64;
/// How long the server may take to say that nothing more is on its way.
const DRAINED_WITHIN: Duration = Duration::from_secs(2);

/// Takes the subscriptions of pulls that have ended.
#[derive(Debug, Clone)]
pub(crate) struct Janitor(mpsc::Sender<Subscriber>);

impl Janitor {
    /// Starts the task; it ends with the handle.
    pub(crate) fn start(link: Arc<Link>) -> (Self, AbortOnDropHandle<()>) {
        let (sender, mut ended) = mpsc::channel::<Subscriber>(WAITING);
        let task = tokio::spawn(async move {
            while let Some(subscriber) = ended.recv().await {
                if timeout(DRAINED_WITHIN, give_back(&link, subscriber)).await.is_err() {
                    tracing::debug!(
                        "what an ended pull had on its way is left to be delivered after its lease"
                    );
                }
            }
        });
        (Self(sender), AbortOnDropHandle::new(task))
    }

    /// Ends a subscription in an orderly way.
    pub(super) fn take(&self, subscriber: Subscriber) {
        if self.0.try_send(subscriber).is_err() {
            tracing::debug!("more pulls end than can be put in order");
        }
    }
}

async fn give_back(link: &Link, mut subscriber: Subscriber) {
    if subscriber.drain().await.is_err() {
        return;
    }
    while let Some(message) = subscriber.next().await {
        let Some(reply) = message.reply.filter(|_| message.status.is_none()) else {
            continue;
        };
        if link.client.publish(reply, AckKind::Nak(None).into()).await.is_err() {
            return;
        }
    }
}
