//! Where runs keep their contexts.

use crate::{Context, Merge};
use async_trait::async_trait;
use bytes::Bytes;
use jetway_state::{codec, run::Snapshot};
use std::{collections::HashMap, fmt, sync::Arc};
use tokio::sync::Mutex;

/// What goes wrong with a context store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ContextStoreError {
    /// The store could not be read or written.
    #[error("I/O error: {0}")]
    Io(String),
    /// Anything else.
    #[error("Other error: {0}")]
    Other(String),
}

impl From<ContextStoreError> for jetway_state::Error {
    fn from(error: ContextStoreError) -> Self {
        Self::Storage(error.to_string())
    }
}

/// Keeps the contexts of runs and, where it can, their snapshots.
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
/// The first three methods make a store. With snapshots, steps over it are committed whole and once.
///
/// ```
/// use jetway_core::{Counter, ContextStore, distributed::{ContextStoreError, InMemoryContextStore}};
///
/// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
/// let store = InMemoryContextStore::<Counter>::new();
/// let two = Counter::default();
/// two.add(2);
/// store.set("run-1", two.clone()).await?;
/// // What is merged is added to what is kept.
/// store.merge("run-1", two).await?;
/// assert_eq!(store.get("run-1").await?.map(|kept| kept.get()), Some(4));
/// assert!(store.get("run-2").await?.is_none());
/// # Ok::<_, ContextStoreError>(()) }).expect("the store is in memory");
/// ```
#[async_trait]
pub trait ContextStore<C: Context + Merge + Default>: Send + Sync {
    /// The context of a run; `None` where there is none.
    ///
    /// # Errors
    /// What the store failed with.
    async fn get(&self, run_id: &str) -> Result<Option<C>, ContextStoreError>;

    /// Replaces the context of a run.
    ///
    /// # Errors
    /// What the store failed with.
    async fn set(&self, run_id: &str, ctx: C) -> Result<(), ContextStoreError>;

    /// Merges a context into the one that is kept.
    ///
    /// # Errors
    /// What the store failed with.
    async fn merge(&self, run_id: &str, ctx: C) -> Result<(), ContextStoreError>;

    /// Whether the store keeps snapshots: then steps are committed whole and once.
    fn keeps_snapshots(&self) -> bool {
        false
    }

    /// The latest snapshot of a run and its revision.
    ///
    /// # Errors
    /// What the store failed with; where it keeps no snapshots, that.
    async fn snapshot(&self, run_id: &str) -> Result<Option<(Snapshot, u64)>, ContextStoreError> {
        Err(ContextStoreError::Other(format!("this store keeps no snapshots, so none of run {run_id:?}")))
    }

    /// Replaces the snapshot of a run where its revision is still `expected`; 0 where there must be none. Returns
    /// whether it did.
    ///
    /// # Errors
    /// What the store failed with; where it keeps no snapshots, that.
    async fn swap_snapshot(
        &self,
        run_id: &str,
        expected: u64,
        snapshot: &Snapshot,
    ) -> Result<bool, ContextStoreError> {
        let _nothing_is_kept = (expected, snapshot);
        Err(ContextStoreError::Other(format!("this store keeps no snapshots, so none of run {run_id:?}")))
    }
}

/// Contexts and snapshots in memory, encoded: what is read shares nothing with what is kept. Clones share the store.
pub struct InMemoryContextStore<C> {
    runs: Arc<Mutex<HashMap<String, Kept>>>,
    context: std::marker::PhantomData<fn() -> C>,
}

#[derive(Default)]
struct Kept {
    context: Bytes,
    snapshot: Option<Snapshot>,
    revision: u64,
}

impl<C> InMemoryContextStore<C> {
    /// An empty store.
    pub fn new() -> Self {
        Self { runs: Arc::default(), context: std::marker::PhantomData }
    }
}

impl<C> Default for InMemoryContextStore<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Clone for InMemoryContextStore<C> {
    fn clone(&self) -> Self {
        Self { runs: Arc::clone(&self.runs), context: std::marker::PhantomData }
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
        let bytes = self.runs.lock().await.get(run_id).map(|kept| kept.context.clone());
        bytes.map(|bytes| decode(&bytes)).transpose()
    }

    async fn set(&self, run_id: &str, ctx: C) -> Result<(), ContextStoreError> {
        let context = encode(&ctx)?;
        let mut runs = self.runs.lock().await;
        let kept = runs.entry(run_id.to_owned()).or_default();
        replace(kept, context);
        Ok(())
    }

    async fn merge(&self, run_id: &str, ctx: C) -> Result<(), ContextStoreError> {
        let mut runs = self.runs.lock().await;
        let mut merged = runs.get(run_id).map(|kept| decode(&kept.context)).transpose()?.unwrap_or_default();
        C::merge(&mut merged, ctx);
        let context = encode(&merged)?;
        replace(runs.entry(run_id.to_owned()).or_default(), context);
        Ok(())
    }

    fn keeps_snapshots(&self) -> bool {
        true
    }

    async fn snapshot(&self, run_id: &str) -> Result<Option<(Snapshot, u64)>, ContextStoreError> {
        let runs = self.runs.lock().await;
        Ok(runs.get(run_id).and_then(|kept| Some((kept.snapshot.clone()?, kept.revision))))
    }

    async fn swap_snapshot(
        &self,
        run_id: &str,
        expected: u64,
        snapshot: &Snapshot,
    ) -> Result<bool, ContextStoreError> {
        let mut runs = self.runs.lock().await;
        // Looked at before an entry is made: a swap that fails leaves no run behind.
        let found = runs.get(run_id).filter(|kept| kept.snapshot.is_some()).map_or(0, |kept| kept.revision);
        if found != expected {
            return Ok(false);
        }
        let kept = runs.entry(run_id.to_owned()).or_default();
        kept.context = snapshot.context.clone();
        kept.snapshot = Some(snapshot.clone());
        kept.revision += 1;
        Ok(true)
    }
}

fn replace(kept: &mut Kept, context: Bytes) {
    if let Some(snapshot) = &mut kept.snapshot {
        snapshot.context = context.clone();
    }
    kept.context = context;
    kept.revision += 1;
}

fn encode<C: Context>(context: &C) -> Result<Bytes, ContextStoreError> {
    codec::encode(context, "the context").map_err(|error| ContextStoreError::Other(error.to_string()))
}

fn decode<C: Context>(bytes: &[u8]) -> Result<C, ContextStoreError> {
    codec::decode(bytes, "the context").map_err(|error| ContextStoreError::Other(error.to_string()))
}
