//! What a worker has done and is doing.

use super::step::TicketResult;
use crate::{engine_call::EnginePanicked, lease_keeper::LeaseKeeperCounters, slots::Slots};
use jetway_engine::TicketOutcome;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a worker has done and is doing. Counts are since the system started, restarts of the worker included.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Whether the worker itself answered. Where it did not, it is being rebuilt or has stopped.
    pub answered: bool,
    /// Whether it takes no more tickets.
    pub draining: bool,
    /// How many tickets it works on at most.
    pub slots: usize,
    /// How many tickets it works on.
    pub in_flight: usize,
    /// How many leases are held, those of start messages included.
    pub leases: usize,
    /// Tickets taken.
    pub tickets: u64,
    /// Tickets that were worked to their end.
    pub done: u64,
    /// Tickets that the engine gave back because it was told to stop.
    pub given_back: u64,
    /// Tickets left to their leases because the backend was out of reach.
    pub abandoned: u64,
    /// Tickets left to their leases because the engine panicked: defects.
    pub panicked: u64,
    /// Messages given back because the work on them was dropped, those of the coordinator included.
    pub dropped: u64,
    /// Steps committed.
    pub steps: u64,
    /// How often a stream of tickets was opened again.
    pub reopened: u64,
    /// How often a lease was extended.
    pub extended: u64,
    /// How often that failed.
    pub extension_failures: u64,
}

/// The counts behind a [`WorkerStatus`]. Outlives the worker.
#[derive(Debug, Default)]
pub(crate) struct WorkerCounters {
    pub(crate) tickets: AtomicU64,
    pub(crate) done: AtomicU64,
    pub(crate) given_back: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    pub(crate) panicked: AtomicU64,
    pub(crate) steps: AtomicU64,
    pub(crate) reopened: AtomicU64,
}

impl WorkerCounters {
    /// Counts the outcome of a ticket and its steps.
    pub(super) fn count(&self, result: &TicketResult) {
        let (counter, steps) = match result {
            Ok(TicketOutcome::Acked { steps }) => (&self.done, *steps),
            Ok(TicketOutcome::Nacked { steps }) => (&self.given_back, *steps),
            Ok(TicketOutcome::Abandoned { steps, .. }) => (&self.abandoned, *steps),
            Err(EnginePanicked { .. }) => (&self.panicked, 0),
        };
        counter.fetch_add(1, Relaxed);
        self.steps.fetch_add(steps, Relaxed);
    }

    /// What is known without asking the worker.
    pub(crate) fn status(
        &self,
        slots: &Slots,
        leases: usize,
        lease_counters: &LeaseKeeperCounters,
    ) -> WorkerStatus {
        WorkerStatus {
            answered: false,
            draining: false,
            slots: slots.all(),
            in_flight: slots.in_flight(),
            leases,
            tickets: self.tickets.load(Relaxed),
            done: self.done.load(Relaxed),
            given_back: self.given_back.load(Relaxed),
            abandoned: self.abandoned.load(Relaxed),
            panicked: self.panicked.load(Relaxed),
            dropped: lease_counters.dropped.load(Relaxed),
            steps: self.steps.load(Relaxed),
            reopened: self.reopened.load(Relaxed),
            extended: lease_counters.extended.load(Relaxed),
            extension_failures: lease_counters.failed.load(Relaxed),
        }
    }
}
