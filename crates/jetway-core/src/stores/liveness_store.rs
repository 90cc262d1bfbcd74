//! The store of the heartbeats and the health of workers.

use super::types::date_time;
use crate::clock::{Clock, SystemClock};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::Mutex;

/// The error of a liveness store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LivenessStoreError {
    /// The store could not be read or written.
    #[error("I/O error: {0}")]
    Io(String),
    /// Any other error.
    #[error("Other error: {0}")]
    Other(String),
}

impl From<LivenessStoreError> for jetway_state::Error {
    fn from(error: LivenessStoreError) -> Self {
        Self::Storage(error.to_string())
    }
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum WorkerStatus {
    /// It has no work item.
    #[default]
    Idle,
    /// It executes a work item.
    InProgress,
    /// It retries a work item: the number of this attempt, and the most attempts that the retry policy allows.
    Retrying(usize, usize),
}

/// The health of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerHealth {
    /// The worker's id.
    pub worker_id: usize,
    /// Its last heartbeat.
    pub last_heartbeat: DateTime<Utc>,
    /// The number of errors since it started.
    pub error_count: usize,
    /// What it is doing.
    pub status: WorkerStatus,
    /// The work item that it executes, in its `Display` form.
    pub current_work_item: Option<String>,
    /// The run of that item.
    pub current_work_item_run_id: Option<String>,
}

impl Default for WorkerHealth {
    /// An idle worker with id 0 and a heartbeat at the current system time.
    fn default() -> Self {
        Self {
            worker_id: 0,
            last_heartbeat: date_time(SystemClock.now()),
            error_count: 0,
            status: WorkerStatus::Idle,
            current_work_item: None,
            current_work_item_run_id: None,
        }
    }
}

/// Stores the heartbeats and the health of workers, for people. No step depends on it.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use jetway_core::distributed::{InMemoryLivenessStore, LivenessStore};
///
/// let store = InMemoryLivenessStore::default();
/// store.update_heartbeat(3, chrono::Utc::now()).await?;
/// assert_eq!(store.list_workers().await?, [3]);
/// # Ok::<_, jetway_core::distributed::LivenessStoreError>(()) }).unwrap();
/// ```
#[async_trait]
pub trait LivenessStore: Send + Sync {
    /// Sets the last heartbeat of a worker.
    ///
    /// # Errors
    /// The error of the store.
    async fn update_heartbeat(
        &self,
        worker_id: usize,
        timestamp: DateTime<Utc>,
    ) -> Result<(), LivenessStoreError>;

    /// The last heartbeat of a worker; `None` where it has sent none.
    ///
    /// # Errors
    /// The error of the store.
    async fn get_heartbeat(&self, worker_id: usize) -> Result<Option<DateTime<Utc>>, LivenessStoreError>;

    /// The ids of all workers that have ever sent a heartbeat, in ascending order.
    ///
    /// # Errors
    /// The error of the store.
    async fn list_workers(&self) -> Result<Vec<usize>, LivenessStoreError>;

    /// Sets the health of a worker.
    ///
    /// # Errors
    /// The error of the store.
    async fn update_health(&self, worker_id: usize, health: WorkerHealth) -> Result<(), LivenessStoreError>;

    /// The health of a worker; `None` where it was never set.
    ///
    /// # Errors
    /// The error of the store.
    async fn get_health(&self, worker_id: usize) -> Result<Option<WorkerHealth>, LivenessStoreError>;

    /// The health of all workers, ordered by id.
    ///
    /// # Errors
    /// The error of the store.
    async fn list_health(&self) -> Result<Vec<WorkerHealth>, LivenessStoreError>;

    /// The clock that all users of the store share, whatever the clocks of their machines say. Workers and orchestrators take
    /// their times from it, unless they are given another clock. `None`, which is the default: the store has no clock.
    fn clock(&self) -> Option<Arc<dyn Clock>> {
        None
    }
}

/// Heartbeats and health in memory. Clones share the store.
#[derive(Debug, Clone, Default)]
pub struct InMemoryLivenessStore(Arc<Mutex<Workers>>);

#[derive(Debug, Default)]
struct Workers {
    heartbeats: BTreeMap<usize, DateTime<Utc>>,
    health: BTreeMap<usize, WorkerHealth>,
}

impl InMemoryLivenessStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl LivenessStore for InMemoryLivenessStore {
    async fn update_heartbeat(
        &self,
        worker_id: usize,
        timestamp: DateTime<Utc>,
    ) -> Result<(), LivenessStoreError> {
        self.0.lock().await.heartbeats.insert(worker_id, timestamp);
        Ok(())
    }

    async fn get_heartbeat(&self, worker_id: usize) -> Result<Option<DateTime<Utc>>, LivenessStoreError> {
        Ok(self.0.lock().await.heartbeats.get(&worker_id).copied())
    }

    async fn list_workers(&self) -> Result<Vec<usize>, LivenessStoreError> {
        Ok(self.0.lock().await.heartbeats.keys().copied().collect())
    }

    async fn update_health(&self, worker_id: usize, health: WorkerHealth) -> Result<(), LivenessStoreError> {
        self.0.lock().await.health.insert(worker_id, health);
        Ok(())
    }

    async fn get_health(&self, worker_id: usize) -> Result<Option<WorkerHealth>, LivenessStoreError> {
        Ok(self.0.lock().await.health.get(&worker_id).cloned())
    }

    async fn list_health(&self) -> Result<Vec<WorkerHealth>, LivenessStoreError> {
        Ok(self.0.lock().await.health.values().cloned().collect())
    }
}
