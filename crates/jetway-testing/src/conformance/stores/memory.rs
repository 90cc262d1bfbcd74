//! The stores in memory.

use super::Stores;
use jetway_core::{
    Context, InMemoryCheckpointStore, Merge, WorkItem,
    distributed::{
        InMemoryContextStore, InMemoryErrorStore, InMemoryLivenessStore, InMemoryMetricsStore,
        InMemoryRunInfoStore, InMemoryWorkItemStateStore, InMemoryWorkQueue,
    },
};
use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Every store of `jetway_core`, in memory. Clones share them, as connections to one server do.
#[derive(Debug, Clone, Default)]
pub struct MemoryStores(Arc<Mutex<HashMap<TypeId, Box<dyn Any + Send + Sync>>>>);

impl MemoryStores {
    /// Empty stores.
    pub fn new() -> Self {
        Self::default()
    }

    /// The one store of that type.
    fn one<T: Clone + Default + Send + Sync + 'static>(&self) -> T {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let store = kept.entry(TypeId::of::<T>()).or_insert_with(|| Box::new(T::default()));
        store.downcast_ref::<T>().cloned().unwrap_or_default()
    }
}

impl Stores for MemoryStores {
    type Queue<C: Context + 'static, WI: WorkItem + 'static> = InMemoryWorkQueue<WI>;
    type Contexts<C: Context + Merge + 'static> = InMemoryContextStore<C>;
    type Checkpoints<C: Context + 'static, WI: WorkItem + 'static> = InMemoryCheckpointStore<C, WI>;
    type Items<WI: WorkItem + 'static> = InMemoryWorkItemStateStore<WI>;
    type Runs = InMemoryRunInfoStore;
    type Metrics = InMemoryMetricsStore;
    type Errors = InMemoryErrorStore;
    type Liveness = InMemoryLivenessStore;

    async fn another(&self) -> Self {
        self.clone()
    }

    fn queue<C: Context + 'static, WI: WorkItem + 'static>(&self) -> Self::Queue<C, WI> {
        self.one()
    }

    fn contexts<C: Context + Merge + 'static>(&self) -> Self::Contexts<C> {
        self.one()
    }

    fn checkpoints<C: Context + 'static, WI: WorkItem + 'static>(&self) -> Self::Checkpoints<C, WI> {
        self.one()
    }

    fn items<WI: WorkItem + 'static>(&self) -> Self::Items<WI> {
        self.one()
    }

    fn runs(&self) -> Self::Runs {
        self.one()
    }

    fn metrics(&self) -> Self::Metrics {
        self.one()
    }

    fn errors(&self) -> Self::Errors {
        self.one()
    }

    fn liveness(&self) -> Self::Liveness {
        self.one()
    }
}
