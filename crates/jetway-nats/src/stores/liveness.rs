//! Heartbeats and health of workers.

use super::{NatsStores, Shared, bucket::values::Change, store_error};
use crate::names::StoreKey;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use jetway_core::{
    clock::Clock,
    distributed::{LivenessStore, LivenessStoreError, WorkerHealth},
};
use jetway_engine::backend::BackendError;
use std::{fmt, sync::Arc};

const HEARTBEAT: &str = "a heartbeat";
const HEALTH: &str = "the health of a worker";

/// Heartbeats and health of workers, on JetStream. Clones share the store.
///
/// The last heartbeat of a worker is kept for [`NatsConfig::keep_finished`]. If two heartbeats arrive out of order, the
/// later one is kept.
///
/// [`NatsConfig::keep_finished`]: crate::NatsConfig::keep_finished
#[derive(Clone)]
pub struct NatsLivenessStore(Arc<Shared>);

impl NatsLivenessStore {
    /// The store of the application.
    pub fn new(stores: &NatsStores) -> Self {
        Self(stores.shared())
    }
}

impl fmt::Debug for NatsLivenessStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug_struct(f, "NatsLivenessStore")
    }
}

#[async_trait]
impl LivenessStore for NatsLivenessStore {
    async fn update_heartbeat(
        &self,
        worker_id: usize,
        timestamp: DateTime<Utc>,
    ) -> Result<(), LivenessStoreError> {
        let key = self.0.names.of_worker(worker_id, StoreKey::Heartbeat);
        let later = |found: Option<DateTime<Utc>>| match found.is_none_or(|found| found < timestamp) {
            true => Ok((Change::SetFor(timestamp, self.0.keep_finished), ())),
            false => Ok((Change::Nothing, ())),
        };
        self.0.bucket.change(&key, HEARTBEAT, later).await.map_err(|error| failed(&error))
    }

    async fn get_heartbeat(&self, worker_id: usize) -> Result<Option<DateTime<Utc>>, LivenessStoreError> {
        let key = self.0.names.of_worker(worker_id, StoreKey::Heartbeat);
        self.0.bucket.get(&key, HEARTBEAT).await.map_err(|error| failed(&error))
    }

    async fn list_workers(&self) -> Result<Vec<usize>, LivenessStoreError> {
        let all = self.0.names.of_all_workers(StoreKey::Heartbeat);
        let found = self.0.bucket.list(&all).await.map_err(|error| failed(&error))?;
        let mut workers: Vec<usize> =
            found.iter().filter_map(|(key, _)| self.0.names.worker_of(key)).collect();
        workers.sort_unstable();
        Ok(workers)
    }

    async fn update_health(&self, worker_id: usize, health: WorkerHealth) -> Result<(), LivenessStoreError> {
        let key = self.0.names.of_worker(worker_id, StoreKey::Health);
        self.0
            .bucket
            .put(&key, &health, Some(self.0.keep_finished), HEALTH)
            .await
            .map_err(|error| failed(&error))
    }

    /// The time of the server.
    fn clock(&self) -> Option<Arc<dyn Clock>> {
        Some(Arc::clone(&self.0.clock))
    }

    async fn get_health(&self, worker_id: usize) -> Result<Option<WorkerHealth>, LivenessStoreError> {
        let key = self.0.names.of_worker(worker_id, StoreKey::Health);
        self.0.bucket.get(&key, HEALTH).await.map_err(|error| failed(&error))
    }

    async fn list_health(&self) -> Result<Vec<WorkerHealth>, LivenessStoreError> {
        let all = self.0.names.of_all_workers(StoreKey::Health);
        let found = self.0.bucket.all::<WorkerHealth>(&all, HEALTH).await.map_err(|error| failed(&error))?;
        let mut listed: Vec<(Option<usize>, WorkerHealth)> =
            found.into_iter().map(|(key, health)| (self.0.names.worker_of(&key), health)).collect();
        listed.sort_by_key(|(worker, _)| *worker);
        Ok(listed.into_iter().map(|(_, health)| health).collect())
    }
}

fn failed(error: &BackendError) -> LivenessStoreError {
    store_error(error, LivenessStoreError::Io, LivenessStoreError::Other)
}
