//! Checkpoints: the saved state of a run within one process, from which it continues after a crash.

mod encoded;
mod files;

pub use files::FileCheckpointStore;

use crate::{Context, WorkItem};
use async_trait::async_trait;
use encoded::EncodedCheckpoint;
use jetway_state::{Error, run::Snapshot};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    marker::PhantomData,
    sync::Arc,
};
use tokio::sync::Mutex;

/// The state of a run within one process after a step.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Checkpoint<C: Context, WI: WorkItem> {
    /// The context.
    pub context: C,
    /// The pending work items, in the order in which they will be executed.
    pub queue: VecDeque<WI>,
    /// The run's snapshot, with its outputs and the values that wait for gathering nodes. A run without one starts from
    /// the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
}

impl<C: Context, WI: WorkItem> Checkpoint<C, WI> {
    /// A checkpoint of a run that has not begun: a context and work items, without a snapshot. For a run that has
    /// begun, use [`with_snapshot`](Self::with_snapshot).
    pub fn new(context: C, queue: VecDeque<WI>) -> Self {
        Self { context, queue, snapshot: None }
    }

    /// A checkpoint from its parts, for stores that save them separately. Keep the [`snapshot`](Self::snapshot) too:
    /// without it the run's outputs and the values that wait for gathering nodes are lost.
    ///
    /// ```
    /// use jetway_core::{Checkpoint, Context, WorkItem};
    ///
    /// fn load<C: Context, WI: WorkItem>(parts: [&str; 3]) -> serde_json::Result<Checkpoint<C, WI>> {
    ///     let [context, queue, snapshot] = parts;
    ///     let (context, queue) = (serde_json::from_str(context)?, serde_json::from_str(queue)?);
    ///     Ok(Checkpoint::with_snapshot(context, queue, serde_json::from_str(snapshot)?))
    /// }
    /// ```
    pub fn with_snapshot(context: C, queue: VecDeque<WI>, snapshot: Snapshot) -> Self {
        Self { context, queue, snapshot: Some(snapshot) }
    }

    /// Whether this checkpoint may replace one with the snapshot `stored`: both belong to the same run, which may have
    /// continued as new, or one of them names none. See [`CheckpointStore::replace`].
    pub fn continues(&self, stored: Option<&Snapshot>) -> bool {
        match (&self.snapshot, stored) {
            (Some(own), Some(stored)) => own.chain_id() == stored.chain_id(),
            _ => true,
        }
    }
}

/// The error of a checkpoint store.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The store could not be read or written.
    #[error("I/O error: {0}")]
    Io(#[from] std::io::Error),
    /// Any other error of the store, or a checkpoint that cannot be encoded or decoded.
    #[error("Store error: {0}")]
    Store(String),
}

impl From<CheckpointError> for Error {
    fn from(error: CheckpointError) -> Self {
        Self::Storage(error.to_string())
    }
}

/// Stores one checkpoint for each run, by the run's id.
///
/// ```
/// use jetway_core::{Checkpoint, CheckpointError, CheckpointStore, Context, WorkItem};
/// use std::{collections::HashMap, sync::Mutex};
///
/// /// Checkpoints as JSON.
/// #[derive(Default)]
/// struct Saved(Mutex<HashMap<String, String>>);
///
/// fn store_error(error: impl ToString) -> CheckpointError {
///     CheckpointError::Store(error.to_string())
/// }
///
/// #[async_trait::async_trait]
/// impl<C: Context, WI: WorkItem> CheckpointStore<C, WI> for Saved {
///     async fn save(&self, workflow_id: &str, checkpoint: &Checkpoint<C, WI>) -> Result<(), CheckpointError> {
///         let json = serde_json::to_string(checkpoint).map_err(store_error)?;
///         self.0.lock().map_err(store_error)?.insert(workflow_id.to_owned(), json);
///         Ok(())
///     }
///
///     async fn load(&self, workflow_id: &str) -> Result<Option<Checkpoint<C, WI>>, CheckpointError> {
///         let json = self.0.lock().map_err(store_error)?.get(workflow_id).cloned();
///         json.map(|json| serde_json::from_str(&json).map_err(store_error)).transpose()
///     }
/// }
/// ```
#[async_trait]
pub trait CheckpointStore<C: Context, WI: WorkItem> {
    /// Replaces the checkpoint of a run. It must be durable when this returns.
    ///
    /// # Errors
    /// The store's error. It stops the run, which can be resumed from the checkpoint before.
    async fn save(&self, workflow_id: &str, checkpoint: &Checkpoint<C, WI>) -> Result<(), CheckpointError>;

