//! The limit on messages in flight.

use jetway_state::WorkflowName;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::sync::Semaphore;

/// The slots of an actor, the same number for each workflow: a backend reserves the free slots of a workflow for its next
/// messages, and one workflow must not use the slots of another. They survive restarts of the actor: a node that blocks
/// its thread keeps its slot, even if the actor that started it has failed.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    all: usize,
    free: Arc<BTreeMap<WorkflowName, Arc<Semaphore>>>,
    in_flight: Arc<AtomicUsize>,
}

impl Slots {
    /// `all` slots for each of these workflows.
    pub(crate) fn new<'a>(all: usize, workflows: impl Iterator<Item = &'a WorkflowName>) -> Self {
        Self {
            all,
            free: Arc::new(workflows.map(|name| (name.clone(), Arc::new(Semaphore::new(all)))).collect()),
            in_flight: Arc::default(),
        }
    }

    /// The number of slots for each workflow.
    pub(crate) fn all(&self) -> usize {
        self.all
    }

    /// The permits of a workflow; the backend takes one for each delivery. An unknown workflow has no permits.
    pub(crate) fn of(&self, workflow: &WorkflowName) -> Arc<Semaphore> {
        self.free.get(workflow).map_or_else(|| Arc::new(Semaphore::new(0)), Arc::clone)
    }

    /// The number of messages in flight. The permits do not show it, since a backend may hold one while it waits for a
    /// message.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Counts one message in flight, until the guard is dropped.
    pub(crate) fn begin(&self) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(self.in_flight.clone())
    }
}

/// A message in flight.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
