//! Requests for a work item whose caller has left.
//!
//! A request cannot be taken back: the server may be sending an item at this moment, and one that it sends to nobody is
//! back only after its lease. So somebody goes on listening until the request has ended, and gives back what comes.

use crate::link::Link;
use async_nats::{Subscriber, jetstream::AckKind};
use futures::{StreamExt as _, stream::FuturesUnordered};
use std::sync::Arc;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

/// How many callers may leave at once. What comes for one more is delivered again after its lease.
const WAITING: usize = 1024;

/// A request that nobody waits for any more.
struct Left {
    subscriber: Subscriber,
    /// When it has surely ended.
    end: Instant,
}

/// Takes the requests of callers that have left.
#[derive(Debug, Clone)]
pub(super) struct Leftovers(mpsc::Sender<Left>);

impl Leftovers {
    /// Starts the task; it ends with the handle.
    pub(super) fn start(link: Arc<Link>) -> (Self, AbortOnDropHandle<()>) {
        let (sender, mut left) = mpsc::channel::<Left>(WAITING);
        let task = tokio::spawn(async move {
            let mut listening = FuturesUnordered::new();
            loop {
                tokio::select! {
                    more = left.recv(), if listening.len() < WAITING => match more {
                        Some(more) => listening.push(give_back(&link, more)),
                        None => break,
                    },
                    Some(()) = listening.next() => {}
                }
            }
            while let Some(()) = listening.next().await {}
        });
        (Self(sender), AbortOnDropHandle::new(task))
    }

    /// Listens on until the request has ended.
    pub(super) fn take(&self, subscriber: Subscriber, end: Instant) {
        if self.0.try_send(Left { subscriber, end }).is_err() {
            tracing::debug!("more callers leave at once than can be listened for");
        }
    }
}

async fn give_back(link: &Link, left: Left) {
    let Left { mut subscriber, end } = left;
    let Ok(Some(message)) = timeout_at(end, subscriber.next()).await else {
        return;
    };
    let Some(reply) = message.reply.filter(|_| message.status.is_none()) else {
        return;
    };
    if let Err(error) = link.client.publish(reply, AckKind::Nak(None).into()).await {
        tracing::debug!(%error, "an item that came too late is left to come back after its lease");
    }
}
