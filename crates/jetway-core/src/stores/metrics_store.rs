//! Where the numbers of runs are kept.

use super::RunMetrics;
use async_trait::async_trait;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::Mutex;

/// What goes wrong with a store of metrics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// The store could not be read or written.
    #[error("I/O error: {0}")]
    Io(String),
    /// The store has no numbers of the run.
    #[error("Metrics not found")]
    NotFound,
    /// Anything else.
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

/// Keeps the numbers of runs.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use jetway_core::distributed::{InMemoryMetricsStore, MetricsStore, RunMetrics};
///
/// let store = InMemoryMetricsStore::default();
/// let done = |completed| RunMetrics { total_work_items: 3, completed, failed: 0, retries: 0 };
/// store.raise_metrics("r1", done(2)).await?;
/// // What comes late takes nothing back.
/// store.raise_metrics("r1", done(1)).await?;
/// assert_eq!(store.get_metrics("r1").await?, Some(done(2)));
/// # Ok::<_, jetway_core::distributed::MetricsError>(()) }).unwrap();
/// ```
#[async_trait]
pub trait MetricsStore: Send + Sync {
    /// Replaces the numbers of a run.
    ///
    /// # Errors
    /// What the store failed with.
    async fn update_metrics(&self, run_id: &str, metrics: RunMetrics) -> Result<(), MetricsError>;

    /// The numbers of a run; `None` where there are none.
    ///
    /// # Errors
    /// What the store failed with.
    async fn get_metrics(&self, run_id: &str) -> Result<Option<RunMetrics>, MetricsError>;

    /// Adds to the numbers of a run, see [`RunMetrics::plus`].
    ///
    /// A store that can do so does this at once. Where it is not overridden, what another writer adds meanwhile is
    /// lost.
    ///
    /// # Errors
    /// What the store failed with.
    async fn add_metrics(&self, run_id: &str, more: RunMetrics) -> Result<(), MetricsError> {
        let known = self.get_metrics(run_id).await?.unwrap_or_default();
        self.update_metrics(run_id, known.plus(more)).await
    }

    /// Makes none of the numbers of a run smaller than these, see [`RunMetrics::at_least`].
    ///
    /// A store that can do so does this at once. Where it is not overridden, another writer may come between.
    ///
    /// # Errors
    /// What the store failed with.
    async fn raise_metrics(&self, run_id: &str, known: RunMetrics) -> Result<(), MetricsError> {
        let kept = self.get_metrics(run_id).await?.unwrap_or_default();
        self.update_metrics(run_id, kept.at_least(known)).await
    }
}

/// Numbers in memory. Clones share the store.
#[derive(Debug, Clone, Default)]
pub struct InMemoryMetricsStore(Arc<Mutex<HashMap<String, RunMetrics>>>);

impl InMemoryMetricsStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl MetricsStore for InMemoryMetricsStore {
    async fn update_metrics(&self, run_id: &str, metrics: RunMetrics) -> Result<(), MetricsError> {
        self.0.lock().await.insert(run_id.to_owned(), metrics);
        Ok(())
    }

    async fn get_metrics(&self, run_id: &str) -> Result<Option<RunMetrics>, MetricsError> {
        Ok(self.0.lock().await.get(run_id).copied())
    }

    async fn add_metrics(&self, run_id: &str, more: RunMetrics) -> Result<(), MetricsError> {
        let mut runs = self.0.lock().await;
        let kept = runs.entry(run_id.to_owned()).or_default();
        *kept = kept.plus(more);
        Ok(())
    }

    async fn raise_metrics(&self, run_id: &str, known: RunMetrics) -> Result<(), MetricsError> {
        let mut runs = self.0.lock().await;
        let kept = runs.entry(run_id.to_owned()).or_default();
        *kept = kept.at_least(known);
        Ok(())
    }
}
