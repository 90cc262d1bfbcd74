//! The store of failed attempts.

use super::WorkflowError;
use async_trait::async_trait;
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

    /// The failed attempts of a run, in the order in which they were recorded.
    ///
    /// # Errors
    /// The error of the store.
    async fn get_errors(&self, run_id: &str) -> Result<Vec<WorkflowError>, ErrorStoreError>;
}

/// Failed attempts in memory. Clones share the store.
#[derive(Debug, Clone, Default)]
pub struct InMemoryErrorStore(Arc<Mutex<HashMap<String, Vec<WorkflowError>>>>);

impl InMemoryErrorStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl ErrorStore for InMemoryErrorStore {
    async fn record_error(&self, run_id: &str, error: WorkflowError) -> Result<(), ErrorStoreError> {
        self.0.lock().await.entry(run_id.to_owned()).or_default().push(error);
        Ok(())
    }

    async fn get_errors(&self, run_id: &str) -> Result<Vec<WorkflowError>, ErrorStoreError> {
        Ok(self.0.lock().await.get(run_id).cloned().unwrap_or_default())
    }
}
