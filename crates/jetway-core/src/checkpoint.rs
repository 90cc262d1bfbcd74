//! Saving a run within a process, so that it can go on after a crash.

mod files;

pub use files::FileCheckpointStore;

use crate::{Context, WorkItem};
use async_trait::async_trait;
use jetway_state::run::Snapshot;
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
};
use tokio::sync::Mutex;

/// A run within a process, as it stood after a step.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Checkpoint<C: Context, WI: WorkItem> {
    /// The context.
    pub context: C,
    /// The work items to come, in order.
    pub queue: VecDeque<WI>,
    /// The run's record: outputs, and what waits for gathering nodes. A checkpoint without it starts from the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Snapshot>,
}

impl<C: Context, WI: WorkItem> Checkpoint<C, WI> {
    /// A context and the work items to come, without a record: a place to begin. For a run that has begun, see
    /// [`with_record`](Self::with_record).
    pub fn new(context: C, queue: VecDeque<WI>) -> Self {
        Self { context, queue, record: None }
    }

    /// A checkpoint as it was saved, for stores that keep its parts apart. Without its [`record`](Self::record) a run
    /// goes on from the queue alone: its outputs and the values that wait for gathering nodes are lost.
    ///
    /// ```
    /// use jetway_core::{Checkpoint, Context, WorkItem};
    ///
    /// fn load<C: Context, WI: WorkItem>(parts: [&str; 3]) -> serde_json::Result<Checkpoint<C, WI>> {
    ///     let [context, queue, record] = parts;
    ///     let (context, queue) = (serde_json::from_str(context)?, serde_json::from_str(queue)?);
    ///     Ok(Checkpoint::with_record(context, queue, serde_json::from_str(record)?))
    /// }
    /// ```
    pub fn with_record(context: C, queue: VecDeque<WI>, record: Snapshot) -> Self {
        Self { context, queue, record: Some(record) }
    }
}

/// What goes wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The store could not be read or written.
    #[error("I/O error: {0}")]
    Io(#[from] std::io::Error),
    /// The store refused; the text says why.
    #[error("Store error: {0}")]
    Store(String),
}

impl From<CheckpointError> for jetway_state::Error {
    fn from(error: CheckpointError) -> Self {
        Self::Storage(error.to_string())
    }
}

/// Keeps checkpoints by the id of their run.
///
/// ```
/// use jetway_core::{Checkpoint, CheckpointError, CheckpointStore, Context, WorkItem};
/// use std::{collections::HashMap, sync::Mutex};
///
/// /// Checkpoints as JSON.
/// #[derive(Default)]
/// struct Saved(Mutex<HashMap<String, String>>);
///
/// fn said(error: impl ToString) -> CheckpointError {
///     CheckpointError::Store(error.to_string())
/// }
///
/// #[async_trait::async_trait]
/// impl<C: Context, WI: WorkItem> CheckpointStore<C, WI> for Saved {
///     async fn save(&self, workflow_id: &str, checkpoint: &Checkpoint<C, WI>) -> Result<(), CheckpointError> {
///         let json = serde_json::to_string(checkpoint).map_err(said)?;
///         self.0.lock().map_err(said)?.insert(workflow_id.to_owned(), json);
///         Ok(())
///     }
///
///     async fn load(&self, workflow_id: &str) -> Result<Option<Checkpoint<C, WI>>, CheckpointError> {
///         let json = self.0.lock().map_err(said)?.get(workflow_id).cloned();
///         json.map(|json| serde_json::from_str(&json).map_err(said)).transpose()
///     }
/// }
/// ```
#[async_trait]
pub trait CheckpointStore<C: Context, WI: WorkItem> {
    /// Replaces the checkpoint of a run. Durable when this returns.
    ///
    /// # Errors
    /// What the store failed with: then the run stops where the last checkpoint stands.
    async fn save(&self, workflow_id: &str, checkpoint: &Checkpoint<C, WI>) -> Result<(), CheckpointError>;

    /// The last checkpoint of a run; `None` where there is none.
    ///
    /// # Errors
    /// What the store failed with, and a checkpoint that cannot be decoded.
    async fn load(&self, workflow_id: &str) -> Result<Option<Checkpoint<C, WI>>, CheckpointError>;
}

/// Checkpoints in memory, as they would be on a disk: encoded, so that a checkpoint shares nothing with the run that
/// goes on. Clones share the store.
#[derive(Clone)]
pub struct InMemoryCheckpointStore<C, WI> {
    saved: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    types: std::marker::PhantomData<fn() -> (C, WI)>,
}

impl<C, WI> InMemoryCheckpointStore<C, WI> {
    /// An empty store.
    pub fn new() -> Self {
        Self { saved: Arc::default(), types: std::marker::PhantomData }
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
        let bytes = jetway_state::codec::encode(checkpoint, "a checkpoint").map_err(|error| store(&error))?;
        self.saved.lock().await.insert(workflow_id.to_owned(), bytes.to_vec());
        Ok(())
    }

    async fn load(&self, workflow_id: &str) -> Result<Option<Checkpoint<C, WI>>, CheckpointError> {
        let bytes = self.saved.lock().await.get(workflow_id).cloned();
        bytes
            .map(|bytes| jetway_state::codec::decode(&bytes, "a checkpoint"))
            .transpose()
            .map_err(|error| store(&error))
    }
}

fn store(error: &jetway_state::Error) -> CheckpointError {
    CheckpointError::Store(error.to_string())
}
