//! How many things are in hand at once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};
use tokio::sync::Semaphore;

/// The slots of an actor. Outlives it: a node that blocks its thread keeps its slot, also when the actor that began it
/// has failed and a new one takes tickets.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    all: usize,
    free: Arc<Semaphore>,
    in_flight: Arc<AtomicUsize>,
}

impl Slots {
    pub(crate) fn new(all: usize) -> Self {
        Self {
            all,
            free: Arc::new(Semaphore::new(all)),
            in_flight: Arc::default(),
        }
    }

    /// How many there are.
    pub(crate) fn all(&self) -> usize {
        self.all
    }

    /// What a backend takes a permit of for each delivery.
    pub(crate) fn semaphore(&self) -> Arc<Semaphore> {
        self.free.clone()
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
