//! Metrics of runs.

use super::{NatsStores, Shared, bucket::values::Change, store_error};
use crate::names::StoreKey;
use async_trait::async_trait;
use jetway_core::{
    distributed::{MetricsError, MetricsStore, RunMetrics},
    stores::by_incarnation::ByIncarnation,
};
use jetway_engine::backend::BackendError;
use jetway_state::Incarnation;
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
        change: impl Fn(&mut ByIncarnation<RunMetrics>) + Send + Sync,
    ) -> Result<(), MetricsError> {
        let key = self.0.names.of_run(run_id, StoreKey::Metrics).map_err(|error| failed(&error))?;
        let changed = |found: Option<ByIncarnation<RunMetrics>>| {
            let mut kept = found.clone().unwrap_or_default();
            change(&mut kept);
            Ok(if found.as_ref() == Some(&kept) { (Change::Nothing, ()) } else { (Change::Set(kept), ()) })
        };
        self.0.bucket.change(&key, WHAT, changed).await.map_err(|error| failed(&error))
    }

    async fn kept(&self, run_id: &str) -> Result<Option<ByIncarnation<RunMetrics>>, MetricsError> {
        let key = self.0.names.of_run(run_id, StoreKey::Metrics).map_err(|error| failed(&error))?;
        self.0.bucket.get(&key, WHAT).await.map_err(|error| failed(&error))
    }
}

#[async_trait]
impl MetricsStore for NatsMetricsStore {
    async fn update_metrics(&self, run_id: &str, metrics: RunMetrics) -> Result<(), MetricsError> {
        self.change(run_id, |kept| *kept.latest_mut() = metrics).await
    }

    async fn get_metrics(&self, run_id: &str) -> Result<Option<RunMetrics>, MetricsError> {
        Ok(self.kept(run_id).await?.as_ref().and_then(ByIncarnation::latest).copied())
    }

    async fn add_metrics(&self, run_id: &str, more: RunMetrics) -> Result<(), MetricsError> {
        self.change(run_id, |kept| *kept.latest_mut() = kept.latest_mut().plus(more)).await
    }

    async fn raise_metrics(&self, run_id: &str, known: RunMetrics) -> Result<(), MetricsError> {
        self.change(run_id, |kept| *kept.latest_mut() = kept.latest_mut().at_least(known)).await
    }

    async fn add_metrics_of(
        &self,
        run_id: &str,
        incarnation: Incarnation,
        more: RunMetrics,
    ) -> Result<(), MetricsError> {
        self.change(run_id, |kept| *kept.of_mut(incarnation) = kept.of_mut(incarnation).plus(more)).await
    }

    async fn raise_metrics_of(
        &self,
        run_id: &str,
        incarnation: Incarnation,
        known: RunMetrics,
    ) -> Result<(), MetricsError> {
        self.change(run_id, |kept| *kept.of_mut(incarnation) = kept.of_mut(incarnation).at_least(known)).await
    }

    async fn get_metrics_of(
        &self,
        run_id: &str,
        incarnation: Incarnation,
    ) -> Result<Option<RunMetrics>, MetricsError> {
        Ok(self.kept(run_id).await?.and_then(|kept| kept.of(incarnation).copied()))
    }
}

fn failed(error: &BackendError) -> MetricsError {
    store_error(error, MetricsError::Io, MetricsError::Other)
}
