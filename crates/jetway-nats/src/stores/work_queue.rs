//! The queue of work items.

use super::{
    NatsStores, Shared,
    bucket::values::{corrupt, opened},
    items::Taken,
    sorted,
};
use crate::dead_letters::letter_of;
use async_nats::{Subject, jetstream::AckKind};
use async_trait::async_trait;
use jetway_core::{
    Context, WorkItem,
    distributed::{Leased, WorkQueue, WorkQueueError},
};
use jetway_engine::backend::{BackendError, DeadLetter};
use jetway_state::codec::{self, EnvelopeError};
use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

/// The reason of a dead letter that holds a work item's bytes.
const UNDECODABLE: &str = "undecodable-item";
const WHAT: &str = "a work item";
/// Stands for a delay that the server cannot carry.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// The work items of an application, on JetStream. Clones share the queue.
///
/// * An item is in the queue once for its run and id for as long as it lives: until it is settled, also while it is
///   leased. Adding it again changes nothing.
/// * [`lease`](WorkQueue::lease) waits for an item for as long as [`NatsStores::waiting_for`] says. Its future may be
///   dropped at any time.
/// * A lease lasts as long as its step, this process and its stores: a task gives signs of life for it, up to
///   [`NatsStores::leases_last`]. Without them the item is handed out again after [`NatsConfig::ack_wait`]. Where the
///   future of a step is dropped the task gives the item back.
/// * [`nak_after`](WorkQueue::nak_after) leaves the item on the server, which holds it back. Items that are
///   held back or leased take up [`NatsConfig::max_ack_pending`] together: above that no other item is handed out. A
///   server that crashes may hand out such an item sooner, or once more.
/// * An item that no build can decode goes to the stream of dead letters. One that a newer build wrote is left to it.
/// * An item larger than the server takes is refused with an error that names the limit.
///
/// Run ids and item ids are `[A-Za-z0-9_-]{1,64}`; others are refused.
///
/// [`NatsConfig::ack_wait`]: crate::NatsConfig::ack_wait
/// [`NatsConfig::max_ack_pending`]: crate::NatsConfig::max_ack_pending
pub struct NatsWorkQueue<WI> {
    shared: Arc<Shared>,
    wait: Duration,
    longest: Duration,
    item: PhantomData<fn() -> WI>,
}

impl<WI> NatsWorkQueue<WI> {
    /// The queue of these stores' application.
    pub fn new(stores: &NatsStores) -> Self {
        Self { shared: stores.shared(), wait: stores.wait, longest: stores.longest, item: PhantomData }
    }
}

impl<WI> Clone for NatsWorkQueue<WI> {
    fn clone(&self) -> Self {
        let Self { wait, longest, .. } = *self;
        Self { shared: Arc::clone(&self.shared), wait, longest, item: PhantomData }
    }
}

impl<WI> fmt::Debug for NatsWorkQueue<WI> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.named(f, "NatsWorkQueue")
    }
}

impl<WI: WorkItem> NatsWorkQueue<WI> {
    async fn take(&self) -> Result<Option<Leased<WI>>, BackendError> {
        let items = &self.shared.items;
        while let Some(taken) = items.take(self.wait).await? {
            let reply = taken.message.reply.clone().unwrap_or_else(|| Subject::from_static(""));
            match self.read(&taken)? {
                Ok((run_id, item)) => {
                    let lease = items.leases.begin(reply, taken.origin.sequence, self.longest);
                    return Ok(Some(Leased { run_id, item, lease }));
                }
                Err(letter) => {
                    items.dead.keep(*letter).await?;
                    items.leases.say(&reply, AckKind::Ack).await?;
                }
            }
        }
        Ok(None)
    }

    /// The run and the item of a message; a dead letter where no build can read it.
    fn read(&self, taken: &Taken) -> Result<Result<(String, WI), Box<DeadLetter>>, BackendError> {
        let message = &taken.message;
        let names = self.shared.items.names();
        let never = |reason: String| {
            let id = format!("item-{}-{}", taken.origin.sequence, taken.origin.published);
            let letter = letter_of(message, names.application(), id);
            Ok(Err(Box::new(DeadLetter { why: UNDECODABLE.to_owned(), reason, ..letter })))
        };
        let (run_id, item_id) = names.run_and_item(&message.subject).unwrap_or_default();
        match codec::open::<WI>(&message.payload, WHAT) {
            // Whoever forges an item may only do so for the one that he may publish.
            Ok((item, _)) if item.instance_id() == item_id => Ok(Ok((run_id.to_owned(), item))),
            Ok((item, _)) => never(format!("the work item calls itself {:?}", item.instance_id())),
            // A newer host may be on its way: the item comes back after its lease.
            Err(error @ EnvelopeError::Newer { .. }) => {
                Err(corrupt(format!("work item {item_id} of run {run_id} is left for a newer host"), error))
            }
            Err(error) => never(error.to_string()),
        }
    }

    async fn end(&self, leased: &Leased<WI>, answer: AckKind) -> Result<(), WorkQueueError> {
        self.shared.items.leases.end(leased.lease, answer).await.map_err(|error| failed(&error))
    }
}

#[async_trait]
impl<C: Context, WI: WorkItem + 'static> WorkQueue<C, WI> for NatsWorkQueue<WI> {
    async fn enqueue(&self, workflow_id: &str, work: WI) -> Result<(), WorkQueueError> {
        self.shared.items.add(workflow_id, &work.instance_id(), &work).await.map_err(|error| failed(&error))
    }

    /// An item whose answer to the server is lost on the way is handed out again.
    async fn dequeue(&self) -> Result<Option<(String, WI)>, WorkQueueError> {
        let Some(leased) = self.take().await.map_err(|error| failed(&error))? else {
            return Ok(None);
        };
        self.end(&leased, AckKind::Ack).await?;
        Ok(Some((leased.run_id, leased.item)))
    }

    async fn purge_run(&self, run_id: &str) -> Result<(), WorkQueueError> {
        self.shared.items.purge(run_id).await.map(drop).map_err(|error| failed(&error))
    }

    async fn pending_work(&self, run_id: &str) -> Result<Vec<WI>, WorkQueueError> {
        let found = self.shared.items.of_run(run_id).await.map_err(|error| failed(&error))?;
        found.iter().map(|message| opened(&message.payload, WHAT).map_err(|error| failed(&error))).collect()
    }

    async fn lease(&self) -> Result<Option<Leased<WI>>, WorkQueueError> {
        self.take().await.map_err(|error| failed(&error))
    }

    async fn ack(&self, leased: &Leased<WI>) -> Result<(), WorkQueueError> {
        self.end(leased, AckKind::Ack).await
    }

    async fn nak(&self, leased: &Leased<WI>) -> Result<(), WorkQueueError> {
        self.end(leased, AckKind::Nak(None)).await
    }

    fn abandon(&self, leased: &Leased<WI>) {
        self.shared.items.leases.abandon(leased.lease);
    }

    async fn nak_after(&self, leased: &Leased<WI>, delay: Duration) -> Result<(), WorkQueueError> {
        self.end(leased, AckKind::Nak(Some(delay.min(FAR)))).await
    }
}

fn failed(error: &BackendError) -> WorkQueueError {
    sorted(error, WorkQueueError::Io, WorkQueueError::Other)
}
