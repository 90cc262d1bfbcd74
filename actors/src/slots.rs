//! How many things are in hand at once.

use jetway_state::WorkflowName;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::sync::Semaphore;

/// The slots of an actor: as many for each workflow, since a backend keeps the free ones of a workflow for what is to
/// come, and one workflow must not take another's. Outlives its actor: a node that blocks its thread keeps its slot,
/// also when the actor that began it has failed and a new one takes tickets.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    all: usize,
    free: Arc<BTreeMap<WorkflowName, Arc<Semaphore>>>,
    in_flight: Arc<AtomicUsize>,
}

impl Slots {
    /// So many slots for each of these workflows.
    pub(crate) fn new<'a>(all: usize, workflows: impl Iterator<Item = &'a WorkflowName>) -> Self {
        Self {
            all,
            free: Arc::new(workflows.map(|name| (name.clone(), Arc::new(Semaphore::new(all)))).collect()),
            in_flight: Arc::default(),
        }
    }

    /// How many there are for each workflow.
    pub(crate) fn all(&self) -> usize {
        self.all
    }

    /// What a backend takes a permit of for each delivery of a workflow. None are free for one that is not served.
    pub(crate) fn of(&self, workflow: &WorkflowName) -> Arc<Semaphore> {
        self.free.get(workflow).map_or_else(|| Arc::new(Semaphore::new(0)), Arc::clone)
    }

    /// How many things are worked on. Permits do not tell, since a backend may hold one while it waits for a message.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Counts one thing that is worked on, while the guard lives.
    pub(crate) fn begin(&self) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(self.in_flight.clone())
    }
}

/// One thing that is worked on.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
