//! Work items on a work-queue stream: one message per item, received one by one.

use super::{bucket::values::encode, leases::HeldLeases};
use crate::{
    committer::{Committer, Condition, Write},
    config::NatsConfig,
    dead_letters::DeadLetters,
    names::StoreNames,
    provision::ensure_consumer,
    pull::{DeliveryInfo, Fetched, LateDeliveries, MessageLease, fetch_one},
    session::{Backoff, Connection, api, direct},
};
use async_nats::{Message, Subject, jetstream::message::StreamMessage};
use bytes::Bytes;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

const WHAT: &str = "a work item";

/// The work items of one application.
pub(super) struct ItemQueue {
    connection: Arc<Connection>,
    config: NatsConfig,
    pub(super) names: StoreNames,
    stream: String,
    committer: Committer,
    pub(super) dead_letters: DeadLetters,
    pub(super) leases: Arc<HeldLeases>,
    lease_duration: Duration,
    late: LateDeliveries,
    _tasks: [AbortOnDropHandle<()>; 2],
}

/// A message that was received.
#[derive(Debug)]
pub(super) struct ReceivedItem {
    pub(super) message: Message,
    pub(super) delivery: DeliveryInfo,
    pub(super) lease: MessageLease,
}

impl ItemQueue {
    /// Makes sure that the consumer exists, and starts the tasks.
    pub(super) async fn open(
        connection: Arc<Connection>,
        config: NatsConfig,
        names: StoreNames,
        stream: String,
        committer: Committer,
        dead_letters: DeadLetters,
    ) -> Result<Self, BackendError> {
        let (consumer, filter) = (names.consumer(), names.items());
        let lease_duration = ensure_consumer(&connection, &config, &stream, &consumer, &filter).await?;
        let leases = Arc::new(HeldLeases::new(lease_duration, config.writes.give_up_after));
        let lease_keeper = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&leases).run_keeper()));
        let (late, late_task) = LateDeliveries::start(Arc::clone(&connection));
        Ok(Self {
            connection,
            config,
            names,
            stream,
            committer,
            dead_letters,
            leases,
            lease_duration,
            late,
            _tasks: [lease_keeper, late_task],
        })
    }

    /// Adds an item. If it exists already, nothing changes.
    pub(super) async fn add(&self, run_id: &str, item_id: &str, item: &Bytes) -> Result<(), BackendError> {
        let subject = self.names.item(run_id, item_id)?.into();
        let write = Write { subject, payload: encode(item, WHAT)?, condition: Condition::Unique(None) };
        let stored = self.committer.write(write).await;
        stored.map(drop).map_err(|error| error.error_of(format!("work item {item_id} of run {run_id}")))
    }

    /// Receives an item, and waits for one up to `wait`. The future may be dropped at any time: an item that arrives later
    /// is given back.
    pub(super) async fn receive(&self, wait: Duration) -> Result<Option<ReceivedItem>, BackendError> {
        let mut backoff = Backoff::within(self.config.writes.give_up_after);
        let end = Instant::now() + wait;
        let consumer = self.names.consumer();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let reason = match fetch_one(&self.connection, &self.stream, &consumer, left, &self.late).await? {
                Fetched::Message(message, delivery) => return Ok(Some(self.received(message, delivery))),
                Fetched::Empty => return Ok(None),
                Fetched::Lost(reason) => reason,
            };
            let again = backoff.wait().await;
            match self.renew_consumer().await {
                Ok(()) if again => {}
                Err(error) if again && error.is_retryable() => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let sentence = format!("cannot receive work items: {reason}");
                    return Err(BackendError::new(BackendErrorKind::Unavailable, sentence));
                }
            }
        }
    }

    fn received(&self, message: Message, delivery: DeliveryInfo) -> ReceivedItem {
        let reply = message.reply.clone().unwrap_or_else(|| Subject::from_static(""));
        let lease = MessageLease::new(Arc::clone(&self.connection), reply, self.lease_duration);
        ReceivedItem { message, delivery, lease }
    }

    async fn renew_consumer(&self) -> Result<(), BackendError> {
        let (consumer, filter) = (self.names.consumer(), self.names.items());
        ensure_consumer(&self.connection, &self.config, &self.stream, &consumer, &filter).await.map(drop)
    }

    /// The items of a run, including leased ones.
    pub(super) async fn of_run(&self, run_id: &str) -> Result<Vec<StreamMessage>, BackendError> {
        let filter = self.names.items_of_run(run_id)?;
        let items = direct::all(&self.connection, &self.stream, &filter).await;
        items.map_err(|failure| failure.cannot(format!("list the work items of run {run_id}")))
    }

    /// Removes the items of a run. Returns their number.
    pub(super) async fn purge(&self, run_id: &str) -> Result<u64, BackendError> {
        let filter = self.names.items_of_run(run_id)?;
        let removed = api::delete_one_by_one(&self.connection, &self.stream, &filter).await;
        removed.map_err(|failure| failure.cannot(format!("remove the work items of run {run_id}")))
    }
}

impl fmt::Debug for ItemQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ItemQueue").field("stream", &self.stream).finish_non_exhaustive()
    }
}
