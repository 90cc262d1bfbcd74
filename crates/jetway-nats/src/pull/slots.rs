//! Slots: those that are free, and those for which a message was requested.

use std::sync::Arc;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Duration, Instant, sleep_until},
};

/// If all slots were occupied, free slots are collected for this time before messages are requested. Otherwise slots that
/// become free one by one would cost a request each.
const COLLECT: Duration = Duration::from_millis(1);
/// A request is sent at once if one in this number of slots is free.
const SHARE: usize = 8;

/// The slots of a pull. It holds all free ones until messages occupy them.
#[derive(Debug)]
pub(super) struct Slots {
    all: Arc<Semaphore>,
    free: Permits,
    requested: Permits,
    /// The largest number of slots so far.
    max_seen: usize,
    collect_until: Option<Instant>,
}

/// A number of slots.
#[derive(Debug, Default)]
struct Permits(Option<OwnedSemaphorePermit>);

impl Permits {
    fn count(&self) -> usize {
        self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    fn add(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.0 {
            Some(held) => held.merge(more),
            None => self.0 = Some(more),
        }
    }

    fn take(&mut self, count: usize) -> Option<OwnedSemaphorePermit> {
        if count >= self.count() { self.0.take() } else { self.0.as_mut()?.split(count) }
    }
}

impl Slots {
    pub(super) fn new(all: Arc<Semaphore>) -> Self {
        Self {
            all,
            free: Permits::default(),
            requested: Permits::default(),
            max_seen: 0,
            collect_until: None,
        }
    }

    /// Takes all free slots. Returns whether to request messages now: if none is requested, or if far more slots are free
    /// than requested.
    pub(super) fn should_request(&mut self, now: Instant) -> bool {
        let available = u32::try_from(self.all.available_permits()).unwrap_or(u32::MAX);
        if available > 0
            && let Ok(more) = Arc::clone(&self.all).try_acquire_many_owned(available)
        {
            self.free.add(more);
        }
        let (free, requested) = (self.free.count(), self.requested.count());
        self.max_seen = self.max_seen.max(free + requested);
        if free == 0 || (requested > 0 && free <= 2 * requested) {
            return false;
        }
        if requested > 0 || free * SHARE >= self.max_seen {
            return true;
        }
        *self.collect_until.get_or_insert(now + COLLECT) <= now
    }

    /// Moves the free slots to the requested ones, and returns their number.
    pub(super) fn request(&mut self) -> usize {
        self.collect_until = None;
        let requested = self.free.count();
        if let Some(free) = self.free.0.take() {
            self.requested.add(free);
        }
        requested
    }

    /// A request has ended, and this number of its messages did not come. `None` if all requests have ended.
    pub(super) fn request_ended(&mut self, left: Option<usize>) {
        let left = left.unwrap_or(usize::MAX).min(self.requested.count());
        if left > 0
            && let Some(free) = self.requested.take(left)
        {
            self.free.add(free);
        }
    }

    /// The slot for a message that was delivered. `None` if the semaphore is closed.
    pub(super) async fn take_one(&mut self) -> Option<OwnedSemaphorePermit> {
        // A message of a request that has ended still has a lease. It gets the next slot.
        match self.requested.take_one().or_else(|| self.free.take_one()) {
            Some(slot) => Some(slot),
            None => Arc::clone(&self.all).acquire_owned().await.ok(),
        }
    }

    /// Waits for another free slot, or until the free ones have been collected for long enough. Returns false if the
    /// semaphore is closed.
    pub(super) async fn wait_for_more(&mut self) -> bool {
        let slot = Arc::clone(&self.all).acquire_owned();
        let slot = match self.collect_until {
            None => slot.await,
            Some(until) => tokio::select! {
                slot = slot => slot,
                () = sleep_until(until) => return true,
            },
        };
        slot.map(|slot| self.free.add(slot)).is_ok()
    }
}

impl Permits {
    fn take_one(&mut self) -> Option<OwnedSemaphorePermit> {
        if self.count() == 0 { None } else { self.take(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(count: usize) -> (Arc<Semaphore>, Slots) {
        let all = Arc::new(Semaphore::new(count));
        (Arc::clone(&all), Slots::new(all))
    }

    #[tokio::test]
    async fn all_free_slots_are_requested_at_first() {
        let (all, mut slots) = slots(8);
        assert!(slots.should_request(Instant::now()));
        assert_eq!(slots.request(), 8);
        assert!(!slots.should_request(Instant::now()));
        assert_eq!(all.available_permits(), 0);
    }

    #[tokio::test]
    async fn a_message_occupies_a_slot_until_it_is_dropped() {
        let (all, mut slots) = slots(2);
        assert!(slots.should_request(Instant::now()));
        slots.request();
        let first = slots.take_one().await.unwrap();
        let second = slots.take_one().await.unwrap();
        assert!(!slots.should_request(Instant::now()));
        drop(first);
        assert!(slots.should_request(Instant::now()));
        assert_eq!(slots.request(), 1);
        drop(second);
        drop(slots);
        assert_eq!(all.available_permits(), 2);
    }

    #[tokio::test]
    async fn a_request_that_ends_frees_its_slots() {
        let (_all, mut slots) = slots(10);
        assert!(slots.should_request(Instant::now()));
        slots.request();
        slots.request_ended(Some(4));
        // Six are still requested: not worth another request.
        assert!(!slots.should_request(Instant::now()));
        slots.request_ended(None);
        assert!(slots.should_request(Instant::now()));
        assert_eq!(slots.request(), 10);
        slots.request_ended(Some(99));
        assert_eq!(slots.request(), 10);
    }

    #[tokio::test]
    async fn slots_that_become_free_one_by_one_are_collected() {
        let (_all, mut slots) = slots(64);
        assert!(slots.should_request(Instant::now()));
        slots.request();
        let mut held = Vec::new();
        for _ in 0..64 {
            held.push(slots.take_one().await.unwrap());
        }
        let now = Instant::now();
        held.truncate(63);
        assert!(!slots.should_request(now));
        held.truncate(57);
        assert!(!slots.should_request(now));
        assert!(slots.should_request(now + COLLECT));
        held.truncate(56);
        assert!(slots.should_request(now));
        assert_eq!(slots.request(), 8);
    }

    #[tokio::test]
    async fn a_closed_semaphore_ends_the_pull() {
        let (all, mut slots) = slots(1);
        assert!(slots.should_request(Instant::now()));
        slots.request();
        let held = slots.take_one().await.unwrap();
        all.close();
        assert!(!slots.wait_for_more().await);
        drop(held);
    }
}
