//! States of work items.

use super::{NatsStores, Shared, bucket::values::Change, store_error};
use async_trait::async_trait;
use jetway_core::{
    WorkItem,
    distributed::{WorkItemState, WorkItemStateStore, WorkItemStateStoreError, WorkItemStatus},
};
use jetway_engine::backend::BackendError;
use std::{fmt, marker::PhantomData, sync::Arc};

const WHAT: &str = "the state of a work item";

/// States of work items, on JetStream. Clones share the store. Attempts are counted by compare-and-swap: two callers never
/// get the same number. States are kept until [`forget_run`](NatsStores::forget_run), or until another run with the id
/// starts.
pub struct NatsWorkItemStateStore<W> {
    shared: Arc<Shared>,
    item: PhantomData<fn() -> W>,
}

impl<W> NatsWorkItemStateStore<W> {
    /// The store of the application.
    pub fn new(stores: &NatsStores) -> Self {
        Self { shared: stores.shared(), item: PhantomData }
    }
}

impl<W> Clone for NatsWorkItemStateStore<W> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), item: PhantomData }
    }
}

impl<W> fmt::Debug for NatsWorkItemStateStore<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.debug_struct(f, "NatsWorkItemStateStore")
    }
}

impl<W: WorkItem> NatsWorkItemStateStore<W> {
    async fn known(
        &self,
        run_id: &str,
        item: &W,
    ) -> Result<Option<WorkItemState<W>>, WorkItemStateStoreError> {
        let key =
            self.shared.names.item_state(run_id, &item.instance_id()).map_err(|error| failed(&error))?;
        self.shared.bucket.get(&key, WHAT).await.map_err(|error| failed(&error))
    }

    async fn change<R: Send>(
        &self,
        run_id: &str,
        item: &W,
        change: impl Fn(&mut WorkItemState<W>) -> R + Send + Sync,
    ) -> Result<R, WorkItemStateStoreError> {
        let key =
            self.shared.names.item_state(run_id, &item.instance_id()).map_err(|error| failed(&error))?;
        let new = || WorkItemState { status: WorkItemStatus::Pending, attempts: 0, work_item: item.clone() };
        let changed = |found: Option<WorkItemState<W>>| {
            let mut state = found.unwrap_or_else(new);
            let answer = change(&mut state);
            Ok((Change::Set(state), answer))
        };
        self.shared.bucket.change(&key, WHAT, changed).await.map_err(|error| failed(&error))
    }
}

#[async_trait]
impl<W: WorkItem> WorkItemStateStore<W> for NatsWorkItemStateStore<W> {
    async fn get_status(&self, run_id: &str, item: &W) -> Result<WorkItemStatus, WorkItemStateStoreError> {
        Ok(self.known(run_id, item).await?.map(|state| state.status).unwrap_or_default())
    }

    async fn set_status(
        &self,
        run_id: &str,
        item: &W,
        status: WorkItemStatus,
    ) -> Result<(), WorkItemStateStoreError> {
        self.change(run_id, item, |state| state.status = status).await
    }

    async fn get_attempts(&self, run_id: &str, item: &W) -> Result<u32, WorkItemStateStoreError> {
        Ok(self.known(run_id, item).await?.map(|state| state.attempts).unwrap_or_default())
    }

    async fn increment_attempts(&self, run_id: &str, item: &W) -> Result<u32, WorkItemStateStoreError> {
        let count = |state: &mut WorkItemState<W>| {
            state.attempts = state.attempts.saturating_add(1);
            state.attempts
        };
        self.change(run_id, item, count).await
    }

    async fn reset_attempts(&self, run_id: &str, item: &W) -> Result<(), WorkItemStateStoreError> {
        self.change(run_id, item, |state| state.attempts = 0).await
    }

    async fn get_all(&self, run_id: &str) -> Result<Vec<WorkItemState<W>>, WorkItemStateStoreError> {
        let all = self.shared.names.item_states(run_id).map_err(|error| failed(&error))?;
        let mut found = self.shared.bucket.all(&all, WHAT).await.map_err(|error| failed(&error))?;
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found.into_iter().map(|(_, state)| state).collect())
    }
}

fn failed(error: &BackendError) -> WorkItemStateStoreError {
    store_error(error, WorkItemStateStoreError::Io, WorkItemStateStoreError::Other)
}
