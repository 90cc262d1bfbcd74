//! Where it is kept how work items fare.

use crate::WorkItem;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use tokio::sync::Mutex;

/// How a work item fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum WorkItemStatus {
    /// It waits for a worker.
    #[default]
    Pending,
    /// A worker runs it.
    InProgress,
    /// The last attempt failed.
    Failed,
    /// The last attempt failed, and there will be another one.
    WaitingRetry,
    /// It failed for good.
    PermanentlyFailed,
    /// It is done.
    Completed,
}

/// What goes wrong with a store of work item states.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkItemStateStoreError {
    /// The store could not be read or written.
    #[error("I/O error: {0}")]
    Io(String),
    /// The store does not know the item.
    #[error("Work item not found")]
    NotFound,
    /// Anything else.
    #[error("Other error: {0}")]
    Other(String),
}

impl From<WorkItemStateStoreError> for jetway_state::Error {
    fn from(error: WorkItemStateStoreError) -> Self {
        Self::Storage(error.to_string())
    }
}

/// How one work item fares.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct WorkItemState<W: WorkItem> {
    /// How it fares.
    pub status: WorkItemStatus,
    /// How many attempts at it were begun.
    pub attempts: u32,
    /// The item.
    pub work_item: W,
}

/// Keeps how work items fare, and counts the attempts at them. Items are told apart by their run and their
/// [`instance_id`](WorkItem::instance_id).
///
/// The status is for people. The attempts are not: they bound retries, so they are counted at once and durably.
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
    /// How an item fares; [`WorkItemStatus::Pending`] where nothing is known of it.
    ///
    /// # Errors
    /// What the store failed with.
    async fn get_status(&self, run_id: &str, item: &W) -> Result<WorkItemStatus, WorkItemStateStoreError>;

    /// Sets how an item fares.
    ///
    /// # Errors
    /// What the store failed with.
    async fn set_status(
        &self,
        run_id: &str,
        item: &W,
        status: WorkItemStatus,
    ) -> Result<(), WorkItemStateStoreError>;

    /// How many attempts at an item were begun; 0 where nothing is known of it.
    ///
    /// # Errors
    /// What the store failed with.
    async fn get_attempts(&self, run_id: &str, item: &W) -> Result<u32, WorkItemStateStoreError>;

    /// Counts an attempt at an item. Returns which one it is, from 1: two callers never get the same number.
    ///
    /// # Errors
    /// What the store failed with.
    async fn increment_attempts(&self, run_id: &str, item: &W) -> Result<u32, WorkItemStateStoreError>;

    /// Forgets the attempts at an item.
    ///
    /// # Errors
    /// What the store failed with.
    async fn reset_attempts(&self, run_id: &str, item: &W) -> Result<(), WorkItemStateStoreError>;

    /// The items of a run that anything is known of, by their ids.
    ///
    /// # Errors
    /// What the store failed with.
    async fn get_all(&self, run_id: &str) -> Result<Vec<WorkItemState<W>>, WorkItemStateStoreError>;
}

/// The items of runs, by run and by id.
type Runs<W> = HashMap<String, BTreeMap<String, WorkItemState<W>>>;

/// Work item states in memory. Clones share the store.
#[derive(Debug, Clone)]
pub struct InMemoryWorkItemStateStore<W: WorkItem>(Arc<Mutex<Runs<W>>>);

impl<W: WorkItem> InMemoryWorkItemStateStore<W> {
    /// An empty store.
    pub fn new() -> Self {
        Self(Arc::default())
    }

    async fn known<R>(&self, run_id: &str, item: &W, read: impl FnOnce(&WorkItemState<W>) -> R) -> Option<R> {
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
        Ok(self.known(run_id, item, |state| state.status).await.unwrap_or_default())
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
        Ok(self.known(run_id, item, |state| state.attempts).await.unwrap_or_default())
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
