//! Signals on JetStream: not stored yet.

use super::NatsBackend;
use async_trait::async_trait;
use futures::{StreamExt as _, stream, stream::BoxStream};
use jetway_engine::backend::{
    BackendError, BackendErrorKind, NewSignal, SignalDelivery, Signals, StoredSignal,
};
use jetway_state::{RunKey, Timestamp, WorkflowName};
use std::sync::Arc;
use tokio::sync::Semaphore;

fn unsupported() -> BackendError {
    BackendError::new(BackendErrorKind::Refused, "this version stores no signals on a server")
}

#[async_trait]
impl Signals for NatsBackend {
    async fn publish_signal(&self, _signal: &NewSignal) -> Result<StoredSignal, BackendError> {
        Err(unsupported())
    }

    async fn signals(
        &self,
        _workflow: &WorkflowName,
        _slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<SignalDelivery, BackendError>>, BackendError> {
        Ok(stream::pending().boxed())
    }

    async fn stored_signals(
        &self,
        _run: &RunKey,
        _after: u64,
        _most: usize,
    ) -> Result<Vec<StoredSignal>, BackendError> {
        Ok(Vec::new())
    }

    async fn put_off(&self, _signal: &StoredSignal, _due: Timestamp) -> Result<(), BackendError> {
        Err(unsupported())
    }
}
