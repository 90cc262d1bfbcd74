//! Metrics of runs.

use super::{NatsStores, Shared, bucket::values::Change, store_error};
use crate::names::StoreKey;
use async_trait::async_trait;
use jetway_core::distributed::{MetricsError, MetricsStore, RunMetrics};
use jetway_engine::backend::BackendError;
use std::{fmt, sync::Arc};

const WHAT: &str = "the metrics of a run";

/// Metrics of runs, on JetStream. Clones share the store. No update is lost, and none counts twice. They are kept until
/// [`forget_run`](NatsStores::forget_run), or until another run with the id starts.
#[derive(Clone)]
pub struct NatsMetricsStore(Arc<Shared>);

impl NatsMetricsStore {
    /// The store of the application.
    pub fn new(stores: &NatsStores) -> Self {
        Self(stores.shared())
    }
}

impl fmt::Debug for NatsMetricsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug_struct(f, "NatsMetricsStore")
    }
}

impl NatsMetricsStore {
    async fn change(
        &self,
        run_id: &str,
        changed: impl Fn(RunMetrics) -> RunMetrics + Send + Sync,
    ) -> Result<(), MetricsError> {
        let key = self.0.names.of_run(run_id, StoreKey::Metrics).map_err(|error| failed(&error))?;
        let change = |found: Option<RunMetrics>| {
            let metrics = changed(found.unwrap_or_default());
            Ok(if found == Some(metrics) { (Change::Nothing, ()) } else { (Change::Set(metrics), ()) })
        };
        self.0.bucket.change(&key, WHAT, change).await.map_err(|error| failed(&error))
    }
}

#[async_trait]
impl MetricsStore for NatsMetricsStore {
    async fn update_metrics(&self, run_id: &str, metrics: RunMetrics) -> Result<(), MetricsError> {
        self.change(run_id, |_| metrics).await
    }

    async fn get_metrics(&self, run_id: &str) -> Result<Option<RunMetrics>, MetricsError> {
        let key = self.0.names.of_run(run_id, StoreKey::Metrics).map_err(|error| failed(&error))?;
        self.0.bucket.get(&key, WHAT).await.map_err(|error| failed(&error))
    }

    async fn add_metrics(&self, run_id: &str, more: RunMetrics) -> Result<(), MetricsError> {
        self.change(run_id, |kept| kept.plus(more)).await
    }

    async fn raise_metrics(&self, run_id: &str, known: RunMetrics) -> Result<(), MetricsError> {
        self.change(run_id, |kept| kept.at_least(known)).await
    }
}

fn failed(error: &BackendError) -> MetricsError {
    store_error(error, MetricsError::Io, MetricsError::Other)
}
