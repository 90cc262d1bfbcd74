//! Contexts and snapshots of runs.

use super::{
    NatsStores, Shared,
    bucket::{
        NewValue,
        values::{self, Change, corrupt},
    },
    store_error,
};
use crate::names::StoreKey;
use async_trait::async_trait;
use bytes::Bytes;
use jetway_core::{
    Context, Merge,
    clock::Clock,
    distributed::{ContextStore, ContextStoreError},
};
use jetway_engine::backend::BackendError;
use jetway_state::{run::Snapshot, value};
use serde::{Deserialize, Serialize};
use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

const WHAT: &str = "a run's record";

/// The contexts of runs and their snapshots, on JetStream. Clones share the store.
///
/// It [keeps snapshots](ContextStore::keeps_snapshots), so a step is one compare-and-swap: it is committed completely, and
/// once. A finished run is kept for [`NatsConfig::keep_finished`], an unfinished one forever. A new run removes the metrics,
/// errors and item states of an earlier run with its id. Large values are stored in parts. Run ids are
/// `[A-Za-z0-9_-]{1,64}`; others are refused.
///
/// [`NatsConfig::keep_finished`]: crate::NatsConfig::keep_finished
pub struct NatsContextStore<C> {
    shared: Arc<Shared>,
    context: PhantomData<fn() -> C>,
}

/// The record of a run. A snapshot contains its context, so that the two cannot differ.
#[derive(Debug, Serialize, Deserialize)]
enum Record {
    Context(Bytes),
    Snapshot(Box<Snapshot>),
}

impl Record {
    fn context(&self) -> &Bytes {
        match self {
            Self::Context(context) => context,
            Self::Snapshot(snapshot) => &snapshot.context,
        }
    }

    fn with_context(found: Option<Self>, context: Bytes) -> Self {
        match found {
            Some(Self::Snapshot(snapshot)) => Self::Snapshot(Box::new(Snapshot { context, ..*snapshot })),
            Some(Self::Context(_)) | None => Self::Context(context),
        }
    }

    /// How long it is kept. `None` for forever.
    fn keep(&self, finished: Duration) -> Option<Duration> {
        match self {
            Self::Snapshot(snapshot) if snapshot.status.is_terminal() => Some(finished),
            Self::Snapshot(_) | Self::Context(_) => None,
        }
    }

    fn set(self, finished: Duration) -> Change<Self> {
        match self.keep(finished) {
            Some(keep) => Change::SetFor(self, keep),
            None => Change::Set(self),
        }
    }
}

impl<C> NatsContextStore<C> {
    /// The store of the application.
    pub fn new(stores: &NatsStores) -> Self {
        Self { shared: stores.shared(), context: PhantomData }
    }

    fn key(&self, run_id: &str) -> Result<String, BackendError> {
        self.shared.names.of_run(run_id, StoreKey::Context)
    }

    /// Removes what an earlier run with this id has left after its record expired. The new run has no item in the queue
    /// yet, so nothing belongs to it.
    async fn clear(&self, run_id: &str) -> Result<(), BackendError> {
        let [metrics, errors, items] = self.shared.names.views_of_run(run_id)?;
        let bucket = &self.shared.bucket;
        futures::try_join!(bucket.purge(metrics), bucket.purge(errors), bucket.purge(items)).map(drop)
    }

    async fn swap(&self, run_id: &str, expected: u64, snapshot: &Snapshot) -> Result<bool, BackendError> {
        let key = self.key(run_id)?;
        let record = Record::Snapshot(Box::new(snapshot.clone()));
        let (bytes, keep) = (values::encode(&record, WHAT)?, record.keep(self.shared.keep_finished));
        let new = || NewValue { bytes: bytes.clone(), keep };
        if self.shared.bucket.swap(&key, expected, new()).await?.is_some() {
            return Ok(true);
        }
        if expected != 0 {
            return Ok(false);
        }
        // There may be a context without a snapshot. The first snapshot replaces it.
        self.shared
            .bucket
            .change(&key, WHAT, |found| match found {
                Some(Record::Snapshot(_)) => Ok((Change::Nothing, false)),
                Some(Record::Context(_)) | None => {
                    let record = Record::Snapshot(Box::new(snapshot.clone()));
                    Ok((record.set(self.shared.keep_finished), true))
                }
            })
            .await
    }
}

