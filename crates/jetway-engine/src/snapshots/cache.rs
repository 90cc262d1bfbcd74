//! The cache of snapshots, least recently used runs first to go.

use super::{CachedSnapshot, group::CommitGroup, locked};
use jetway_state::RunKey;
use lru::LruCache;
use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// One slot for each run in use. A run that is evicted costs one read, never a step.
pub(super) struct RunCache {
    slots: Mutex<LruCache<RunKey, Arc<RunSlot>>>,
    bytes: Arc<AtomicUsize>,
    max_bytes: usize,
}

/// How many slots one access evicts at most while the cache is over its size. Slots in use free their memory later.
const EVICTIONS: usize = 4;

impl RunCache {
    /// A cache for `runs` runs, whose snapshots use about `max_bytes` together.
    pub(super) fn new(runs: usize, max_bytes: usize) -> Self {
        let slots = LruCache::new(NonZeroUsize::new(runs).unwrap_or(NonZeroUsize::MIN));
        Self { slots: Mutex::new(slots), bytes: Arc::default(), max_bytes }
    }

    pub(super) fn slot(&self, run: &RunKey) -> Arc<RunSlot> {
        let mut slots = locked(&self.slots);
        let slot = match slots.get(run) {
            Some(slot) => Arc::clone(slot),
            None => {
                let slot = Arc::new(RunSlot::new(&self.bytes));
                slots.put(run.clone(), Arc::clone(&slot));
                slot
            }
        };
        for _ in 0..EVICTIONS {
            if slots.len() <= 1 || self.bytes.load(Ordering::Relaxed) <= self.max_bytes {
                break;
            }
            slots.pop_lru();
        }
        slot
    }

    /// The cached snapshot of a run. Takes no slot, and does not count as a use.
    pub(super) fn peek(&self, run: &RunKey) -> Option<CachedSnapshot> {
        locked(&self.slots).peek(run)?.cached()
    }

    pub(super) fn forget(&self, run: &RunKey) {
        locked(&self.slots).pop(run);
    }
}

/// One run: its latest known snapshot, and the attempts that wait for the write in progress.
pub(crate) struct RunSlot {
    state: Mutex<State>,
    /// The attempts that wait to be committed.
    pub(crate) group: Arc<CommitGroup>,
    /// The size of all cached snapshots.
    bytes: Arc<AtomicUsize>,
}

#[derive(Default)]
struct State {
    cached: Option<CachedSnapshot>,
    /// The size of the cached snapshot.
    bytes: usize,
    warned: bool,
}

impl RunSlot {
    fn new(bytes: &Arc<AtomicUsize>) -> Self {
        Self { state: Mutex::default(), group: Arc::default(), bytes: Arc::clone(bytes) }
    }

    pub(crate) fn cached(&self) -> Option<CachedSnapshot> {
        locked(&self.state).cached.clone()
    }

    /// Caches a snapshot unless a later one is cached.
    pub(crate) fn keep(&self, latest: &CachedSnapshot) {
        let mut state = locked(&self.state);
        let is_later = |cached: &CachedSnapshot| cached.seen().or_later(latest.seen()) != cached.seen();
        if state.cached.as_ref().is_none_or(is_later) {
            self.set(&mut state, Some(latest.clone()));
        }
    }

    /// Drops a snapshot that turned out to be out of date.
    pub(crate) fn drop_cached(&self) {
        self.set(&mut locked(&self.state), None);
    }

    /// Whether this is the first warning about the run.
    pub(super) fn is_first_warning(&self) -> bool {
        !std::mem::replace(&mut locked(&self.state).warned, true)
    }

    fn set(&self, state: &mut State, cached: Option<CachedSnapshot>) {
        let bytes = cached.as_ref().map_or(0, |cached| cached.snapshot.memory_size());
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes.fetch_sub(state.bytes, Ordering::Relaxed);
        state.bytes = bytes;
        state.cached = cached;
    }
}

impl Drop for RunSlot {
    fn drop(&mut self) {
        self.set(&mut locked(&self.state), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use jetway_state::{
        CommitId, Fingerprint, Incarnation, RunId, StoreId, Timestamp, WorkflowName,
        run::{Begin, RunInput, Trace, begin},
    };

    fn run(number: usize) -> RunKey {
        RunKey::new(WorkflowName::new("w").unwrap(), RunId::new(&format!("r{number}")).unwrap())
    }

    fn cached(key: &RunKey, revision: u64, bytes: usize) -> CachedSnapshot {
        let input = RunInput { node: "a".to_owned(), payload: Bytes::new(), context: vec![0; bytes].into() };
        let (commit, at, trace) = (CommitId::default(), Timestamp(1), Trace::default());
        let (key, incarnation) = (key.clone(), Incarnation::default());
        let (snapshot, _) = begin(Begin { key, incarnation, commit, at, trace, input, due: None });
        CachedSnapshot { snapshot: Arc::new(snapshot), revision, store: StoreId(1), build: Fingerprint(1) }
    }

    #[test]
    fn h4_a_snapshot_of_a_new_store_replaces_that_of_an_old_one() {
        let cache = RunCache::new(8192, usize::MAX);
        let run = run(1);
        let slot = cache.slot(&run);
        slot.keep(&cached(&run, 9, 10));
        slot.keep(&cached(&run, 8, 10));
        assert_eq!(slot.cached().map(|cached| cached.revision), Some(9));
        slot.keep(&CachedSnapshot { store: StoreId(2), ..cached(&run, 3, 10) });
        assert_eq!(slot.cached().map(|cached| cached.revision), Some(3));
    }

    #[test]
    fn large_snapshots_are_evicted_beyond_the_limit() {
        const MAX: usize = 1_000_000;
        let cache = RunCache::new(8192, MAX);
        for number in 0..100 {
            let run = run(number);
            cache.slot(&run).keep(&cached(&run, 1, 100_000));
            assert!(cache.bytes.load(Ordering::Relaxed) <= MAX + 101_000);
        }
        assert!(cache.slot(&run(99)).cached().is_some(), "the latest is cached");
        assert!(cache.slot(&run(0)).cached().is_none(), "the first is not");
    }

    #[test]
    fn an_evicted_snapshot_is_not_counted() {
        let cache = RunCache::new(8192, usize::MAX);
        let run = run(1);
        for revision in 1..10 {
            cache.slot(&run).keep(&cached(&run, revision, 1000 * (10 - revision as usize)));
        }
        let last = cached(&run, 9, 1000).snapshot.memory_size();
        assert_eq!(cache.bytes.load(Ordering::Relaxed), last);
        cache.slot(&run).drop_cached();
        assert_eq!(cache.bytes.load(Ordering::Relaxed), 0);
        cache.slot(&run).keep(&cached(&run, 10, 1000));
        cache.forget(&run);
        assert_eq!(cache.bytes.load(Ordering::Relaxed), 0);
    }
}
