//! Failed attempts of runs.

use super::{NatsStores, Shared, bucket::values::encode, store_error};
use crate::names::{StoreKey, StoreNames};
use async_trait::async_trait;
use jetway_core::{
    distributed::{ErrorStore, ErrorStoreError, WorkflowError},
    stores::by_incarnation::{RecordedError, errors_of},
};
use jetway_engine::backend::BackendError;
use jetway_state::Incarnation;
use std::{fmt, sync::Arc};

const WHAT: &str = "a failed attempt";

/// Failed attempts of runs, on JetStream. Clones share the store. Each is a value of its own, so that concurrent writers
/// have no conflicts. They are kept until [`forget_run`](NatsStores::forget_run), or until another run with the id starts.
#[derive(Clone)]
pub struct NatsErrorStore(Arc<Shared>);

impl NatsErrorStore {
    /// The store of the application.
    pub fn new(stores: &NatsStores) -> Self {
        Self(stores.shared())
    }

    async fn record(&self, run_id: &str, recorded: &RecordedError) -> Result<(), BackendError> {
        let all = self.0.names.of_run(run_id, StoreKey::Errors)?;
        self.0.bucket.add(&all, encode(recorded, WHAT)?).await
    }

    async fn recorded(&self, run_id: &str) -> Result<Vec<RecordedError>, BackendError> {
        let all = self.0.names.of_run(run_id, StoreKey::Errors)?;
        let found = self.0.bucket.all(&StoreNames::list_entries(&all), WHAT).await?;
        Ok(found.into_iter().map(|(_, recorded)| recorded).collect())
    }
}

impl fmt::Debug for NatsErrorStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug_struct(f, "NatsErrorStore")
    }
}

#[async_trait]
impl ErrorStore for NatsErrorStore {
    async fn record_error(&self, run_id: &str, error: WorkflowError) -> Result<(), ErrorStoreError> {
        let recorded = RecordedError { incarnation: None, error };
        self.record(run_id, &recorded).await.map_err(|error| failed(&error))
    }

    async fn get_errors(&self, run_id: &str) -> Result<Vec<WorkflowError>, ErrorStoreError> {
        let recorded = self.recorded(run_id).await.map_err(|error| failed(&error))?;
        Ok(errors_of(recorded, None))
    }

    async fn record_error_of(
        &self,
        run_id: &str,
        incarnation: Incarnation,
        error: WorkflowError,
    ) -> Result<(), ErrorStoreError> {
        let recorded = RecordedError { incarnation: Some(incarnation), error };
        self.record(run_id, &recorded).await.map_err(|error| failed(&error))
    }

    async fn get_errors_of(
        &self,
        run_id: &str,
        incarnation: Incarnation,
    ) -> Result<Vec<WorkflowError>, ErrorStoreError> {
        let recorded = self.recorded(run_id).await.map_err(|error| failed(&error))?;
        Ok(errors_of(recorded, Some(incarnation)))
    }
}

fn failed(error: &BackendError) -> ErrorStoreError {
    store_error(error, ErrorStoreError::Io, ErrorStoreError::Other)
}
