//! The status and the counters of the coordinator.

use super::MessageResult;
use crate::{engine_call::EnginePanicked, slots::Slots};
use jetway_engine::{SignalOutcome, StartOutcome};
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The status of a coordinator. Counts begin when the system starts and survive restarts of the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct CoordinatorStatus {
    /// Whether the coordinator answered. If not, it is being restarted or has stopped.
    pub answered: bool,
    /// Whether it drains: it accepts no more start messages.
    pub draining: bool,
    /// The maximum number of start messages in flight for each workflow.
    pub slots: usize,
    /// Start messages and signals in flight.
    pub in_flight: usize,
    /// Runs created from start messages.
    pub started: u64,
    /// Start messages that were refused and moved to the dead letters.
    pub refused: u64,
    /// Signals that were applied to their runs, or put off since their runs did not exist.
    pub signals: u64,
    /// Signals that were refused and moved to the dead letters.
    pub refused_signals: u64,
    /// Messages not handled because the backend was unavailable: delivered again when their leases end.
    pub abandoned: u64,
    /// Messages not handled because the engine panicked, which is a defect: delivered again when their leases end.
    pub panicked: u64,
    /// Streams of messages opened again.
    pub reopened: u64,
    /// Sweeps completed.
    pub sweeps: u64,
    /// Runs that the sweeps checked.
    pub runs_checked: u64,
    /// Missing tickets that a sweep published again: zero in a healthy system.
    pub republished: u64,
    /// Start messages of workflows that no host serves, moved to the dead letters.
    pub dead_lettered: u64,
    /// Announcements of the host.
    pub announced: u64,
}

/// The counters behind a [`CoordinatorStatus`]. They survive restarts of the coordinator.
#[derive(Debug, Default)]
pub(crate) struct CoordinatorCounters {
    pub(crate) started: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) signals: AtomicU64,
    pub(crate) refused_signals: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    pub(crate) panicked: AtomicU64,
    pub(crate) reopened: AtomicU64,
    pub(crate) sweeps: AtomicU64,
    pub(crate) runs_checked: AtomicU64,
    pub(crate) republished: AtomicU64,
    pub(crate) dead_lettered: AtomicU64,
    pub(crate) announced: AtomicU64,
}

impl CoordinatorCounters {
    /// Counts the outcome of a message.
    pub(super) fn count(&self, result: &MessageResult) {
        let counter = match result {
            MessageResult::Start(Ok(StartOutcome::Started(_))) => &self.started,
            MessageResult::Start(Ok(StartOutcome::Refused(_))) => &self.refused,
            MessageResult::Signal(Ok(SignalOutcome::Applied(..) | SignalOutcome::PutOff(_))) => &self.signals,
            MessageResult::Signal(Ok(SignalOutcome::Refused(_))) => &self.refused_signals,
            MessageResult::Start(Ok(StartOutcome::Abandoned(_)))
            | MessageResult::Signal(Ok(SignalOutcome::Abandoned(_))) => &self.abandoned,
            MessageResult::Start(Err(EnginePanicked { .. }))
            | MessageResult::Signal(Err(EnginePanicked { .. })) => &self.panicked,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// The status without an answer of the coordinator.
    pub(crate) fn status(&self, slots: &Slots, signal_slots: &Slots) -> CoordinatorStatus {
        CoordinatorStatus {
            answered: false,
            draining: false,
            slots: slots.all(),
            in_flight: slots.in_flight() + signal_slots.in_flight(),
            started: self.started.load(Relaxed),
            refused: self.refused.load(Relaxed),
            signals: self.signals.load(Relaxed),
            refused_signals: self.refused_signals.load(Relaxed),
            abandoned: self.abandoned.load(Relaxed),
            panicked: self.panicked.load(Relaxed),
            reopened: self.reopened.load(Relaxed),
            sweeps: self.sweeps.load(Relaxed),
            runs_checked: self.runs_checked.load(Relaxed),
            republished: self.republished.load(Relaxed),
            dead_lettered: self.dead_lettered.load(Relaxed),
            announced: self.announced.load(Relaxed),
        }
    }
}