impl<C: Context + Merge + Default> NatsContextStore<C> {
    async fn change(
        &self,
        run_id: &str,
        mut changed: impl FnMut(Option<&Bytes>) -> Result<Bytes, BackendError> + Send,
    ) -> Result<(), BackendError> {
        let key = self.key(run_id)?;
        let finished = self.shared.keep_finished;
        self.shared
            .bucket
            .change(&key, WHAT, |found: Option<Record>| {
                let context = changed(found.as_ref().map(Record::context))?;
                Ok((Record::with_context(found, context).set(finished), ()))
            })
            .await
    }
}

impl<C> Clone for NatsContextStore<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), context: PhantomData }
    }
}

impl<C> fmt::Debug for NatsContextStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.debug_struct(f, "NatsContextStore")
    }
}

#[async_trait]
impl<C: Context + Merge + Default> ContextStore<C> for NatsContextStore<C> {
    async fn get(&self, run_id: &str) -> Result<Option<C>, ContextStoreError> {
        let key = self.key(run_id).map_err(|error| failed(&error))?;
        let record = self.shared.bucket.get::<Record>(&key, WHAT).await.map_err(|error| failed(&error))?;
        record.map(|record| decode(record.context())).transpose().map_err(|error| failed(&error))
    }

    async fn set(&self, run_id: &str, ctx: C) -> Result<(), ContextStoreError> {
        let context = encode(&ctx).map_err(|error| failed(&error))?;
        self.change(run_id, |_| Ok(context.clone())).await.map_err(|error| failed(&error))
    }

    async fn merge(&self, run_id: &str, ctx: C) -> Result<(), ContextStoreError> {
        // It is decoded for each attempt, because a clone of a context may share its content.
        let other = encode(&ctx).map_err(|error| failed(&error))?;
        let merged = |found: Option<&Bytes>| {
            let mut context: C = found.map(|found| decode(found)).transpose()?.unwrap_or_default();
            context.merge(decode(&other)?);
            encode(&context)
        };
        self.change(run_id, merged).await.map_err(|error| failed(&error))
    }

    /// The time of the server.
    fn clock(&self) -> Option<Arc<dyn Clock>> {
        Some(Arc::clone(&self.shared.clock))
    }

    fn keeps_snapshots(&self) -> bool {
        true
    }

    async fn snapshot(&self, run_id: &str) -> Result<Option<(Snapshot, u64)>, ContextStoreError> {
        let key = self.key(run_id).map_err(|error| failed(&error))?;
        let Some(found) = self.shared.bucket.read(&key).await.map_err(|error| failed(&error))? else {
            return Ok(None);
        };
        match values::decode(&found.bytes, WHAT).map_err(|error| failed(&error))? {
            Record::Snapshot(snapshot) => Ok(Some((*snapshot, found.revision))),
            Record::Context(_) => Ok(None),
        }
    }

    async fn swap_snapshot(
        &self,
        run_id: &str,
        expected: u64,
        snapshot: &Snapshot,
    ) -> Result<bool, ContextStoreError> {
        let swap = async {
            let swapped = self.swap(run_id, expected, snapshot).await?;
            if swapped && expected == 0 {
                self.clear(run_id).await?;
            }
            Ok(swapped)
        };
        swap.await.map_err(|error: BackendError| failed(&error))
    }
}

fn encode<C: Context>(context: &C) -> Result<Bytes, BackendError> {
    value::write_opaque(context, &"the context")
        .map_err(|error| corrupt("cannot encode the context".to_owned(), error))
}

fn decode<C: Context>(bytes: &[u8]) -> Result<C, BackendError> {
    value::read(bytes, &"the context").map_err(|error| corrupt("cannot decode the context".to_owned(), error))
}

fn failed(error: &BackendError) -> ContextStoreError {
    store_error(error, ContextStoreError::Io, ContextStoreError::Other)
}
