//! The heartbeat of a worker: writes its health to the liveness store.

use crate::{
    clock::Clock,
    stores::{LivenessStore, WorkerHealth, types::date_time},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The longest time between two heartbeats of a worker.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// The health of the workers of one process, by worker id.
#[derive(Clone, Default)]
pub(super) struct HealthTable(Arc<Mutex<BTreeMap<usize, Entry>>>);

struct Entry {
    health: WorkerHealth,
    last_sent: Option<Instant>,
}

impl HealthTable {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The heartbeat of one worker.
#[derive(Clone)]
pub(super) struct Heartbeat {
    pub(super) worker: usize,
    pub(super) table: HealthTable,
    pub(super) liveness: Arc<dyn LivenessStore>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Heartbeat {
    /// Changes the health of the worker and sends it.
    pub(super) async fn update(&self, change: impl FnOnce(&mut WorkerHealth)) {
        let now = date_time(self.clock.now());
        let health = self.with_entry(|entry| {
            change(&mut entry.health);
            entry.health.last_heartbeat = now;
            entry.last_sent = Some(Instant::now());
            entry.health.clone()
        });
        if let Err(error) = self.liveness.update_heartbeat(self.worker, now).await {
            tracing::warn!(worker = self.worker, %error, "cannot write a worker's heartbeat");
        }
        if let Err(error) = self.liveness.update_health(self.worker, health).await {
            tracing::warn!(worker = self.worker, %error, "cannot write a worker's health");
        }
    }

    /// Sends the health as it is.
    pub(super) async fn send(&self) {
        self.update(|_| {}).await;
    }

    /// Sends a heartbeat if the last one is older than [`HEARTBEAT_INTERVAL`].
    pub(super) async fn send_if_due(&self) {
        let due = |entry: &mut Entry| entry.last_sent.is_none_or(|sent| sent.elapsed() >= HEARTBEAT_INTERVAL);
        if self.with_entry(due) {
            self.send().await;
        }
    }

    /// Sends a heartbeat every [`HEARTBEAT_INTERVAL`] for as long as it is polled.
    pub(super) async fn keep_sending(&self) {
        loop {
            tokio::time::sleep(HEARTBEAT_INTERVAL).await;
            self.send().await;
        }
    }

    /// Counts an error. The next heartbeat reports it.
    pub(super) fn count_error(&self) {
        self.with_entry(|entry| entry.health.error_count = entry.health.error_count.saturating_add(1));
    }

    fn with_entry<R>(&self, f: impl FnOnce(&mut Entry) -> R) -> R {
        let new = || Entry {
            health: WorkerHealth { worker_id: self.worker, ..WorkerHealth::default() },
            last_sent: None,
        };
        f(self.table.lock().entry(self.worker).or_insert_with(new))
    }
}
