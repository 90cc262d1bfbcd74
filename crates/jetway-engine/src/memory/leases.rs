//! A queue whose messages are held under leases.

use super::locked;
use crate::backend::{BackendError, Lease};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, futures::Notified},
    time::Instant,
};

/// A queue of messages with leases, one lane for each workflow.
pub(super) struct Leases<M: Message> {
    lanes: Mutex<BTreeMap<String, Lane<M>>>,
    changed: Notify,
}

struct Lane<M: Message> {
    waiting: VecDeque<(M, u32)>,
    held: BTreeMap<u64, Held<M>>,
    /// The keys of all messages.
    keys: BTreeSet<M::Key>,
    next: u64,
}

struct Held<M> {
    message: M,
    delivered: u32,
    until: Instant,
}

impl<M: Message> Default for Lane<M> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), held: BTreeMap::new(), keys: BTreeSet::new(), next: 1 }
    }
}

impl<M: Message> Default for Leases<M> {
    fn default() -> Self {
        Self { lanes: Mutex::default(), changed: Notify::new() }
    }
}

/// A message that a lease can be for.
pub(super) trait Message: Clone + Send + 'static {
    /// What is unique in a lane.
    type Key: Ord + Clone + Send;

    /// The key of the message; `None` if there may be others like it.
    fn key(&self) -> Option<Self::Key>;

    /// The message as it is given back, and how often it counts as delivered.
    fn returned(self, delivered: u32, counted: bool) -> (Self, u32) {
        let _unused = counted;
        (self, delivered)
    }
}

impl<M: Message> Leases<M> {
    /// Adds a message unless there is one with its key.
    pub(super) fn add(&self, lane: &str, message: M) {
        let mut lanes = locked(&self.lanes);
        let lane = lanes.entry(lane.to_owned()).or_default();
        if message.key().is_none_or(|key| lane.keys.insert(key)) {
            lane.waiting.push_back((message, 0));
            self.changed.notify_waiters();
        }
    }

    /// The keys from `first` on, while `is_wanted`.
    pub(super) fn keys(
        &self,
        lane: &str,
        first: &M::Key,
        is_wanted: impl Fn(&M::Key) -> bool,
    ) -> Vec<M::Key> {
        let lanes = locked(&self.lanes);
        let keys = lanes.get(lane).into_iter().flat_map(|lane| lane.keys.range(first..));
        keys.take_while(|key| is_wanted(key)).cloned().collect()
    }

    /// Removes the waiting messages of a lane for which `is_removed` holds, and the lane if none are left. Only for messages without
    /// keys.
    pub(super) fn remove(&self, lane: &str, is_removed: impl Fn(&M) -> bool) {
        let mut lanes = locked(&self.lanes);
        let Some(found) = lanes.get_mut(lane) else { return };
        found.waiting.retain(|(message, _)| !is_removed(message));
        if found.waiting.is_empty() && found.held.is_empty() {
            lanes.remove(lane);
        }
        self.changed.notify_waiters();
    }

    /// How many messages of a lane nobody holds.
    pub(super) fn waiting(&self, lane: &str) -> u64 {
        locked(&self.lanes).get(lane).map_or(0, |lane| lane.waiting.len() as u64)
    }

