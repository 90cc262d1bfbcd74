//! The queue of work items.

use super::{
    NatsStores, Shared,
    bucket::values::{corrupt, decode},
    item_queue::ReceivedItem,
    store_error,
};
use crate::dead_letters::dead_letter_of;
use async_nats::jetstream::{AckKind, message::StreamMessage};
use async_trait::async_trait;
use bytes::Bytes;
use jetway_core::{
    Context, WorkItem,
    distributed::{Leased, WorkQueue, WorkQueueError},
};
use jetway_engine::backend::{BackendError, DeadLetter};
use jetway_state::{
    codec::{self, EnvelopeError},
    value,
};
use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

/// The reason of a dead letter that holds a work item's bytes.
const UNDECODABLE: &str = "undecodable-item";
const WHAT: &str = "a work item";
/// The longest delay of an item that is given back.
const MAX_DELAY: Duration = Duration::from_secs(365 * 24 * 3600);

/// The work items of an application, on JetStream. Clones share the queue.
///
/// * An item is in the queue once per run and item id, until it is settled, also while it is leased. Adding it again
///   changes nothing.
/// * [`lease`](WorkQueue::lease) waits for an item, see [`NatsStores::waiting_for`]. Its future may be dropped at any time.
/// * A lease lasts while its step, this process and its stores exist: a task extends it, see
///   [`NatsStores::with_max_lease`]. Without extensions the item is delivered again after [`NatsConfig::ack_wait`]. If the
///   future of a step is dropped, the task gives the item back.
/// * [`nak_after`](WorkQueue::nak_after) leaves the item on the server, which delivers it later. Delayed and
///   leased items together count against [`NatsConfig::max_ack_pending`]: above that, no other item is delivered. After a
///   crash, the server may deliver such an item earlier, or once more.
/// * An item that no version can decode becomes a dead letter. An item that a newer version wrote is left for it.
/// * An item that is larger than the server accepts is refused with an error that names the limit.
///
/// Run ids and item ids are `[A-Za-z0-9_-]{1,64}`; others are refused.
///
/// [`NatsConfig::ack_wait`]: crate::NatsConfig::ack_wait
/// [`NatsConfig::max_ack_pending`]: crate::NatsConfig::max_ack_pending
pub struct NatsWorkQueue<WI> {
    shared: Arc<Shared>,
    wait: Duration,
    max_lease: Duration,
    item: PhantomData<fn() -> WI>,
}

impl<WI> NatsWorkQueue<WI> {
    /// The queue of the application.
    pub fn new(stores: &NatsStores) -> Self {
        let NatsStores { wait, max_lease, .. } = *stores;
        Self { shared: stores.shared(), wait, max_lease, item: PhantomData }
    }
}

impl<WI> Clone for NatsWorkQueue<WI> {
    fn clone(&self) -> Self {
        let Self { wait, max_lease, .. } = *self;
        Self { shared: Arc::clone(&self.shared), wait, max_lease, item: PhantomData }
    }
}

impl<WI> fmt::Debug for NatsWorkQueue<WI> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.debug_struct(f, "NatsWorkQueue")
    }
}

impl<WI: WorkItem> NatsWorkQueue<WI> {
    async fn receive(&self) -> Result<Option<Leased<WI>>, BackendError> {
        let items = &self.shared.items;
        while let Some(received) = items.receive(self.wait).await? {
            match self.decode(&received)? {
                Ok((run_id, item)) => {
                    let ReceivedItem { delivery, lease, .. } = received;
                    let lease = items.leases.hold(lease, delivery.sequence, self.max_lease);
                    return Ok(Some(Leased { run_id, item, lease }));
                }
                Err(letter) => {
                    items.dead_letters.store(*letter).await?;
                    items.leases.answer(&received.lease, AckKind::Ack).await?;
                }
            }
        }
        Ok(None)
    }

    /// The run id and the item of a message, or a dead letter if no version can decode it.
    fn decode(&self, received: &ReceivedItem) -> Result<Result<(String, WI), Box<DeadLetter>>, BackendError> {
        let ReceivedItem { message, delivery, .. } = received;
        let names = &self.shared.items.names;
        let undecodable = |reason: String| {
            let id = format!("item-{}-{}", delivery.sequence, delivery.published);
            let letter = dead_letter_of(message, names.application(), id);
            Ok(Err(Box::new(DeadLetter { why: UNDECODABLE.to_owned(), reason, ..letter })))
        };
        let (run_id, item_id) = names.run_and_item(&message.subject).unwrap_or_default();
        let opened = codec::open::<Bytes>(&message.payload, WHAT);
        let opened = opened.and_then(|(bytes, _)| {
            value::read::<WI>(&bytes, &WHAT)
                .map_err(|error| EnvelopeError::Corrupt { what: WHAT, reason: error.to_string() })
        });
        match opened {
            // Permissions are for subjects. So a client can only forge items that it may publish.
            Ok(item) if item.instance_id() == item_id => Ok(Ok((run_id.to_owned(), item))),
            Ok(item) => undecodable(format!(
                "the work item has the id {:?}, which is not the id in its subject",
                item.instance_id()
            )),
            // A newer worker may be starting. The item is delivered again when its lease expires.
            Err(error @ EnvelopeError::Newer { .. }) => Err(corrupt(
                format!(
                    "cannot decode work item {item_id} of run {run_id}, which a newer version of Jetway wrote"
                ),
                error,
            )),
            Err(error) => undecodable(error.to_string()),
        }
    }

    async fn end(&self, leased: &Leased<WI>, answer: AckKind) -> Result<(), WorkQueueError> {
        self.shared.items.leases.end(leased.lease, answer).await.map_err(|error| failed(&error))
    }
}

#[async_trait]
impl<C: Context, WI: WorkItem + 'static> WorkQueue<C, WI> for NatsWorkQueue<WI> {
    async fn enqueue(&self, workflow_id: &str, work: WI) -> Result<(), WorkQueueError> {
        let bytes = value::write(&work, &WHAT).map_err(|error| WorkQueueError::Other(error.to_string()))?;
        self.shared.items.add(workflow_id, &work.instance_id(), &bytes).await.map_err(|error| failed(&error))
    }

    /// If the acknowledgement is lost, the item is delivered again.
    async fn dequeue(&self) -> Result<Option<(String, WI)>, WorkQueueError> {
        let Some(leased) = self.receive().await.map_err(|error| failed(&error))? else {
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
        let item = |message: &StreamMessage| {
            let bytes: Bytes = decode(&message.payload, WHAT).map_err(|error| failed(&error))?;
            value::read(&bytes, &WHAT).map_err(|error| WorkQueueError::Other(error.to_string()))
        };
        found.iter().map(item).collect()
    }

    async fn lease(&self) -> Result<Option<Leased<WI>>, WorkQueueError> {
        self.receive().await.map_err(|error| failed(&error))
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
        self.end(leased, AckKind::Nak(Some(delay.min(MAX_DELAY)))).await
    }
}

fn failed(error: &BackendError) -> WorkQueueError {
    store_error(error, WorkQueueError::Io, WorkQueueError::Other)
}
