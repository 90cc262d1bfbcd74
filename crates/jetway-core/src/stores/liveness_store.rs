//! Where workers give signs of life.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::Mutex;

/// What goes wrong with a store of signs of life.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LivenessStoreError {
    /// The store could not be read or written.
    #[error("I/O error: {0}")]
    Io(String),
    /// Anything else.
    #[error("Other error: {0}")]
    Other(String),
}

impl From<LivenessStoreError> for jetway_state::Error {
    fn from(error: LivenessStoreError) -> Self {
        Self::Storage(error.to_string())
    }
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum WorkerStatus {
    /// It has nothing to do.
    #[default]
    Idle,
    /// It runs a work item.
    InProgress,
    /// It runs a work item again: which attempt this is, and how many there can be.
    Retrying(usize, usize),
}

/// How a worker is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerHealth {
    /// The worker.
    pub worker_id: usize,
    /// Its last sign of life.
    pub last_heartbeat: DateTime<Utc>,
    /// How many errors it met since it began.
    pub error_count: usize,
    /// What it does.
    pub status: WorkerStatus,
    /// The work item that it runs, in its `Display` form.
    pub current_work_item: Option<String>,
    /// The run of that item.
    pub current_work_item_run_id: Option<String>,
}

impl Default for WorkerHealth {
    /// An idle worker 0 that gives a sign of life now.
    fn default() -> Self {
        Self {
            worker_id: 0,
            last_heartbeat: Utc::now(),
            error_count: 0,
            status: WorkerStatus::Idle,
            current_work_item: None,
            current_work_item_run_id: None,
        }
    }
}

/// Keeps the signs of life of workers. It is for people: whether work is done never depends on it.
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
    /// Sets a worker's last sign of life.
    ///
    /// # Errors
    /// What the store failed with.
    async fn update_heartbeat(
        &self,
        worker_id: usize,
        timestamp: DateTime<Utc>,
    ) -> Result<(), LivenessStoreError>;

    /// A worker's last sign of life; `None` where there never was one.
    ///
    /// # Errors
    /// What the store failed with.
    async fn get_heartbeat(&self, worker_id: usize) -> Result<Option<DateTime<Utc>>, LivenessStoreError>;

    /// The workers that ever gave a sign of life, by their ids.
    ///
    /// # Errors
    /// What the store failed with.
    async fn list_workers(&self) -> Result<Vec<usize>, LivenessStoreError>;

    /// Sets how a worker is.
    ///
    /// # Errors
    /// What the store failed with.
    async fn update_health(&self, worker_id: usize, health: WorkerHealth) -> Result<(), LivenessStoreError>;

    /// How a worker is; `None` where that was never told.
    ///
    /// # Errors
    /// What the store failed with.
    async fn get_health(&self, worker_id: usize) -> Result<Option<WorkerHealth>, LivenessStoreError>;

    /// How the workers are, by their ids.
    ///
    /// # Errors
    /// What the store failed with.
    async fn list_health(&self) -> Result<Vec<WorkerHealth>, LivenessStoreError>;
}

/// Signs of life in memory. Clones share the store.
#[derive(Debug, Clone, Default)]
pub struct InMemoryLivenessStore(Arc<Mutex<Signs>>);

#[derive(Debug, Default)]
struct Signs {
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
