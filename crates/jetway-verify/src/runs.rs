//! The runs of an act: which are under way, and what was done to them.

use jetway::RunKey;
use rand::{Rng, seq::IndexedRandom};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The runs of an act. Shared by those who start them and those who disturb them.
#[derive(Debug, Default)]
pub struct Runs {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    in_flight: Vec<RunKey>,
    robbed: BTreeSet<String>,
    paused: BTreeSet<String>,
    begun: BTreeMap<String, Begun>,
}

/// What is known of a run that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Makes its program.
    pub seed: u64,
    /// Whether the start was acknowledged.
    pub acknowledged: bool,
    /// Whether it was told to stop.
    pub cancelled: bool,
}

impl Runs {
    pub(crate) fn begin(&self, run: &RunKey, seed: u64) {
        let mut state = self.lock();
        state.begun.insert(run.to_string(), Begun { seed, acknowledged: false, cancelled: false });
    }

    pub(crate) fn acknowledged(&self, run: &RunKey) {
        let mut state = self.lock();
        state.in_flight.push(run.clone());
        if let Some(begun) = state.begun.get_mut(&run.to_string()) {
            begun.acknowledged = true;
        }
    }

    pub(crate) fn cancelled(&self, run: &RunKey) {
        if let Some(begun) = self.lock().begun.get_mut(&run.to_string()) {
            begun.cancelled = true;
        }
    }

    pub(crate) fn ended(&self, run: &RunKey) {
        self.lock().in_flight.retain(|other| other != run);
    }

    pub(crate) fn robbed(&self, run: &RunKey) {
        self.lock().robbed.insert(run.to_string());
    }

    pub(crate) fn paused(&self, run: &RunKey) {
        self.lock().paused.insert(run.to_string());
    }

    pub(crate) fn any_in_flight(&self, rng: &mut impl Rng) -> Option<RunKey> {
        self.lock().in_flight.choose(rng).cloned()
    }

    /// Whether somebody took tickets of that run away.
    pub fn was_robbed(&self, run: &str) -> bool {
        self.lock().robbed.contains(run)
    }

    /// Whether that run was told to wait, and to go on.
    pub fn was_paused(&self, run: &str) -> bool {
        self.lock().paused.contains(run)
    }

    /// Every run that was started, by its name.
    pub fn begun(&self) -> BTreeMap<String, Begun> {
        self.lock().begun.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
