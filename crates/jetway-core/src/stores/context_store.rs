//! The store of the contexts and snapshots of runs.

use crate::{Context, Merge, clock::Clock};
use async_trait::async_trait;
use bytes::Bytes;
use jetway_state::{Error, run::Snapshot, value};
use std::{collections::HashMap, fmt, marker::PhantomData, sync::Arc};
use tokio::sync::Mutex;

/// The error of a context store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ContextStoreError {
    /// The store could not be read or written.
    #[error("I/O error: {0}")]
    Io(String),
    /// Any other error.
    #[error("Other error: {0}")]
    Other(String),
}

impl From<ContextStoreError> for Error {
    fn from(error: ContextStoreError) -> Self {
        Self::Storage(error.to_string())
    }
}

/// Stores the contexts of runs and, where it can, their snapshots.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use jetway_core::{Counter, distributed::{ContextStore, InMemoryContextStore}};
///
/// let store = InMemoryContextStore::default();
/// store.set("r1", Counter::new(2)).await?;
/// store.merge("r1", Counter::new(3)).await?;
/// assert_eq!(store.get("r1").await?, Some(Counter::new(5)));
/// # Ok::<_, jetway_core::distributed::ContextStoreError>(()) }).unwrap();
/// ```
///
/// The first three methods are required. A store that also implements the last three keeps snapshots: steps over it are
/// all or nothing, and committed once.
#[async_trait]
pub trait ContextStore<C: Context + Merge + Default>: Send + Sync {
    /// The context of a run; `None` where there is none.
    ///
    /// # Errors
    /// The error of the store.
    async fn get(&self, run_id: &str) -> Result<Option<C>, ContextStoreError>;

    /// Replaces the context of a run, or adds it.
    ///
    /// # Errors
    /// The error of the store.
    async fn set(&self, run_id: &str, ctx: C) -> Result<(), ContextStoreError>;

    /// Merges `ctx` into the stored context of a run.
    ///
    /// # Errors
    /// The error of the store.
    async fn merge(&self, run_id: &str, ctx: C) -> Result<(), ContextStoreError>;

    /// The clock that all users of the store share. The start of a run takes its time from it, whatever the clocks of their
    /// machines say. `None`, which is the default: the store has no clock, and the time is that of the starter's context.
    fn clock(&self) -> Option<Arc<dyn Clock>> {
        None
    }

    /// Whether the store keeps snapshots. The default is no.
    fn keeps_snapshots(&self) -> bool {
        false
    }

    /// The latest snapshot of a run and its revision; `None` where there is none. No revision of a run id is ever used again,
    /// also where the run was removed and another one has the id: a step of the earlier run may still hold it.
    ///
    /// # Errors
    /// The error of the store. [`ContextStoreError::Other`] where it keeps no snapshots.
    async fn snapshot(&self, run_id: &str) -> Result<Option<(Snapshot, u64)>, ContextStoreError> {
        Err(ContextStoreError::Other(format!("run {run_id:?}: this context store keeps no snapshots")))
    }

    /// Compare-and-swap: replaces the snapshot of a run if its revision is `expected`; 0 stands for no snapshot.
    /// Returns whether it was replaced. Also replaces the context of the run by that of the snapshot.
    ///
    /// # Errors
    /// The error of the store. [`ContextStoreError::Other`] where it keeps no snapshots.
    async fn swap_snapshot(
        &self,
        run_id: &str,
        expected: u64,
        snapshot: &Snapshot,
    ) -> Result<bool, ContextStoreError> {
        let _ignored = (expected, snapshot);
        Err(ContextStoreError::Other(format!("run {run_id:?}: this context store keeps no snapshots")))
    }
}

/// Contexts and snapshots in memory. They are entry encoded, so that a context that was read shares no value with the
/// stored one. Clones share the store.
pub struct InMemoryContextStore<C> {
    runs: Arc<Mutex<Runs>>,
    context: PhantomData<fn() -> C>,
}

#[derive(Default)]
struct Runs {
    entries: HashMap<String, Entry>,
    /// The latest revision of any run.
    revision: u64,
}

impl Runs {
    fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    fn replace(&mut self, run_id: &str, context: Bytes) {
        let revision = self.next_revision();
        let entry = self.entries.entry(run_id.to_owned()).or_default();
        if let Some(snapshot) = &mut entry.snapshot {
            snapshot.context = context.clone();
        }
        (entry.context, entry.revision) = (context, revision);
    }
}

