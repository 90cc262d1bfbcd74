//! The runs in cached: their latest snapshots, and the attempts that wait to be committed.

use crate::backend::BackendError;
use bytes::Bytes;
use jetway_state::{
    RunKey,
    run::{AttemptReport, Effect, Snapshot, TicketFor},
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
pub(super) struct CachedSnapshot {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) revision: u64,
}

/// The cache of the runs that were lately worked on. A slot that falls out costs one read, never a step.
pub(super) struct RunCache {
    cache: Mutex<LruCache<RunKey, Arc<RunSlot>>>,
    bytes: Arc<AtomicUsize>,
    most_bytes: usize,
}

/// How many cache fall out at a time for want of memory: those that are in use keep their memory until they are not.
const FALL_OUT: usize = 4;

impl RunCache {
    /// Keeps so many runs, whose snapshots take up about so many bytes.
    pub(super) fn new(runs: usize, most_bytes: usize) -> Self {
        let cache = LruCache::new(NonZeroUsize::new(runs).unwrap_or(NonZeroUsize::MIN));
        Self { cache: Mutex::new(cache), bytes: Arc::default(), most_bytes }
    }

    pub(super) fn of(&self, run: &RunKey) -> Arc<RunSlot> {
        let mut cache = locked(&self.cache);
        let slot = match cache.get(run) {
            Some(slot) => Arc::clone(slot),
            None => {
                let slot = Arc::new(RunSlot { bytes: Arc::clone(&self.bytes), state: Mutex::default() });
                cache.put(run.clone(), Arc::clone(&slot));
                slot
            }
        };
        for _ in 0..FALL_OUT {
            if cache.len() <= 1 || self.bytes.load(Ordering::Relaxed) <= self.most_bytes {
                break;
            }
            cache.pop_lru();
        }
        slot
    }

    pub(super) fn forget(&self, run: &RunKey) {
        locked(&self.cache).pop(run);
    }
}

/// One run: its latest known snapshot, and the attempts that wait while a write of it is under way.
pub(super) struct RunSlot {
    state: Mutex<State>,
    /// What all cache take up.
    bytes: Arc<AtomicUsize>,
}

#[derive(Default)]
struct State {
    cached: Option<CachedSnapshot>,
    /// What the snapshot in hand takes up.
    bytes: usize,
    warned: bool,
    waiting: Vec<Waiting>,
    led: bool,
}

/// An attempt that waits to be committed.
pub(super) struct Waiting {
    pub(super) attempt: Arc<AttemptWithBase>,
    pub(super) reply: oneshot::Sender<Reply>,
}

/// An attempt, with the context that its node saw.
#[derive(Debug)]
pub(super) struct AttemptWithBase {
    pub(super) attempt: AttemptReport,
    pub(super) base: Bytes,
}

/// What a waiting attempt is told.
pub(super) enum Reply {
    /// What became of it.
    Settled(Result<CommitOutcome, BackendError>),
    /// The group before this one is done: lead the next.
    Lead(GroupLeader),
}

/// What became of an attempt.
#[derive(Debug, Clone)]
pub(super) enum CommitOutcome {
    /// It is committed; these tickets and effects are its own.
    Committed(CachedSnapshot, Vec<TicketFor>, Vec<Effect>),
    /// The item was no longer pending: the outcome is thrown away.
    Discarded(CachedSnapshot),
    /// What the node saw is no longer so, and it decided to hold: it has to decide again.
    Again(CachedSnapshot),
}

impl RunSlot {
    pub(super) fn cached(&self) -> Option<CachedSnapshot> {
        locked(&self.state).cached.clone()
    }

    /// Keeps a snapshot unless a later one is in cached.
    pub(super) fn keep(&self, latest: &CachedSnapshot) {
        let mut state = locked(&self.state);
        if state.cached.as_ref().is_none_or(|held| held.revision < latest.revision) {
            self.hold(&mut state, Some(latest.clone()));
        }
    }

    fn hold(&self, state: &mut State, cached: Option<CachedSnapshot>) {
        let bytes = cached.as_ref().map_or(0, |cached| cached.snapshot.weight());
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes.fetch_sub(state.bytes, Ordering::Relaxed);
        state.bytes = bytes;
        state.cached = cached;
    }

