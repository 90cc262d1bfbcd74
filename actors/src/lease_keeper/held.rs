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

/// A lease is extended after one third of its duration, so that two extensions may fail before it ends.
const EXTEND_FRACTION: u32 = 3;

/// A failed extension is retried after one quarter of the time between two extensions.
const RETRY_FRACTION: u32 = 4;

/// The shortest time between two extensions of a lease.
const MIN_INTERVAL: Duration = Duration::from_millis(5);

/// The leases that this host holds, of tickets and of start messages. The table survives restarts of the actors: the
/// leases of a failed actor are extended or given back too.
///
/// Every step adds and removes an entry, so this is a table behind a short lock instead of a mailbox: it cannot overflow
/// (each entry has a slot), and an entry that is removed before it is due wakes no task.
#[derive(Debug, Default)]
pub(crate) struct HeldLeases {
    table: Mutex<Table>,
    /// An entry is due earlier than the lease keeper expects.
    changed: Notify,
    /// No nak is pending.
    naks_done: Notify,
}

#[derive(Debug, Default)]
struct Table {
    next_id: u64,
    held: HashMap<u64, Held>,
    due: BTreeSet<(Instant, u64)>,
    nak_queue: Vec<Arc<dyn Lease>>,
    /// Leases in the queue, and those whose nak is in progress.
    pending_naks: usize,
    /// When the lease keeper wakes by itself; `None` if it waits for a change.
    wakes_at: Option<Instant>,
}

#[derive(Debug)]
struct Held {
    lease: Arc<dyn Lease>,
    interval: Duration,
    due: Instant,
}

/// The calls that are due.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub(super) extend: Vec<(u64, Arc<dyn Lease>)>,
    pub(super) nak: Vec<Arc<dyn Lease>>,
}

/// One entry of the table: the lease is extended until this is dropped. A drop without [`release`](Self::release), for
/// example of a message that was not handled, gives the lease back.
#[derive(Debug)]
pub(crate) struct HeldLease {
    id: u64,
    leases: Arc<HeldLeases>,
    until: Option<CancellationToken>,
}

impl HeldLease {
    /// From now on a drop gives the lease back only after `stopped` is cancelled, which means that the owner dropped the
    /// work on purpose. Before that, the lease ends by itself: a runtime that shuts down would drop the work again at
    /// once, and use up the attempts of the item.
    pub(crate) fn nak_only_after(mut self, stopped: CancellationToken) -> Self {
        self.until = Some(stopped);
        self
    }

    /// Removes the entry. The handler has acknowledged the message, given it back, or leaves it until its lease ends.
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
            table.queue_nak(held);
            drop(table);
            self.leases.changed.notify_one();
        }
    }
}

impl HeldLeases {
    /// Adds a lease to the table.
    pub(crate) fn hold(self: &Arc<Self>, lease: &Arc<dyn Lease>) -> HeldLease {
        let interval = (lease.duration() / EXTEND_FRACTION).max(MIN_INTERVAL);
        let due = Instant::now() + interval;
        let mut table = self.table();
        let id = table.next_id;
        table.next_id += 1;
        table.held.insert(id, Held { lease: lease.clone(), interval, due });
        table.due.insert((due, id));
        if table.wakes_at.is_none_or(|at| due < at) {
            self.changed.notify_one();
        }
        HeldLease { id, leases: self.clone(), until: None }
    }

    /// The number of held leases.
    pub(crate) fn len(&self) -> usize {
        self.table().held.len()
    }

    /// Gives back every lease that is still held, even if its work goes on. Returns their number.
    pub(crate) fn nak_all(&self) -> usize {
        let mut table = self.table();
        let held = mem::take(&mut table.held);
        table.due.clear();
        let count = held.len();
        for held in held.into_values() {
            table.queue_nak(held);
        }
        drop(table);
        self.changed.notify_one();
        count
    }

    /// Waits until no nak is pending.
    pub(super) async fn all_naks_done(&self) {
        loop {
            let notified = self.naks_done.notified();
            if self.table().pending_naks == 0 {
                return;
            }
            notified.await;
        }
    }

    /// Waits until a call is due. For one caller at a time. Cancel safe.
    pub(super) async fn due(&self) -> Due {
        loop {
            let (due, wakes_at) = self.table().take_due(Instant::now());
            if !(due.extend.is_empty() && due.nak.is_empty()) {
                return due;
            }
            let changed = self.changed.notified();
            match wakes_at {
                Some(at) => tokio::select! { () = changed => {}, () = sleep_until(at) => {} },
                None => changed.await,
            }
        }
    }

    /// The time between two extensions of an entry, which also limits each call; `None` if the entry was removed.
    pub(super) fn interval(&self, id: u64) -> Option<Duration> {
        self.table().held.get(&id).map(|held| held.interval)
    }

    /// Makes an entry due again soon, if it is still in the table.
    pub(super) fn retry_extension(&self, id: u64, jitter: impl FnOnce(Duration) -> Duration) {
        let mut table = self.table();
        if let Some(interval) = table.held.get(&id).map(|held| held.interval) {
            table.move_due(id, Instant::now() + jitter(interval / RETRY_FRACTION));
        }
    }

    /// One nak has succeeded or failed.
    pub(super) fn nak_done(&self) {
        let mut table = self.table();
        table.pending_naks -= 1;
        if table.pending_naks == 0 {
            self.naks_done.notify_waiters();
        }
    }

    /// The table is consistent whenever the lock is free, so a poisoned lock is safe to use.
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

    fn queue_nak(&mut self, held: Held) {
        self.nak_queue.push(held.lease);
        self.pending_naks += 1;
    }

    /// Takes the calls that are due. An extended entry is due again one interval later.
    fn take_due(&mut self, now: Instant) -> (Due, Option<Instant>) {
        let mut extend = Vec::new();
        while let Some((at, id)) = self.due.first().copied()
            && at <= now
        {
            let Some(held) = self.held.get(&id) else {
                self.due.remove(&(at, id));
                continue;
            };
            let next = now + held.interval;
            extend.push((id, held.lease.clone()));
            self.move_due(id, next);
        }
        self.wakes_at = self.due.first().map(|(at, _id)| *at);
        (Due { extend, nak: mem::take(&mut self.nak_queue) }, self.wakes_at)
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
