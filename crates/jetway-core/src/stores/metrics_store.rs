//! The store of the metrics of runs.

use super::{RunMetrics, by_incarnation::ByIncarnation};
use async_trait::async_trait;
use jetway_state::Incarnation;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::Mutex;

/// The error of a metrics store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// The store could not be read or written.
    #[error("I/O error: {0}")]
    Io(String),
    /// The store has no metrics of the run.
    #[error("Metrics not found")]
    NotFound,
    /// Any other error.
    #[error("Other error: {0}")]
    Other(String),
}

impl From<MetricsError> for jetway_state::Error {
    fn from(error: MetricsError) -> Self {
        match error {
            MetricsError::NotFound => Self::NotStarted,
            MetricsError::Io(_) | MetricsError::Other(_) => Self::Storage(error.to_string()),
        }
    }
}

/// Stores the metrics of runs: how many work items they have, and how these ended.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use jetway_core::distributed::{InMemoryMetricsStore, MetricsStore, RunMetrics};
///
/// let store = InMemoryMetricsStore::default();
/// let done = |completed| RunMetrics { total_work_items: 3, completed, failed: 0, retries: 0 };
/// store.raise_metrics("r1", done(2)).await?;
/// // An older value changes nothing.
/// store.raise_metrics("r1", done(1)).await?;
/// assert_eq!(store.get_metrics("r1").await?, Some(done(2)));
/// # Ok::<_, jetway_core::distributed::MetricsError>(()) }).unwrap();
/// ```
#[async_trait]
pub trait MetricsStore: Send + Sync {
    /// Replaces the metrics of a run.
    ///
    /// # Errors
    /// The error of the store.
    async fn update_metrics(&self, run_id: &str, metrics: RunMetrics) -> Result<(), MetricsError>;

    /// The metrics of a run; `None` where there are none. Where several incarnations of the run id have some, those of the
    /// one that appeared last.
    ///
    /// # Errors
    /// The error of the store.
    async fn get_metrics(&self, run_id: &str) -> Result<Option<RunMetrics>, MetricsError>;

    /// Adds `more` to the metrics of a run: see [`RunMetrics::plus`].
    ///
    /// The default reads and then writes, so it may lose what another writer adds at the same time. Override it where
    /// the store can do this atomically.
    ///
    /// # Errors
    /// The error of the store.
    async fn add_metrics(&self, run_id: &str, more: RunMetrics) -> Result<(), MetricsError> {
        let known = self.get_metrics(run_id).await?.unwrap_or_default();
        self.update_metrics(run_id, known.plus(more)).await
    }

    /// Raises each metric of a run to at least that of `known`: see [`RunMetrics::at_least`].
    ///
    /// The default reads and then writes, so it may overwrite what another writer writes at the same time. Override it
    /// where the store can do this atomically.
    ///
    /// # Errors
    /// The error of the store.
    async fn raise_metrics(&self, run_id: &str, known: RunMetrics) -> Result<(), MetricsError> {
        let kept = self.get_metrics(run_id).await?.unwrap_or_default();
        self.update_metrics(run_id, kept.at_least(known)).await
    }

    /// As [`add_metrics`](Self::add_metrics), for one incarnation of a run: a run id can be used again.
    ///
    /// The default forgets the incarnation, so that the metrics of a run that has its id from an earlier one include those of
    /// that one. Override this and the next two where the store can keep them apart.
    ///
    /// # Errors
    /// The error of the store.
    async fn add_metrics_of(
        &self,
        run_id: &str,
        incarnation: Incarnation,
        more: RunMetrics,
    ) -> Result<(), MetricsError> {
        let _ignored = incarnation;
        self.add_metrics(run_id, more).await
    }

    /// As [`raise_metrics`](Self::raise_metrics), for one incarnation of a run. The default forgets the incarnation.
    ///
    /// # Errors
    /// The error of the store.
    async fn raise_metrics_of(
        &self,
        run_id: &str,
        incarnation: Incarnation,
        known: RunMetrics,
    ) -> Result<(), MetricsError> {
        let _ignored = incarnation;
        self.raise_metrics(run_id, known).await
    }

    /// The metrics of one incarnation of a run; `None` where there are none. The default returns those of the run id.
    ///
    /// # Errors
    /// The error of the store.
    async fn get_metrics_of(
        &self,
        run_id: &str,
        incarnation: Incarnation,
    ) -> Result<Option<RunMetrics>, MetricsError> {
        let _ignored = incarnation;
        self.get_metrics(run_id).await
    }
}

/// Metrics in memory. Clones share the store.
#[derive(Debug, Clone, Default)]
pub struct InMemoryMetricsStore(Arc<Mutex<HashMap<String, ByIncarnation<RunMetrics>>>>);

impl InMemoryMetricsStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    async fn change(&self, run_id: &str, change: impl FnOnce(&mut ByIncarnation<RunMetrics>)) {
        change(self.0.lock().await.entry(run_id.to_owned()).or_default());
    }
}

#[async_trait]
impl MetricsStore for InMemoryMetricsStore {
    async fn update_metrics(&self, run_id: &str, metrics: RunMetrics) -> Result<(), MetricsError> {
        self.change(run_id, |kept| *kept.latest_mut() = metrics).await;
        Ok(())
    }

    async fn get_metrics(&self, run_id: &str) -> Result<Option<RunMetrics>, MetricsError> {
        Ok(self.0.lock().await.get(run_id).and_then(ByIncarnation::latest).copied())
    }

    async fn add_metrics(&self, run_id: &str, more: RunMetrics) -> Result<(), MetricsError> {
        self.change(run_id, |kept| *kept.latest_mut() = kept.latest_mut().plus(more)).await;
        Ok(())
    }

    async fn raise_metrics(&self, run_id: &str, known: RunMetrics) -> Result<(), MetricsError> {
        self.change(run_id, |kept| *kept.latest_mut() = kept.latest_mut().at_least(known)).await;
        Ok(())
    }

    async fn add_metrics_of(
        &self,
        run_id: &str,
        incarnation: Incarnation,
        more: RunMetrics,
    ) -> Result<(), MetricsError> {
        self.change(run_id, |kept| *kept.of_mut(incarnation) = kept.of_mut(incarnation).plus(more)).await;
        Ok(())
    }

    async fn raise_metrics_of(
        &self,
        run_id: &str,
        incarnation: Incarnation,
        known: RunMetrics,
    ) -> Result<(), MetricsError> {
        self.change(run_id, |kept| *kept.of_mut(incarnation) = kept.of_mut(incarnation).at_least(known))
            .await;
        Ok(())
    }

    async fn get_metrics_of(
        &self,
        run_id: &str,
        incarnation: Incarnation,
    ) -> Result<Option<RunMetrics>, MetricsError> {
        Ok(self.0.lock().await.get(run_id).and_then(|kept| kept.of(incarnation)).copied())
    }
}
