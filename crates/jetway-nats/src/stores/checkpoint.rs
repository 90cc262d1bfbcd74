//! Checkpoints of in-process runs.

use super::{
    NatsStores, Shared,
    bucket::{NewValue, values},
};
use crate::names::StoreKey;
use async_trait::async_trait;
use bytes::Bytes;
use jetway_core::{Checkpoint, CheckpointError, CheckpointStore, Context, WorkItem};
use jetway_engine::backend::{BackendError, BackendErrorKind};
use std::{fmt, io, marker::PhantomData, sync::Arc};

const WHAT: &str = "a checkpoint";

/// Checkpoints on JetStream: a run can continue in another process, on another machine. Clones share the store.
///
/// When [`save`](CheckpointStore::save) returns, the checkpoint is as durable as any acknowledged write of the server. A
/// large checkpoint is stored in parts. It is kept until [`forget_run`](NatsStores::forget_run). Ids are
/// `[A-Za-z0-9_-]{1,64}`; others are refused.
pub struct NatsCheckpointStore<C, WI> {
    shared: Arc<Shared>,
    types: PhantomData<fn() -> (C, WI)>,
}

impl<C, WI> NatsCheckpointStore<C, WI> {
    /// The store of the application.
    pub fn new(stores: &NatsStores) -> Self {
        Self { shared: stores.shared(), types: PhantomData }
    }
}

impl<C, WI> Clone for NatsCheckpointStore<C, WI> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), types: PhantomData }
    }
}

impl<C, WI> fmt::Debug for NatsCheckpointStore<C, WI> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.debug_struct(f, "NatsCheckpointStore")
    }
}

#[async_trait]
impl<C: Context, WI: WorkItem> CheckpointStore<C, WI> for NatsCheckpointStore<C, WI> {
    async fn save(&self, workflow_id: &str, checkpoint: &Checkpoint<C, WI>) -> Result<(), CheckpointError> {
        let key =
            self.shared.names.of_run(workflow_id, StoreKey::Checkpoint).map_err(|error| failed(&error))?;
        self.shared.bucket.put(&key, checkpoint, None, WHAT).await.map_err(|error| failed(&error))
    }

    async fn replace(
        &self,
        workflow_id: &str,
        checkpoint: &Checkpoint<C, WI>,
    ) -> Result<bool, CheckpointError> {
        let key =
            self.shared.names.of_run(workflow_id, StoreKey::Checkpoint).map_err(|error| failed(&error))?;
        let new = values::encode(checkpoint, WHAT).map_err(|error| failed(&error))?;
        let replace = |found: Option<Bytes>| {
            let Some(found) = found else { return Ok((None, false)) };
            let stored: Checkpoint<C, WI> = values::decode(&found, WHAT)?;
            let continues = checkpoint.continues(stored.snapshot.as_ref());
            Ok((continues.then(|| NewValue { bytes: new.clone(), keep: None }), continues))
        };
        self.shared.bucket.update(&key, replace).await.map_err(|error| failed(&error))
    }

    async fn load(&self, workflow_id: &str) -> Result<Option<Checkpoint<C, WI>>, CheckpointError> {
        let key =
            self.shared.names.of_run(workflow_id, StoreKey::Checkpoint).map_err(|error| failed(&error))?;
        self.shared.bucket.get(&key, WHAT).await.map_err(|error| failed(&error))
    }
}

fn failed(error: &BackendError) -> CheckpointError {
    match error.kind() {
        BackendErrorKind::Unavailable | BackendErrorKind::Behind | BackendErrorKind::NoRoom => {
            CheckpointError::Io(io::Error::other(error.clone()))
        }
        _ => CheckpointError::Store(error.to_string()),
    }
}
