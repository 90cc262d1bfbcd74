//! The runs in hand: their latest snapshots, and the attempts that wait to be committed.

use crate::{
    RunKey,
    backend::BackendError,
    run::{Attempt, Effect, Snapshot},
};
use bytes::Bytes;
use lru::LruCache;
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// A snapshot with the revision that the next write of it names.
#[derive(Debug, Clone)]
pub(super) struct InHand {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) revision: u64,
}

/// The cells of the runs that were lately worked on. A cell that falls out costs one read, never a step.
pub(super) struct Cells(Mutex<LruCache<RunKey, Arc<Cell>>>);

impl Cells {
    pub(super) fn new(runs: usize) -> Self {
        Self(Mutex::new(LruCache::new(NonZeroUsize::new(runs).unwrap_or(NonZeroUsize::MIN))))
    }

    pub(super) fn of(&self, run: &RunKey) -> Arc<Cell> {
        let mut cells = locked(&self.0);
        match cells.get(run) {
            Some(cell) => Arc::clone(cell),
            None => {
                let cell = Arc::new(Cell::default());
                cells.put(run.clone(), Arc::clone(&cell));
                cell
            }
        }
    }

    pub(super) fn forget(&self, run: &RunKey) {
        locked(&self.0).pop(run);
    }
}

/// One run: its latest known snapshot, and the attempts that wait while a write of it is under way.
#[derive(Default)]
pub(super) struct Cell(Mutex<State>);

#[derive(Default)]
struct State {
    in_hand: Option<InHand>,
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
        locked(&self.0).in_hand.clone()
    }

    /// Keeps a snapshot unless a later one is in hand.
    pub(super) fn keep(&self, latest: &InHand) {
        let mut state = locked(&self.0);
        if state.in_hand.as_ref().is_none_or(|held| held.revision < latest.revision) {
            state.in_hand = Some(latest.clone());
        }
    }

    /// Forgets a snapshot that turned out to be old.
    pub(super) fn drop_in_hand(&self) {
        locked(&self.0).in_hand = None;
    }

    /// Adds an attempt; `Some` where the caller is to lead the group.
    pub(super) fn join(self: &Arc<Self>, waiting: Waiting) -> Option<Lead> {
        let mut state = locked(&self.0);
        state.waiting.push(waiting);
        if state.led {
            return None;
        }
        state.led = true;
        Some(Lead { cell: Some(Arc::clone(self)) })
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
        self.cell.as_ref().map(|cell| std::mem::take(&mut locked(&cell.0).waiting)).unwrap_or_default()
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
                let mut state = locked(&cell.0);
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
