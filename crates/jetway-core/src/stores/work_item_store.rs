//! The store of the status and the attempts of work items.

use crate::WorkItem;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use tokio::sync::Mutex;

/// The status of a work item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum WorkItemStatus {
    /// It waits for a worker.
    #[default]
    Pending,
    /// A worker executes it.
    InProgress,
    /// The last attempt failed.
    Failed,
    /// The last attempt failed and will be retried.
    WaitingRetry,
    /// The last attempt failed and will not be retried.
    PermanentlyFailed,
    /// It is done.
    Completed,
}

/// The error of a store of work item states.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkItemStateStoreError {
    /// The store could not be read or written.
    #[error("I/O error: {0}")]
    Io(String),
    /// The store does not have the item.
    #[error("Work item not found")]
    NotFound,
    /// Any other error.
    #[error("Other error: {0}")]
    Other(String),
}

impl From<WorkItemStateStoreError> for jetway_state::Error {
    fn from(error: WorkItemStateStoreError) -> Self {
        Self::Storage(error.to_string())
    }
}

/// A work item with its status and attempts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct WorkItemState<W: WorkItem> {
    /// The status.
    pub status: WorkItemStatus,
    /// The number of attempts that have begun.
    pub attempts: u32,
    /// The item.
    pub work_item: W,
}

/// Stores the status of work items and counts their attempts. The run id and the
/// [`instance_id`](WorkItem::instance_id) identify an item.
///
/// The status is for people. The number of attempts limits retries, so it must be durable.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
/// # struct Item(String);
/// # impl std::fmt::Display for Item {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(&self.0) }
/// # }
/// # impl jetway_core::WorkItem for Item {
/// #     fn instance_id(&self) -> String { self.0.clone() }
/// #     fn is_terminal(&self) -> bool { false }
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use jetway_core::distributed::{InMemoryWorkItemStateStore, WorkItemStateStore, WorkItemStatus};
///
/// let store = InMemoryWorkItemStateStore::default();
/// let item = Item("start".into());
/// assert_eq!(store.get_status("r1", &item).await?, WorkItemStatus::Pending);
/// assert_eq!(store.increment_attempts("r1", &item).await?, 1);
/// assert_eq!(store.increment_attempts("r1", &item).await?, 2);
/// # Ok::<_, jetway_core::distributed::WorkItemStateStoreError>(()) }).unwrap();
/// ```
#[async_trait]
pub trait WorkItemStateStore<W: WorkItem>: Send + Sync {
    /// The status of an item; [`WorkItemStatus::Pending`] where the store does not have it.
    ///
    /// # Errors
    /// The error of the store.
    async fn get_status(&self, run_id: &str, item: &W) -> Result<WorkItemStatus, WorkItemStateStoreError>;

    /// Sets the status of an item, or adds it.
    ///
    /// # Errors
    /// The error of the store.
    async fn set_status(
        &self,
        run_id: &str,
        item: &W,
        status: WorkItemStatus,
    ) -> Result<(), WorkItemStateStoreError>;

    /// The number of attempts at an item that have begun; 0 where the store does not have it.
    ///
    /// # Errors
    /// The error of the store.
    async fn get_attempts(&self, run_id: &str, item: &W) -> Result<u32, WorkItemStateStoreError>;

    /// Counts an attempt at an item and returns its number, from 1. Must be atomic: two callers never get the same
    /// number.
    ///
    /// # Errors
    /// The error of the store.
    async fn increment_attempts(&self, run_id: &str, item: &W) -> Result<u32, WorkItemStateStoreError>;

    /// Sets the number of attempts at an item to 0.
    ///
    /// # Errors
    /// The error of the store.
    async fn reset_attempts(&self, run_id: &str, item: &W) -> Result<(), WorkItemStateStoreError>;

    /// The items of a run that the store has, ordered by id.
    ///
    /// # Errors
    /// The error of the store.
    async fn get_all(&self, run_id: &str) -> Result<Vec<WorkItemState<W>>, WorkItemStateStoreError>;
}

/// The items by run id and item id.
type Runs<W> = HashMap<String, BTreeMap<String, WorkItemState<W>>>;

/// Work item states in memory. Clones share the store.
#[derive(Debug, Clone)]
pub struct InMemoryWorkItemStateStore<W: WorkItem>(Arc<Mutex<Runs<W>>>);

impl<W: WorkItem> InMemoryWorkItemStateStore<W> {
    /// An empty store.
    pub fn new() -> Self {
        Self(Arc::default())
    }

    async fn read<R>(&self, run_id: &str, item: &W, read: impl FnOnce(&WorkItemState<W>) -> R) -> Option<R> {
        self.0.lock().await.get(run_id)?.get(&item.instance_id()).map(read)
    }

    async fn change<R>(&self, run_id: &str, item: &W, change: impl FnOnce(&mut WorkItemState<W>) -> R) -> R {
        let mut runs = self.0.lock().await;
        let state = runs.entry(run_id.to_owned()).or_default().entry(item.instance_id());
        let new = || WorkItemState { status: WorkItemStatus::Pending, attempts: 0, work_item: item.clone() };
        change(state.or_insert_with(new))
    }
}

impl<W: WorkItem> Default for InMemoryWorkItemStateStore<W> {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl<W: WorkItem> WorkItemStateStore<W> for InMemoryWorkItemStateStore<W> {
    async fn get_status(&self, run_id: &str, item: &W) -> Result<WorkItemStatus, WorkItemStateStoreError> {
        Ok(self.read(run_id, item, |state| state.status).await.unwrap_or_default())
    }

    async fn set_status(
        &self,
        run_id: &str,
        item: &W,
        status: WorkItemStatus,
    ) -> Result<(), WorkItemStateStoreError> {
        self.change(run_id, item, |state| state.status = status).await;
        Ok(())
    }

    async fn get_attempts(&self, run_id: &str, item: &W) -> Result<u32, WorkItemStateStoreError> {
        Ok(self.read(run_id, item, |state| state.attempts).await.unwrap_or_default())
    }

    async fn increment_attempts(&self, run_id: &str, item: &W) -> Result<u32, WorkItemStateStoreError> {
        let count = |state: &mut WorkItemState<W>| {
            state.attempts = state.attempts.saturating_add(1);
            state.attempts
        };
        Ok(self.change(run_id, item, count).await)
    }

    async fn reset_attempts(&self, run_id: &str, item: &W) -> Result<(), WorkItemStateStoreError> {
        self.change(run_id, item, |state| state.attempts = 0).await;
        Ok(())
    }

    async fn get_all(&self, run_id: &str) -> Result<Vec<WorkItemState<W>>, WorkItemStateStoreError> {
        let runs = self.0.lock().await;
        Ok(runs.get(run_id).map(|items| items.values().cloned().collect()).unwrap_or_default())
    }
}
