//! The runs in hand: their latest snapshots, and the attempts that wait to be committed.

use crate::backend::BackendError;
use bytes::Bytes;
use jetway_state::{
    RunKey,
    run::{Attempt, Effect, Snapshot},
};
use lru::LruCache;
use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::oneshot;

/// A snapshot with the revision that the next write of it names.
#[derive(Debug, Clone)]
pub(super) struct InHand {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) revision: u64,
}

/// The cells of the runs that were lately worked on. A cell that falls out costs one read, never a step.
pub(super) struct Cells {
    cells: Mutex<LruCache<RunKey, Arc<Cell>>>,
    bytes: Arc<AtomicUsize>,
    most_bytes: usize,
}

/// How many cells fall out at a time for want of memory: those that are in use keep their memory until they are not.
const FALL_OUT: usize = 4;

impl Cells {
    /// Keeps so many runs, whose snapshots take up about so many bytes.
    pub(super) fn new(runs: usize, most_bytes: usize) -> Self {
        let cells = LruCache::new(NonZeroUsize::new(runs).unwrap_or(NonZeroUsize::MIN));
        Self { cells: Mutex::new(cells), bytes: Arc::default(), most_bytes }
    }

    pub(super) fn of(&self, run: &RunKey) -> Arc<Cell> {
        let mut cells = locked(&self.cells);
        let cell = match cells.get(run) {
            Some(cell) => Arc::clone(cell),
            None => {
                let cell = Arc::new(Cell { bytes: Arc::clone(&self.bytes), state: Mutex::default() });
                cells.put(run.clone(), Arc::clone(&cell));
                cell
            }
        };
        for _ in 0..FALL_OUT {
            if cells.len() <= 1 || self.bytes.load(Ordering::Relaxed) <= self.most_bytes {
                break;
            }
            cells.pop_lru();
        }
        cell
    }

    pub(super) fn forget(&self, run: &RunKey) {
        locked(&self.cells).pop(run);
    }
}

/// One run: its latest known snapshot, and the attempts that wait while a write of it is under way.
pub(super) struct Cell {
    state: Mutex<State>,
    /// What all cells take up.
    bytes: Arc<AtomicUsize>,
}

#[derive(Default)]
struct State {
    in_hand: Option<InHand>,
    /// What the snapshot in hand takes up.
    bytes: usize,
    warned: bool,
    waiting: Vec<Waiting>,
    led: bool,
}

/// An attempt that waits to be committed.
pub(super) struct Waiting {
    pub(super) attempt: Arc<Finished>,
    pub(super) reply: oneshot::Sender<Reply>,
}

/// An attempt, with the context that its node saw.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) attempt: Attempt,
    pub(super) base: Bytes,
}

/// What a waiting attempt is told.
pub(super) enum Reply {
    /// What became of it.
    Settled(Result<Verdict, BackendError>),
    /// The group before this one is done: lead the next.
    Lead(Lead),
}

/// What became of an attempt.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// It is committed; these effects are its own.
    Committed(InHand, Vec<Effect>),
    /// The item was no longer pending: the outcome is thrown away.
    Discarded(InHand),
    /// What the node saw is no longer so, and it decided to hold: it has to decide again.
    Again(InHand),
}

impl Cell {
    pub(super) fn in_hand(&self) -> Option<InHand> {
        locked(&self.state).in_hand.clone()
    }

    /// Keeps a snapshot unless a later one is in hand.
    pub(super) fn keep(&self, latest: &InHand) {
        let mut state = locked(&self.state);
        if state.in_hand.as_ref().is_none_or(|held| held.revision < latest.revision) {
            self.hold(&mut state, Some(latest.clone()));
        }
    }

    fn hold(&self, state: &mut State, hand: Option<InHand>) {
        let bytes = hand.as_ref().map_or(0, |hand| hand.snapshot.weight());
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes.fetch_sub(state.bytes, Ordering::Relaxed);
        state.bytes = bytes;
        state.in_hand = hand;
    }

    /// Whether the run is to be warned of for the first time.
    pub(super) fn is_first_warning(&self) -> bool {
        !std::mem::replace(&mut locked(&self.state).warned, true)
    }

