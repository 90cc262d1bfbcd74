//! A backend in memory: the engine without a server, for tests and first steps.
//!
//! It keeps the rules of [`backend`](crate::backend) within one process. Everything is lost when the process ends.

mod alarms;
mod beats;
mod cancels;
mod hosts;
mod leases;
mod results;
mod signals;
mod snapshots;
mod starts;
mod tickets;

use crate::backend::CancelBoard;
use jetway_core::clock::{Clock, SystemClock};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

/// Snapshots, tickets, starts and results in memory. Clones share them.
#[derive(Clone)]
pub struct MemoryBackend {
    snapshots: Arc<Mutex<snapshots::Snapshots>>,
    tickets: Arc<tickets::Queue>,
    alarms: Arc<alarms::Armed>,
    cancels: CancelBoard,
    starts: Arc<starts::Queue>,
    published_starts: Arc<AtomicU64>,
    signals: Arc<signals::Stored>,
    results: Arc<results::Results>,
    beats: Arc<Mutex<beats::Kept>>,
    hosts: Arc<Mutex<hosts::Hosts>>,
    lease: Duration,
    clock: Arc<dyn Clock>,
}

impl MemoryBackend {
    /// An empty backend with leases of 30 seconds.
    pub fn new() -> Self {
        Self::with_lease(Duration::from_secs(30))
    }

    /// An empty backend with leases of that duration.
    pub fn with_lease(lease: Duration) -> Self {
        Self {
            snapshots: Arc::default(),
            tickets: Arc::default(),
            alarms: Arc::default(),
            cancels: CancelBoard::default(),
            starts: Arc::default(),
            published_starts: Arc::default(),
            signals: Arc::default(),
            results: Arc::default(),
            beats: Arc::default(),
            hosts: Arc::default(),
            lease,
            clock: Arc::new(SystemClock),
        }
    }

    /// The same backend with another clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend").field("lease", &self.lease).finish_non_exhaustive()
    }
}

/// No code that holds one of these locks can panic half-way through a change, so a poisoned lock holds good data.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
