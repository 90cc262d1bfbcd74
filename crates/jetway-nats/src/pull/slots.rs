//! Free slots, and the ones that a message was asked for.

use std::sync::Arc;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Duration, Instant, sleep_until},
};

/// Where every slot was taken, the ones that become free are gathered for so long before messages are asked for: slots
/// that become free one by one would each cost a request.
const GATHER: Duration = Duration::from_millis(1);
/// Unless they make up this part of all slots.
const PART: usize = 8;

/// The slots of a pull. All of them belong to it: a free one is held until a message takes it up.
#[derive(Debug)]
pub(super) struct Slots {
    all: Arc<Semaphore>,
    free: Held,
    asked: Held,
    /// The most slots that were seen at once.
    seen: usize,
    gather_until: Option<Instant>,
}

/// Some slots.
#[derive(Debug, Default)]
struct Held(Option<OwnedSemaphorePermit>);

impl Held {
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
        Self { all, free: Held::default(), asked: Held::default(), seen: 0, gather_until: None }
    }

    /// Takes what is free and tells whether it is time to ask for messages: when nothing is asked for, or when far more
    /// is free than is asked for.
    pub(super) fn due(&mut self, now: Instant) -> bool {
        let available = u32::try_from(self.all.available_permits()).unwrap_or(u32::MAX);
        if available > 0
            && let Ok(more) = Arc::clone(&self.all).try_acquire_many_owned(available)
        {
            self.free.add(more);
        }
        let (free, asked) = (self.free.count(), self.asked.count());
        self.seen = self.seen.max(free + asked);
        if free == 0 || (asked > 0 && free <= 2 * asked) {
            return false;
        }
        if asked > 0 || free * PART >= self.seen {
            return true;
        }
        *self.gather_until.get_or_insert(now + GATHER) <= now
    }

    /// How many messages to ask for.
    pub(super) fn ask(&mut self) -> usize {
        self.gather_until = None;
        let asked = self.free.count();
        if let Some(free) = self.free.0.take() {
            self.asked.add(free);
        }
        asked
    }

    /// A request has ended that so many messages were still to come for; all requests, where it is not known.
    pub(super) fn ended(&mut self, left: Option<usize>) {
        let left = left.unwrap_or(usize::MAX).min(self.asked.count());
        if left > 0
            && let Some(free) = self.asked.take(left)
        {
            self.free.add(free);
        }
    }

    /// The slot for a message that has come. `None` when there will be no more slots.
    pub(super) async fn one(&mut self) -> Option<OwnedSemaphorePermit> {
        // One that nobody asked for any more still has a lease; it takes the next slot there is.
        match self.asked.take_one().or_else(|| self.free.take_one()) {
            Some(slot) => Some(slot),
            None => Arc::clone(&self.all).acquire_owned().await.ok(),
        }
    }

    /// Waits for another free slot, or until those that are free have been gathered for long enough. False when there
    /// will be no more slots.
    pub(super) async fn more(&mut self) -> bool {
        let slot = Arc::clone(&self.all).acquire_owned();
        let slot = match self.gather_until {
            None => slot.await,
            Some(until) => tokio::select! {
                slot = slot => slot,
                () = sleep_until(until) => return true,
            },
        };
        slot.map(|slot| self.free.add(slot)).is_ok()
    }
}

impl Held {
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
    async fn all_free_slots_are_asked_for_at_first() {
        let (all, mut slots) = slots(8);
        assert!(slots.due(Instant::now()));
        assert_eq!(slots.ask(), 8);
        assert!(!slots.due(Instant::now()));
        assert_eq!(all.available_permits(), 0);
    }

    #[tokio::test]
    async fn a_message_takes_up_a_slot_until_it_is_dropped() {
        let (all, mut slots) = slots(2);
        assert!(slots.due(Instant::now()));
        slots.ask();
        let first = slots.one().await.unwrap();
        let second = slots.one().await.unwrap();
        assert!(!slots.due(Instant::now()));
        drop(first);
        assert!(slots.due(Instant::now()));
        assert_eq!(slots.ask(), 1);
        drop(second);
        drop(slots);
        assert_eq!(all.available_permits(), 2);
    }

    #[tokio::test]
    async fn a_request_that_ends_gives_its_slots_back() {
        let (_all, mut slots) = slots(10);
        assert!(slots.due(Instant::now()));
        slots.ask();
        slots.ended(Some(4));
        // Six are still asked for: not worth a request.
        assert!(!slots.due(Instant::now()));
        slots.ended(None);
        assert!(slots.due(Instant::now()));
        assert_eq!(slots.ask(), 10);
        slots.ended(Some(99));
        assert_eq!(slots.ask(), 10);
    }

    #[tokio::test]
    async fn slots_that_become_free_one_by_one_are_gathered() {
        let (_all, mut slots) = slots(64);
        assert!(slots.due(Instant::now()));
        slots.ask();
        let mut held = Vec::new();
        for _ in 0..64 {
            held.push(slots.one().await.unwrap());
        }
        let now = Instant::now();
        held.truncate(63);
        assert!(!slots.due(now));
        held.truncate(57);
        assert!(!slots.due(now));
        assert!(slots.due(now + GATHER));
        held.truncate(56);
        assert!(slots.due(now));
        assert_eq!(slots.ask(), 8);
    }

    #[tokio::test]
    async fn a_closed_semaphore_ends_the_pull() {
        let (all, mut slots) = slots(1);
        assert!(slots.due(Instant::now()));
        slots.ask();
        let held = slots.one().await.unwrap();
        all.close();
        assert!(!slots.more().await);
        drop(held);
    }
}
