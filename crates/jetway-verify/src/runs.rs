//! The runs of a phase: which of them are in progress, and what happened to them.

mod sent;

pub(crate) use sent::{Fate, Flaw, Moment, Sent, SentSignals, Way};

use crate::{program::Input, replaced::Replaced};
use jetway::RunKey;
use rand::{Rng, seq::IndexedRandom};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The runs of a phase, shared by the driver and the nemesis.
#[derive(Debug, Default)]
pub struct Runs {
    pub(crate) sent: SentSignals,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    in_flight: Vec<RunKey>,
    tickets_removed: BTreeSet<String>,
    all_alarms_removed: bool,
    paused: BTreeSet<String>,
    started: BTreeMap<String, Started>,
    replaced: Vec<Replaced>,
    late_starts: u64,
}

/// A run that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// Its input.
    pub input: Input,
    /// Whether the start was acknowledged.
    pub acknowledged: bool,
    /// Whether a cancellation was requested.
    pub cancelled: bool,
    /// Whether a termination was requested.
    pub terminated: bool,
    /// Whether a host has said that the run is cancelled, or being cancelled.
    pub stopped: bool,
}

impl Runs {
    pub(crate) fn start(&self, run: &RunKey, input: Input) {
        let started =
            Started { input, acknowledged: false, cancelled: false, terminated: false, stopped: false };
        self.lock().started.insert(run.to_string(), started);
    }

    pub(crate) fn acknowledged(&self, run: &RunKey) {
        let mut state = self.lock();
        state.in_flight.push(run.clone());
        if let Some(started) = state.started.get_mut(&run.to_string()) {
            started.acknowledged = true;
        }
    }

    pub(crate) fn cancelled(&self, run: &RunKey) {
        self.change(run, |started| started.cancelled = true);
    }

    pub(crate) fn terminated(&self, run: &RunKey) {
        self.change(run, |started| started.terminated = true);
    }

    pub(crate) fn stopped(&self, run: &RunKey) {
        self.change(run, |started| started.stopped = true);
    }

    fn change(&self, run: &RunKey, change: impl FnOnce(&mut Started)) {
        if let Some(started) = self.lock().started.get_mut(&run.to_string()) {
            change(started);
        }
    }

    pub(crate) fn ended(&self, run: &RunKey) {
        self.lock().in_flight.retain(|other| other != run);
    }

    /// The record of a run is removed, and another run gets its id.
    pub(crate) fn replaced(&self, replaced: Replaced) {
        self.ended(&replaced.run);
        self.lock().replaced.push(replaced);
    }

    /// A start of an earlier run was processed only after its record was removed.
    pub(crate) fn late_start(&self) {
        self.lock().late_starts += 1;
    }

    pub(crate) fn tickets_removed(&self, run: &RunKey) {
        self.lock().tickets_removed.insert(run.to_string());
    }

    /// Every run that was started until now, and every child run, may have lost an alarm, and so the ticket of an item.
    pub(crate) fn all_alarms_removed(&self) {
        let mut state = self.lock();
        let runs: Vec<String> = state.started.keys().cloned().collect();
        state.tickets_removed.extend(runs);
        state.all_alarms_removed = true;
    }

    pub(crate) fn paused(&self, run: &RunKey) {
        self.lock().paused.insert(run.to_string());
    }

    pub(crate) fn any_in_flight(&self, rng: &mut impl Rng) -> Option<RunKey> {
        self.lock().in_flight.choose(rng).cloned()
    }

    /// Whether the nemesis has removed tickets or alarms of the run, or may have.
    pub fn had_tickets_removed(&self, run: &str) -> bool {
        let state = self.lock();
        let is_child = || !state.started.contains_key(run);
        state.tickets_removed.contains(run) || (state.all_alarms_removed && is_child())
    }

    /// Whether a command may have left items of the run without tickets: it was resumed, cancelled, or has a deadline.
    pub fn was_commanded(&self, run: &str) -> bool {
        let state = self.lock();
        let is_stopped =
            |started: &Started| started.cancelled || started.terminated || started.input.deadline().is_some();
        state.paused.contains(run) || state.started.get(run).is_some_and(is_stopped)
    }

    /// How many runs were paused and resumed.
    pub(crate) fn paused_count(&self) -> u64 {
        self.lock().paused.len() as u64
    }

    /// Runs `with` on the runs whose ids were used again, in the order in which their records were removed.
    pub(crate) fn with_replaced<T>(&self, with: impl FnOnce(&[Replaced]) -> T) -> T {
        with(&self.lock().replaced)
    }

    /// How many starts of earlier runs were processed only after their records were removed.
    pub(crate) fn late_starts(&self) -> u64 {
        self.lock().late_starts
    }

    /// Every run that was started, by its name `workflow/run_id`; the last one of those with the same id.
    pub fn started(&self) -> BTreeMap<String, Started> {
        self.lock().started.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