    /// Replaces the checkpoint of a run that goes on. Saves nothing where the store has none any more, or one of another
    /// incarnation: the checkpoint was removed, and the id may be in use by another run. Returns whether it was saved.
    ///
    /// The default saves in any case, so that a process that still runs an earlier run overwrites the checkpoint of the later
    /// one. Override it where checkpoints can be removed; [`Checkpoint::continues`] compares the incarnations.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    async fn replace(
        &self,
        workflow_id: &str,
        checkpoint: &Checkpoint<C, WI>,
    ) -> Result<bool, CheckpointError> {
        self.save(workflow_id, checkpoint).await?;
        Ok(true)
    }

    /// The last checkpoint of a run; `None` where there is none.
    ///
    /// # Errors
    /// The store's error, or a checkpoint that cannot be decoded.
    async fn load(&self, workflow_id: &str) -> Result<Option<Checkpoint<C, WI>>, CheckpointError>;
}

/// Checkpoints in memory. They are kept encoded, so that a checkpoint shares no value with the run. Clones share the
/// store.
#[derive(Clone)]
pub struct InMemoryCheckpointStore<C, WI> {
    saved: Arc<Mutex<HashMap<String, EncodedCheckpoint>>>,
    types: PhantomData<fn() -> (C, WI)>,
}

impl<C, WI> InMemoryCheckpointStore<C, WI> {
    /// An empty store.
    pub fn new() -> Self {
        Self { saved: Arc::default(), types: PhantomData }
    }

    /// Removes the checkpoint of a run. Does nothing where there is none.
    pub async fn remove(&self, workflow_id: &str) {
        self.saved.lock().await.remove(workflow_id);
    }
}

impl<C, WI> Default for InMemoryCheckpointStore<C, WI> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C, WI> fmt::Debug for InMemoryCheckpointStore<C, WI> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemoryCheckpointStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl<C: Context, WI: WorkItem> CheckpointStore<C, WI> for InMemoryCheckpointStore<C, WI> {
    async fn save(&self, workflow_id: &str, checkpoint: &Checkpoint<C, WI>) -> Result<(), CheckpointError> {
        let saved = encoded::write(checkpoint).map_err(|error| store(&error))?;
        self.saved.lock().await.insert(workflow_id.to_owned(), saved);
        Ok(())
    }

    async fn replace(
        &self,
        workflow_id: &str,
        checkpoint: &Checkpoint<C, WI>,
    ) -> Result<bool, CheckpointError> {
        let encoded = encoded::write(checkpoint).map_err(|error| store(&error))?;
        let mut saved = self.saved.lock().await;
        let known = saved.get_mut(workflow_id).filter(|known| checkpoint.continues(known.snapshot()));
        Ok(known.map(|known| *known = encoded).is_some())
    }

    async fn load(&self, workflow_id: &str) -> Result<Option<Checkpoint<C, WI>>, CheckpointError> {
        let saved = self.saved.lock().await.get(workflow_id).cloned();
        saved.map(|saved| encoded::read(&saved)).transpose().map_err(|error| store(&error))
    }
}

fn store(error: &Error) -> CheckpointError {
    CheckpointError::Store(error.to_string())
}