    /// Waits until messages were added, given back or settled.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub(super) fn lanes(&self) -> Vec<String> {
        locked(&self.lanes).keys().cloned().collect()
    }

    /// All messages of a lane, waiting or held.
    pub(super) fn messages(&self, lane: &str) -> Vec<M> {
        let lanes = locked(&self.lanes);
        let Some(lane) = lanes.get(lane) else {
            return Vec::new();
        };
        lane.waiting
            .iter()
            .map(|(message, _)| message.clone())
            .chain(lane.held.values().map(|held| held.message.clone()))
            .collect()
    }

    /// Waits for a free slot, then for a message.
    pub(super) async fn take(
        self: &Arc<Self>,
        lane: &str,
        slots: &Arc<Semaphore>,
        duration: Duration,
    ) -> Option<(M, u32, Arc<dyn Lease>, OwnedSemaphorePermit)> {
        let slot = Arc::clone(slots).acquire_owned().await.ok()?;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let (taken, next_expiry) = self.try_take(lane, duration);
            if let Some((message, delivered, id)) = taken {
                let (queue, counted) = (Arc::clone(self), AtomicBool::new(false));
                let lease = HeldLease { queue, lane: lane.to_owned(), id, duration, counted };
                return Some((message, delivered, Arc::new(lease), slot));
            }
            match next_expiry {
                Some(expiry) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(expiry) => {}
                },
                None => changed.await,
            }
        }
    }

    /// A waiting message, or one whose lease has expired; otherwise the time when the next lease expires.
    fn try_take(&self, lane: &str, duration: Duration) -> (Option<(M, u32, u64)>, Option<Instant>) {
        let now = Instant::now();
        let mut lanes = locked(&self.lanes);
        let lane = lanes.entry(lane.to_owned()).or_default();
        let expired: Vec<u64> =
            lane.held.iter().filter(|(_, held)| held.until <= now).map(|(id, _)| *id).collect();
        for id in expired {
            if let Some(held) = lane.held.remove(&id) {
                lane.waiting.push_back((held.message, held.delivered));
            }
        }
        let Some((message, delivered)) = lane.waiting.pop_front() else {
            return (None, lane.held.values().map(|held| held.until).min());
        };
        let (id, delivered) = (lane.next, delivered + 1);
        lane.next += 1;
        lane.held.insert(id, Held { message: message.clone(), delivered, until: now + duration });
        (Some((message, delivered, id)), None)
    }

    fn release(&self, lane: &str, id: u64) {
        let mut lanes = locked(&self.lanes);
        let Some(lane) = lanes.get_mut(lane) else { return };
        if let Some(key) = lane.held.remove(&id).and_then(|held| held.message.key()) {
            lane.keys.remove(&key);
        }
        self.changed.notify_waiters();
    }

    fn give_back(&self, lane: &str, id: u64, counted: bool) {
        let mut lanes = locked(&self.lanes);
        let Some(lane) = lanes.get_mut(lane) else { return };
        if let Some(held) = lane.held.remove(&id) {
            let before = held.message.key();
            let (message, delivered) = held.message.returned(held.delivered, counted);
            if let (Some(before), Some(key)) = (before, message.key()) {
                lane.keys.remove(&before);
                lane.keys.insert(key);
            }
            lane.waiting.push_front((message, delivered));
            self.changed.notify_waiters();
        }
    }

    fn hold_for(&self, lane: &str, id: u64, duration: Duration) {
        let mut lanes = locked(&self.lanes);
        if let Some(held) = lanes.get_mut(lane).and_then(|lane| lane.held.get_mut(&id)) {
            held.until = Instant::now() + duration;
            // Whoever waits has to look earlier.
            self.changed.notify_waiters();
        }
    }
}

struct HeldLease<M: Message> {
    queue: Arc<Leases<M>>,
    lane: String,
    id: u64,
    duration: Duration,
    counted: AtomicBool,
}

impl<M: Message> fmt::Debug for HeldLease<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldLease").field("lane", &self.lane).field("id", &self.id).finish_non_exhaustive()
    }
}

#[async_trait]
impl<M: Message> Lease for HeldLease<M> {
    async fn extend(&self) -> Result<(), BackendError> {
        self.queue.hold_for(&self.lane, self.id, self.duration);
        Ok(())
    }

    async fn ack(&self) -> Result<(), BackendError> {
        self.queue.release(&self.lane, self.id);
        Ok(())
    }

    async fn nak(&self) -> Result<(), BackendError> {
        self.queue.give_back(&self.lane, self.id, self.counted.load(Ordering::Relaxed));
        Ok(())
    }

    async fn nak_later(&self, delay: Duration) -> Result<(), BackendError> {
        self.queue.hold_for(&self.lane, self.id, delay);
        Ok(())
    }

    fn attempt_counted(&self) {
        self.counted.store(true, Ordering::Relaxed);
    }

    fn duration(&self) -> Duration {
        self.duration
    }
}