#[derive(Default)]
struct Entry {
    context: Bytes,
    snapshot: Option<Snapshot>,
    revision: u64,
}

impl<C> InMemoryContextStore<C> {
    /// An empty store.
    pub fn new() -> Self {
        Self { runs: Arc::default(), context: PhantomData }
    }

    /// Removes the context and the snapshot of a run, whatever its status. Its id can then be used again. Does nothing where
    /// there is none.
    pub async fn remove(&self, run_id: &str) {
        self.runs.lock().await.entries.remove(run_id);
    }
}

impl<C> Default for InMemoryContextStore<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Clone for InMemoryContextStore<C> {
    fn clone(&self) -> Self {
        Self { runs: Arc::clone(&self.runs), context: PhantomData }
    }
}

impl<C> fmt::Debug for InMemoryContextStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemoryContextStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl<C: Context + Merge + Default> ContextStore<C> for InMemoryContextStore<C> {
    async fn get(&self, run_id: &str) -> Result<Option<C>, ContextStoreError> {
        let bytes = self.runs.lock().await.entries.get(run_id).map(|entry| entry.context.clone());
        bytes.map(|bytes| decode(&bytes)).transpose()
    }

    async fn set(&self, run_id: &str, ctx: C) -> Result<(), ContextStoreError> {
        let context = encode(&ctx)?;
        self.runs.lock().await.replace(run_id, context);
        Ok(())
    }

    async fn merge(&self, run_id: &str, ctx: C) -> Result<(), ContextStoreError> {
        let mut runs = self.runs.lock().await;
        let mut merged =
            runs.entries.get(run_id).map(|entry| decode(&entry.context)).transpose()?.unwrap_or_default();
        C::merge(&mut merged, ctx);
        let context = encode(&merged)?;
        runs.replace(run_id, context);
        Ok(())
    }

    fn keeps_snapshots(&self) -> bool {
        true
    }

    async fn snapshot(&self, run_id: &str) -> Result<Option<(Snapshot, u64)>, ContextStoreError> {
        let runs = self.runs.lock().await;
        Ok(runs.entries.get(run_id).and_then(|entry| Some((entry.snapshot.clone()?, entry.revision))))
    }

    async fn swap_snapshot(
        &self,
        run_id: &str,
        expected: u64,
        snapshot: &Snapshot,
    ) -> Result<bool, ContextStoreError> {
        let mut runs = self.runs.lock().await;
        // Checked before an entry is created, so that a failed swap creates none.
        let found = runs
            .entries
            .get(run_id)
            .filter(|entry| entry.snapshot.is_some())
            .map_or(0, |entry| entry.revision);
        if found != expected {
            return Ok(false);
        }
        let (context, revision) = (snapshot.context.clone(), runs.next_revision());
        runs.entries.insert(run_id.to_owned(), Entry { context, snapshot: Some(snapshot.clone()), revision });
        Ok(true)
    }
}

fn encode<C: Context>(context: &C) -> Result<Bytes, ContextStoreError> {
    value::write_opaque(context, &"the context").map_err(|error| ContextStoreError::Other(error.to_string()))
}

fn decode<C: Context>(bytes: &[u8]) -> Result<C, ContextStoreError> {
    value::read(bytes, &"the context").map_err(|error| ContextStoreError::Other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Counter, Workflow,
        stores::InMemoryWorkQueue,
        workers::testing::{Fan, started},
    };

    async fn snapshot(contexts: &InMemoryContextStore<Counter>) -> (Snapshot, u64) {
        contexts.snapshot("r").await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn h3_a_step_of_a_removed_run_does_not_replace_the_later_one() {
        let (contexts, queue) = (InMemoryContextStore::<Counter>::new(), InMemoryWorkQueue::new());
        let start = async |branches| {
            Fan::new().start_distributed(&started(), branches, &contexts, &queue, "r").await.unwrap();
        };
        start(1).await;
        let (earlier, revision) = snapshot(&contexts).await;
        contexts.remove("r").await;
        start(2).await;
        let (later, _) = snapshot(&contexts).await;
        assert_ne!(earlier.incarnation, later.incarnation);
        assert!(!contexts.swap_snapshot("r", revision, &earlier).await.unwrap());
        assert_eq!(snapshot(&contexts).await.0, later);
    }
}
