//! The leases that this process holds for workers over stores. A task extends them.

use crate::pull::MessageLease;
use async_nats::jetstream::AckKind;
use jetway_engine::backend::BackendError;
use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval_at},
};

/// How many times a lease is extended within its duration.
const EXTENSIONS: u32 = 3;

/// The leases of one process.
#[derive(Debug)]
pub(super) struct HeldLeases {
    /// How long a lease lasts without an extension.
    duration: Duration,
    /// How long the process tries to get an answer confirmed.
    give_up_after: Duration,
    held: Mutex<Held>,
    abandoned: Notify,
}

#[derive(Debug, Default)]
struct Held {
    /// The number of the latest lease.
    latest: u64,
    leases: BTreeMap<u64, HeldLease>,
    /// Those whose holders were dropped without an answer.
    abandoned: Vec<MessageLease>,
}

#[derive(Debug)]
struct HeldLease {
    lease: MessageLease,
    /// The message's sequence in the stream.
    sequence: u64,
    /// It is not extended after this time.
    until: Instant,
}

impl HeldLeases {
    pub(super) fn new(duration: Duration, give_up_after: Duration) -> Self {
        Self { duration, give_up_after, held: Mutex::default(), abandoned: Notify::new() }
    }

    /// Holds a lease and extends it for at most `max_duration`. Returns its number, from 1.
    pub(super) fn hold(&self, lease: MessageLease, sequence: u64, max_duration: Duration) -> u64 {
        let now = Instant::now();
        let until = now.checked_add(max_duration).unwrap_or(now + Duration::from_secs(u32::MAX.into()));
        let mut held = self.held();
        // The message was delivered again, so its earlier lease has expired.
        held.leases.retain(|_, lease| lease.sequence != sequence);
        held.latest += 1;
        let number = held.latest;
        held.leases.insert(number, HeldLease { lease, sequence, until });
        number
    }

    /// Ends a lease with an answer that the server confirms. A lease that has expired is ignored: its message was delivered
    /// again.
    pub(super) async fn end(&self, number: u64, answer: AckKind) -> Result<(), BackendError> {
        let Some(held) = self.held().leases.remove(&number) else {
            tracing::debug!(lease = number, "an expired lease was ended");
            return Ok(());
        };
        self.answer(&held.lease, answer).await
    }

    /// Ends a lease that is not held, with an answer that the server confirms.
    pub(super) async fn answer(&self, lease: &MessageLease, answer: AckKind) -> Result<(), BackendError> {
        lease.send_confirmed(answer, self.give_up_after).await
    }

    /// Ends a lease without waiting: the task gives the item back, once. If that is lost, the lease expires.
    pub(super) fn abandon(&self, number: u64) {
        let mut held = self.held();
        if let Some(HeldLease { lease, .. }) = held.leases.remove(&number) {
            held.abandoned.push(lease);
            drop(held);
            self.abandoned.notify_one();
        }
    }

    /// Extends leases, and gives back abandoned ones, until the connection is closed.
    pub(super) async fn run_keeper(self: Arc<Self>) {
        let every = self.duration / EXTENSIONS;
        // At a fixed pace for all leases: an extension that is sent while a lease ends could arrive after its end.
        let mut extensions = interval_at(Instant::now() + every, every);
        extensions.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (leases, answer) = tokio::select! {
                _now = extensions.tick() => (self.to_extend(), AckKind::Progress),
                () = self.abandoned.notified() => (mem::take(&mut self.held().abandoned), AckKind::Nak(None)),
            };
            for lease in leases {
                if let Err(error) = lease.send(answer).await {
                    tracing::debug!(%error, "stopped extending leases");
                    return;
                }
            }
        }
    }

    fn to_extend(&self) -> Vec<MessageLease> {
        let now = Instant::now();
        let held = self.held();
        held.leases.values().filter(|held| held.until > now).map(|held| held.lease.clone()).collect()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