    /// Forgets a snapshot that turned out to be old.
    pub(super) fn drop_in_hand(&self) {
        self.hold(&mut locked(&self.state), None);
    }

    /// Adds an attempt; `Some` where the caller is to lead the group.
    pub(super) fn join(self: &Arc<Self>, waiting: Waiting) -> Option<Lead> {
        let mut state = locked(&self.state);
        state.waiting.push(waiting);
        if state.led {
            return None;
        }
        state.led = true;
        Some(Lead { cell: Some(Arc::clone(self)) })
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.hold(&mut locked(&self.state), None);
    }
}

/// The right, and the duty, to write the waiting attempts of a run. However it ends, also when its task is dropped in
/// the middle of a write, the lead passes on.
pub(super) struct Lead {
    cell: Option<Arc<Cell>>,
}

impl Lead {
    /// Everything that waits now.
    pub(super) fn group(&self) -> Vec<Waiting> {
        self.cell.as_ref().map(|cell| std::mem::take(&mut locked(&cell.state).waiting)).unwrap_or_default()
    }

    /// Everything that waits now, and the leader's own attempt.
    pub(super) fn group_with(&self, own: Waiting) -> Vec<Waiting> {
        let mut group = self.group();
        group.push(own);
        group
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let Some(cell) = self.cell.take() else { return };
        loop {
            let next = {
                let mut state = locked(&cell.state);
                let next = state.waiting.pop();
                state.led = next.is_some();
                next
            };
            let Some(next) = next else { return };
            // The new leader comes with its own attempt again, so nothing is lost with this entry.
            match next.reply.send(Reply::Lead(Self { cell: Some(Arc::clone(&cell)) })) {
                Ok(()) => return,
                Err(Reply::Lead(mut unwanted)) => unwanted.cell = None,
                Err(Reply::Settled(_)) => {}
            }
        }
    }
}

/// No code that holds one of these locks can panic half-way through a change, so a poisoned lock holds good data.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use jetway_state::{
        CommitId, RunId, Timestamp, WorkflowName,
        run::{Begin, Seed, Trace, begin},
    };

    fn run(number: usize) -> RunKey {
        RunKey::new(WorkflowName::new("w").unwrap(), RunId::new(&format!("r{number}")).unwrap())
    }

    fn hand(key: &RunKey, revision: u64, bytes: usize) -> InHand {
        let seed = Seed { node: "a".to_owned(), payload: Bytes::new(), context: vec![0; bytes].into() };
        let (commit, at, trace) = (CommitId::default(), Timestamp(1), Trace::default());
        let (snapshot, _) = begin(Begin { key: key.clone(), commit, at, trace, seed });
        InHand { snapshot: Arc::new(snapshot), revision }
    }

    #[test]
    fn large_snapshots_in_hand_take_up_no_more_than_they_may() {
        const MOST: usize = 1_000_000;
        let cells = Cells::new(8192, MOST);
        for number in 0..100 {
            let run = run(number);
            cells.of(&run).keep(&hand(&run, 1, 100_000));
            assert!(cells.bytes.load(Ordering::Relaxed) <= MOST + 101_000);
        }
        assert!(cells.of(&run(99)).in_hand().is_some(), "the latest is in hand");
        assert!(cells.of(&run(0)).in_hand().is_none(), "the first is not");
    }

    #[test]
    fn what_leaves_takes_nothing_up() {
        let cells = Cells::new(8192, usize::MAX);
        let run = run(1);
        for revision in 1..10 {
            cells.of(&run).keep(&hand(&run, revision, 1000 * (10 - revision as usize)));
        }
        let last = hand(&run, 9, 1000).snapshot.weight();
        assert_eq!(cells.bytes.load(Ordering::Relaxed), last);
        cells.of(&run).drop_in_hand();
        assert_eq!(cells.bytes.load(Ordering::Relaxed), 0);
        cells.of(&run).keep(&hand(&run, 10, 1000));
        cells.forget(&run);
        assert_eq!(cells.bytes.load(Ordering::Relaxed), 0);
    }
}
