//! The signs of life of a worker.

use crate::stores::{LivenessStore, WorkerHealth, views::written};
use chrono::Utc;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How far apart the signs of life of a worker are while nothing happens.
pub(super) const BEAT: Duration = Duration::from_secs(1);

/// What is known of the health of the workers of one process.
#[derive(Clone, Default)]
pub(super) struct HealthTable(Arc<Mutex<BTreeMap<usize, Known>>>);

struct Known {
    health: WorkerHealth,
    told: Option<Instant>,
}

impl HealthTable {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells how one worker is.
#[derive(Clone)]
pub(super) struct Heartbeat {
    pub(super) worker: usize,
    pub(super) wards: HealthTable,
    pub(super) liveness: Arc<dyn LivenessStore>,
}

impl Heartbeat {
    /// Changes how the worker is, and tells it.
    pub(super) async fn tell(&self, change: impl FnOnce(&mut WorkerHealth)) {
        let now = Utc::now();
        let health = self.with(|known| {
            change(&mut known.health);
            known.health.last_heartbeat = now;
            known.told = Some(Instant::now());
            known.health.clone()
        });
        let whose = format!("worker {}", self.worker);
        written(&self.liveness.update_heartbeat(self.worker, now).await, "a sign of life", &whose);
        written(&self.liveness.update_health(self.worker, health).await, "how it is", &whose);
    }

    /// A sign of life.
    pub(super) async fn beat(&self) {
        self.tell(|_| {}).await;
    }

    /// A sign of life where the last one is old.
    pub(super) async fn beat_when_due(&self) {
        if self.with(|known| known.told.is_none_or(|told| told.elapsed() >= BEAT)) {
            self.beat().await;
        }
    }

    /// Gives signs of life for as long as it is polled.
    pub(super) async fn beat_on(&self) {
        loop {
            tokio::time::sleep(BEAT).await;
            self.beat().await;
        }
    }

    /// Counts an error; it is told with the next sign of life.
    pub(super) fn error(&self) {
        self.with(|known| known.health.error_count = known.health.error_count.saturating_add(1));
    }

    fn with<R>(&self, look: impl FnOnce(&mut Known) -> R) -> R {
        let new = || Known {
            health: WorkerHealth { worker_id: self.worker, ..WorkerHealth::default() },
            told: None,
        };
        look(self.wards.lock().entry(self.worker).or_insert_with(new))
    }
}
