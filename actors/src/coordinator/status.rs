//! What a coordinator has done and is doing.

use super::starts::StartResult;
use crate::{engine_call::EnginePanicked, slots::Slots};
use jetway_engine::StartTaken;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a coordinator has done and is doing. Counts are since the system started, restarts of the coordinator
/// included.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct CoordinatorStatus {
    /// Whether the coordinator itself answered. Where it did not, it is being rebuilt or has stopped.
    pub answered: bool,
    /// Whether it takes no more start messages.
    pub draining: bool,
    /// How many start messages it handles at most.
    pub slots: usize,
    /// How many start messages it handles.
    pub in_flight: usize,
    /// Runs that were made from start messages.
    pub started: u64,
    /// Start messages that cannot be started and are among the dead letters.
    pub refused: u64,
    /// Start messages left to their leases because the backend was out of reach.
    pub abandoned: u64,
    /// Start messages left to their leases because the engine panicked: defects.
    pub panicked: u64,
    /// How often a stream of start messages was opened again.
    pub reopened: u64,
    /// Sweeps.
    pub sweeps: u64,
    /// Runs that the sweeps looked at.
    pub runs_checked: u64,
    /// Items that had lost their ticket and got it again from a sweep: zero in a healthy system.
    pub republished: u64,
    /// Start messages of workflows that no host knows, moved to the dead letters.
    pub dead_lettered: u64,
    /// How often the host said that it is alive.
    pub announced: u64,
}

/// The counts behind a [`CoordinatorStatus`]. Outlives the coordinator.
#[derive(Debug, Default)]
pub(crate) struct CoordinatorCounters {
    pub(crate) started: AtomicU64,
    pub(crate) refused: AtomicU64,
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
    /// Counts the outcome of a start message.
    pub(super) fn count(&self, result: &StartResult) {
        let counter = match result {
            Ok(StartTaken::Started(_)) => &self.started,
            Ok(StartTaken::Refused(_)) => &self.refused,
            Ok(StartTaken::Abandoned(_)) => &self.abandoned,
            Err(EnginePanicked { .. }) => &self.panicked,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// What is known without asking the coordinator.
    pub(crate) fn status(&self, slots: &Slots) -> CoordinatorStatus {
        CoordinatorStatus {
            answered: false,
            draining: false,
            slots: slots.all(),
            in_flight: slots.in_flight(),
            started: self.started.load(Relaxed),
            refused: self.refused.load(Relaxed),
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