    /// Whether the run is to be warned of for the first time.
    pub(super) fn is_first_warning(&self) -> bool {
        !std::mem::replace(&mut locked(&self.state).warned, true)
    }

    /// Forgets a snapshot that turned out to be old.
    pub(super) fn drop_cached(&self) {
        self.hold(&mut locked(&self.state), None);
    }

    /// Adds an attempt; `Some` where the caller is to lead the group.
    pub(super) fn join(self: &Arc<Self>, waiting: Waiting) -> Option<GroupLeader> {
        let mut state = locked(&self.state);
        state.waiting.push(waiting);
        if state.led {
            return None;
        }
        state.led = true;
        Some(GroupLeader { slot: Some(Arc::clone(self)) })
    }
}

impl Drop for RunSlot {
    fn drop(&mut self) {
        self.hold(&mut locked(&self.state), None);
    }
}

/// The right, and the duty, to write the waiting attempts of a run. However it ends, also when its task is dropped in
/// the middle of a write, the lead passes on.
pub(super) struct GroupLeader {
    slot: Option<Arc<RunSlot>>,
}

impl GroupLeader {
    /// Everything that waits now.
    pub(super) fn group(&self) -> Vec<Waiting> {
        self.slot.as_ref().map(|slot| std::mem::take(&mut locked(&slot.state).waiting)).unwrap_or_default()
    }

    /// Everything that waits now, and the leader's own attempt.
    pub(super) fn group_with(&self, own: Waiting) -> Vec<Waiting> {
        let mut group = self.group();
        group.push(own);
        group
    }
}

impl Drop for GroupLeader {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        loop {
            let next = {
                let mut state = locked(&slot.state);
                let next = state.waiting.pop();
                state.led = next.is_some();
                next
            };
            let Some(next) = next else { return };
            // The new leader comes with its own attempt again, so nothing is lost with this entry.
            match next.reply.send(Reply::Lead(Self { slot: Some(Arc::clone(&slot)) })) {
                Ok(()) => return,
                Err(Reply::Lead(mut unwanted)) => unwanted.slot = None,
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
        run::{Begin, RunInput, Trace, begin},
    };

    fn run(number: usize) -> RunKey {
        RunKey::new(WorkflowName::new("w").unwrap(), RunId::new(&format!("r{number}")).unwrap())
    }

    fn cached(key: &RunKey, revision: u64, bytes: usize) -> CachedSnapshot {
        let seed = RunInput { node: "a".to_owned(), payload: Bytes::new(), context: vec![0; bytes].into() };
        let (commit, at, trace) = (CommitId::default(), Timestamp(1), Trace::default());
        let (snapshot, _) = begin(Begin { key: key.clone(), commit, at, trace, seed });
        CachedSnapshot { snapshot: Arc::new(snapshot), revision }
    }

    #[test]
    fn large_snapshots_in_hand_take_up_no_more_than_they_may() {
        const MOST: usize = 1_000_000;
        let cache = RunCache::new(8192, MOST);
        for number in 0..100 {
            let run = run(number);
            cache.of(&run).keep(&cached(&run, 1, 100_000));
            assert!(cache.bytes.load(Ordering::Relaxed) <= MOST + 101_000);
        }
        assert!(cache.of(&run(99)).cached().is_some(), "the latest is in hand");
        assert!(cache.of(&run(0)).cached().is_none(), "the first is not");
    }

    #[test]
    fn what_leaves_takes_nothing_up() {
        let cache = RunCache::new(8192, usize::MAX);
        let run = run(1);
        for revision in 1..10 {
            cache.of(&run).keep(&cached(&run, revision, 1000 * (10 - revision as usize)));
        }
        let last = cached(&run, 9, 1000).snapshot.weight();
        assert_eq!(cache.bytes.load(Ordering::Relaxed), last);
        cache.of(&run).drop_cached();
        assert_eq!(cache.bytes.load(Ordering::Relaxed), 0);
        cache.of(&run).keep(&cached(&run, 10, 1000));
        cache.forget(&run);
        assert_eq!(cache.bytes.load(Ordering::Relaxed), 0);
    }
}
