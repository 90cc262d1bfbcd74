//! The status and the counters of the worker.

use super::tickets::TicketResult;
use crate::{engine_call::EnginePanicked, lease_keeper::LeaseKeeperCounters, slots::Slots};
use jetway_engine::TicketOutcome;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The status of a worker. Counts begin when the system starts and survive restarts of the worker.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Whether the worker answered. If not, it is being restarted or has stopped.
    pub answered: bool,
    /// Whether it drains: it accepts no more tickets.
    pub draining: bool,
    /// The maximum number of tickets in flight for each workflow.
    pub slots: usize,
    /// Tickets in flight.
    pub in_flight: usize,
    /// Leases held, including those of start messages.
    pub leases: usize,
    /// Tickets accepted.
    pub tickets: u64,
    /// Tickets finished and acknowledged.
    pub acked: u64,
    /// Tickets that the engine gave back because the worker stops.
    pub nacked: u64,
    /// Tickets not finished because the backend was unavailable: delivered again when their leases end.
    pub abandoned: u64,
    /// Tickets not finished because the engine panicked, which is a defect: delivered again when their leases end.
    pub panicked: u64,
    /// Messages given back because the work on them was dropped, including those of the coordinator.
    pub dropped: u64,
    /// Steps committed.
    pub steps: u64,
    /// Streams of tickets opened again.
    pub reopened: u64,
    /// Lease extensions that succeeded.
    pub extended: u64,
    /// Lease extensions that failed.
    pub extension_failures: u64,
}

/// The counters behind a [`WorkerStatus`]. They survive restarts of the worker.
#[derive(Debug, Default)]
pub(crate) struct WorkerCounters {
    pub(crate) tickets: AtomicU64,
    pub(crate) acked: AtomicU64,
    pub(crate) nacked: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    pub(crate) panicked: AtomicU64,
    pub(crate) steps: AtomicU64,
    pub(crate) reopened: AtomicU64,
}

impl WorkerCounters {
    /// Counts the outcome of a ticket and its steps.
    pub(super) fn count(&self, result: &TicketResult) {
        let (counter, steps) = match result {
            Ok(TicketOutcome::Acked { steps }) => (&self.acked, *steps),
            Ok(TicketOutcome::Nacked { steps }) => (&self.nacked, *steps),
            Ok(TicketOutcome::Abandoned { steps, .. }) => (&self.abandoned, *steps),
            Err(EnginePanicked { .. }) => (&self.panicked, 0),
        };
        counter.fetch_add(1, Relaxed);
        self.steps.fetch_add(steps, Relaxed);
    }

    /// The status without an answer of the worker.
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
            acked: self.acked.load(Relaxed),
            nacked: self.nacked.load(Relaxed),
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
