//! The leases that this host holds.

use jetway_engine::backend::Lease;
use std::{
    collections::{BTreeSet, HashMap},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// A lease is extended after this part of its time, so that two extensions may fail before it is lost.
const EXTEND_FRACTION: u32 = 3;

/// A lease whose extension failed is tried again after this part of the time between two extensions.
const RETRY_FRACTION: u32 = 4;

/// No lease is extended more often than this, however short it is.
const MIN_INTERVAL: Duration = Duration::from_millis(5);

/// The leases that this host holds, of tickets and of start messages. Outlives the actors: what a failed actor held is
/// extended or given back all the same.
///
/// The steps enter and leave it on the hot path, so it is a table behind a lock that is held for an instant, and not a
/// mailbox: it cannot overflow (each entry has a slot), and nobody is woken for an entry that leaves before it is due.
#[derive(Debug, Default)]
pub(crate) struct HeldLeases {
    table: Mutex<Table>,
    /// Something is due earlier than the keeper expects.
    changed: Notify,
    /// Nothing is left to be given back.
    given_back: Notify,
}

#[derive(Debug, Default)]
struct Table {
    next_id: u64,
    held: HashMap<u64, Held>,
    due: BTreeSet<(Instant, u64)>,
    nak_queue: Vec<Arc<dyn Lease>>,
    /// Leases that are to be given back, or are being given back.
    pending_naks: usize,
    /// When the keeper looks again by itself; `None` where it does not.
    wakes_at: Option<Instant>,
}

#[derive(Debug)]
struct Held {
    lease: Arc<dyn Lease>,
    every: Duration,
    due: Instant,
}

/// What is to be done now.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// To be extended.
    pub(super) extend: Vec<(u64, Arc<dyn Lease>)>,
    /// To be given back.
    pub(super) give_back: Vec<Arc<dyn Lease>>,
}

/// One entry of the table: the lease is extended while this lives. Dropped without a [`release`](Self::release), as by
/// a message that nobody handled, it has the lease given back.
#[derive(Debug)]
pub(crate) struct HeldLease {
    id: u64,
    leases: Arc<HeldLeases>,
    until: Option<CancellationToken>,
}

impl HeldLease {
    /// From now on a drop has the lease given back only once `stopped` is cancelled, that is where the owner of the
    /// work meant to drop it. Before, the lease is left to its end: whatever drops the work against its owner's will,
    /// such as a runtime that shuts down, would drop it again as soon as it came back, and use up the attempts that
    /// the item has.
    pub(crate) fn nak_only_after(mut self, stopped: CancellationToken) -> Self {
        self.until = Some(stopped);
        self
    }

    /// The message was settled, given back or left to its lease by whoever handled it.
    pub(crate) fn release(self) {
        self.leases.table().remove(self.id);
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        let mut table = self.leases.table();
        let Some(held) = table.remove(self.id) else {
            return;
        };
        if self.until.as_ref().is_none_or(CancellationToken::is_cancelled) {
            table.give_back(held);
            drop(table);
            self.leases.changed.notify_one();
        }
    }
}

impl HeldLeases {
    /// Extends a lease from now on.
    pub(crate) fn hold(self: &Arc<Self>, lease: &Arc<dyn Lease>) -> HeldLease {
        let every = (lease.duration() / EXTEND_FRACTION).max(MIN_INTERVAL);
        let due = Instant::now() + every;
        let mut table = self.table();
        let id = table.next_id;
        table.next_id += 1;
        table.held.insert(id, Held { lease: lease.clone(), every, due });
        table.due.insert((due, id));
        if table.wakes_at.is_none_or(|at| due < at) {
            self.changed.notify_one();
        }
        HeldLease { id, leases: self.clone(), until: None }
    }

    /// How many leases are held.
    pub(crate) fn len(&self) -> usize {
        self.table().held.len()
    }

    /// Has every lease given back that is still held, whoever works under it. Returns how many.
    pub(crate) fn nak_all(&self) -> usize {
        let mut table = self.table();
        let held = mem::take(&mut table.held);
        table.due.clear();
        let count = held.len();
        for held in held.into_values() {
            table.give_back(held);
        }
        drop(table);
        self.changed.notify_one();
        count
    }

    /// Waits until nothing is left to be given back.
    pub(super) async fn all_naks_done(&self) {
        loop {
            let notified = self.given_back.notified();
            if self.table().pending_naks == 0 {
                return;
            }
            notified.await;
        }
    }

    /// Waits until something is to be done. For one caller at a time; may be cancelled at no loss.
    pub(super) async fn due(&self) -> Due {
        loop {
            let (due, wakes_at) = self.table().take_due(Instant::now());
            if !(due.extend.is_empty() && due.give_back.is_empty()) {
                return due;
            }
            let changed = self.changed.notified();
            match wakes_at {
                Some(at) => tokio::select! { () = changed => {}, () = sleep_until(at) => {} },
                None => changed.await,
            }
        }
    }

    /// How long the extension of an entry may take; `None` where the entry has left.
    pub(super) fn every(&self, id: u64) -> Option<Duration> {
        self.table().held.get(&id).map(|held| held.every)
    }

    /// The extension of an entry failed: it is due again soon, if it is still there.
    pub(super) fn not_extended(&self, id: u64, jitter: impl FnOnce(Duration) -> Duration) {
        let mut table = self.table();
        if let Some(every) = table.held.get(&id).map(|held| held.every) {
            table.move_due(id, Instant::now() + jitter(every / RETRY_FRACTION));
        }
    }

    /// One lease was given back, or could not be.
    pub(super) fn nak_done(&self) {
        let mut table = self.table();
        table.pending_naks -= 1;
        if table.pending_naks == 0 {
            self.given_back.notify_waiters();
        }
    }

    /// The table is consistent whenever the lock is free, so a panic of a holder does not spoil it.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn remove(&mut self, id: u64) -> Option<Held> {
        let held = self.held.remove(&id)?;
        self.due.remove(&(held.due, id));
        Some(held)
    }

    fn give_back(&mut self, held: Held) {
        self.nak_queue.push(held.lease);
        self.pending_naks += 1;
    }

    /// What is due; it is due again one period later.
    fn take_due(&mut self, now: Instant) -> (Due, Option<Instant>) {
        let mut extend = Vec::new();
        while let Some((at, id)) = self.due.first().copied()
            && at <= now
        {
            let Some(held) = self.held.get(&id) else {
                self.due.remove(&(at, id));
                continue;
            };
            let next = now + held.every;
            extend.push((id, held.lease.clone()));
            self.move_due(id, next);
        }
        self.wakes_at = self.due.first().map(|(at, _id)| *at);
        (Due { extend, give_back: mem::take(&mut self.nak_queue) }, self.wakes_at)
    }

    fn move_due(&mut self, id: u64, to: Instant) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        let from = mem::replace(&mut held.due, to);
        self.due.remove(&(from, id));
        self.due.insert((to, id));
    }
}
