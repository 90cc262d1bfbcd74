//! The store of failed attempts.

use super::{
    WorkflowError,
    by_incarnation::{RecordedError, errors_of},
};
use async_trait::async_trait;
use jetway_state::Incarnation;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::Mutex;

/// The error of an error store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ErrorStoreError {
    /// The store could not be read or written.
    #[error("I/O error: {0}")]
    Io(String),
    /// Any other error.
    #[error("Other error: {0}")]
    Other(String),
}

impl From<ErrorStoreError> for jetway_state::Error {
    fn from(error: ErrorStoreError) -> Self {
        Self::Storage(error.to_string())
    }
}

/// Stores the failed attempts of runs, including those that are retried.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use jetway_core::distributed::{ErrorStore, InMemoryErrorStore, WorkflowError};
///
/// let store = InMemoryErrorStore::default();
/// let (work_item, error) = ("Fetch(start)".to_owned(), "no route to host".to_owned());
/// let failed = WorkflowError { work_item, error, attempt: 1, timestamp: chrono::Utc::now() };
/// store.record_error("r1", failed.clone()).await?;
/// assert_eq!(store.get_errors("r1").await?, [failed]);
/// # Ok::<_, jetway_core::distributed::ErrorStoreError>(()) }).unwrap();
/// ```
#[async_trait]
pub trait ErrorStore: Send + Sync {
    /// Appends a failed attempt of a run.
    ///
    /// # Errors
    /// The error of the store.
    async fn record_error(&self, run_id: &str, error: WorkflowError) -> Result<(), ErrorStoreError>;

    /// The failed attempts of a run, in the order in which they were recorded. Where several incarnations of the run id have
    /// some, those of the one that appeared last.
    ///
    /// # Errors
    /// The error of the store.
    async fn get_errors(&self, run_id: &str) -> Result<Vec<WorkflowError>, ErrorStoreError>;

    /// Appends a failed attempt of one incarnation of a run: a run id can be used again while an attempt of the earlier run
    /// still runs.
    ///
    /// The default forgets the incarnation, so that the errors of a run that has its id from an earlier one include those of
    /// that one. Override it, and [`get_errors_of`](Self::get_errors_of), where the store can keep them apart.
    ///
    /// # Errors
    /// The error of the store.
    async fn record_error_of(
        &self,
        run_id: &str,
        incarnation: Incarnation,
        error: WorkflowError,
    ) -> Result<(), ErrorStoreError> {
        let _ignored = incarnation;
        self.record_error(run_id, error).await
    }

    /// The failed attempts of one incarnation of a run, and those that were recorded without an incarnation. The default
    /// returns those of all incarnations.
    ///
    /// # Errors
    /// The error of the store.
    async fn get_errors_of(
        &self,
        run_id: &str,
        incarnation: Incarnation,
    ) -> Result<Vec<WorkflowError>, ErrorStoreError> {
        let _ignored = incarnation;
        self.get_errors(run_id).await
    }
}

/// Failed attempts in memory. Clones share the store.
#[derive(Debug, Clone, Default)]
pub struct InMemoryErrorStore(Arc<Mutex<HashMap<String, Vec<RecordedError>>>>);

impl InMemoryErrorStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    async fn record(&self, run_id: &str, recorded: RecordedError) {
        self.0.lock().await.entry(run_id.to_owned()).or_default().push(recorded);
    }

    async fn recorded(&self, run_id: &str) -> Vec<RecordedError> {
        self.0.lock().await.get(run_id).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl ErrorStore for InMemoryErrorStore {
    async fn record_error(&self, run_id: &str, error: WorkflowError) -> Result<(), ErrorStoreError> {
        self.record(run_id, RecordedError { incarnation: None, error }).await;
        Ok(())
    }

    async fn get_errors(&self, run_id: &str) -> Result<Vec<WorkflowError>, ErrorStoreError> {
        Ok(errors_of(self.recorded(run_id).await, None))
    }

    async fn record_error_of(
        &self,
        run_id: &str,
        incarnation: Incarnation,
        error: WorkflowError,
    ) -> Result<(), ErrorStoreError> {
        self.record(run_id, RecordedError { incarnation: Some(incarnation), error }).await;
        Ok(())
    }

    async fn get_errors_of(
        &self,
        run_id: &str,
        incarnation: Incarnation,
    ) -> Result<Vec<WorkflowError>, ErrorStoreError> {
        Ok(errors_of(self.recorded(run_id).await, Some(incarnation)))
    }
}
