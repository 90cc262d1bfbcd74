//! Snapshots: read, cached, and written by compare-and-swap.

mod cache;
mod chunks;
mod group;

pub(crate) use cache::RunSlot;
pub(crate) use group::{CommitOutcome, CommitResult, GroupLeader, PendingCommit, Reply};

use crate::{
    backend::{Backend, BackendError, BackendErrorKind, SnapshotWrite},
    config::EngineConfig,
};
use cache::RunCache;
use chunks::{ChunkCache, Entries};
use jetway_state::{
    CommitId, Fingerprint, Incarnation, RunKey, Seen, StoreId,
    run::{Chunk, ChunkRef, Effect, Limits, Snapshot, TicketFor},
};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// Reads and writes snapshots, and caches those of the runs in use.
pub(crate) struct Snapshots {
    backend: Arc<dyn Backend>,
    cache: RunCache,
    chunks: ChunkCache,
    limits: Limits,
    /// Identifies this process in the ids of its commits.
    writer: u64,
    commits: AtomicU64,
}

/// A snapshot with the revision that the next write has to replace.
#[derive(Debug, Clone)]
pub(crate) struct CachedSnapshot {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) revision: u64,
    /// The store of this revision.
    pub(crate) store: StoreId,
    /// The build that it is written for.
    pub(crate) build: Fingerprint,
}

impl CachedSnapshot {
    /// What is known to be written of the run.
    pub(crate) fn seen(&self) -> Seen {
        Seen::new(self.revision, self.store)
    }
}

/// A run as of one revision, and the build that its snapshot is written for.
#[derive(Clone, Copy)]
pub(crate) struct RunVersion<'a> {
    pub(crate) run: &'a RunKey,
    pub(crate) build: Fingerprint,
    pub(crate) cached: &'a CachedSnapshot,
}

/// A committed snapshot, and what is to be done now that it is committed.
pub(crate) struct Committed {
    pub(crate) run: RunKey,
    pub(crate) build: Fingerprint,
    pub(crate) cached: CachedSnapshot,
    pub(crate) tickets: Vec<TicketFor>,
    pub(crate) effects: Vec<Effect>,
    /// This commit ended the run: its span is still to be written.
    pub(crate) ended: bool,
}

impl Committed {
    pub(crate) fn version(&self) -> RunVersion<'_> {
        RunVersion { run: &self.run, build: self.build, cached: &self.cached }
    }

    /// Takes the tickets and effects, which are to be done now.
    pub(crate) fn take_open(&mut self) -> (Vec<TicketFor>, Vec<Effect>) {
        (std::mem::take(&mut self.tickets), std::mem::take(&mut self.effects))
    }
}

impl Snapshots {
    pub(crate) fn new(backend: Arc<dyn Backend>, config: &EngineConfig) -> Self {
        Self {
            chunks: ChunkCache::new(Arc::clone(&backend)),
            backend,
            cache: RunCache::new(config.cached_runs, config.cached_bytes),
            limits: config.limits,
            writer: rand::random(),
            commits: AtomicU64::new(1),
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// An id for the next commit of this process.
    pub(crate) fn next_commit(&self) -> CommitId {
        CommitId { writer: self.writer, number: self.commits.fetch_add(1, Ordering::Relaxed) }
    }

    /// The cache slot of a run.
    pub(crate) fn slot(&self, run: &RunKey) -> Arc<RunSlot> {
        self.cache.slot(run)
    }

    /// Removes a run from the cache.
    pub(crate) fn forget(&self, run: &RunKey) {
        self.cache.forget(run);
    }

    /// A snapshot with the revision that a write or a read of now has found.
    pub(crate) fn found(&self, snapshot: Snapshot, revision: u64, build: Fingerprint) -> CachedSnapshot {
        CachedSnapshot { snapshot: Arc::new(snapshot), revision, store: self.backend.store_id(), build }
    }

    /// The store of the revisions of now.
    pub(crate) fn store_id(&self) -> StoreId {
        self.backend.store_id()
    }

    /// Reads the latest snapshot of a run, also of a workflow that this host does not serve, and the build that it is
    /// written for. It is not older than `seen`, nor than the cached one. Does not cache it.
    pub(crate) async fn read(
        &self,
        run: &RunKey,
        seen: Seen,
    ) -> Result<Option<(CachedSnapshot, Fingerprint)>, BackendError> {
        let known = self.cache.peek(run).map(|cached| cached.seen()).unwrap_or_default();
        let Some(stored) = self.backend.load(run, known.or_later(seen)).await? else {
            return Ok(None);
        };
        let (snapshot, build) = stored.open()?;
        Ok(Some((self.found(snapshot, stored.revision, build), build)))
    }

    /// Reads the latest snapshot, not older than `seen`, and caches it unless the run has ended.
    pub(crate) async fn load(
        &self,
        run: &RunKey,
        seen: Seen,
    ) -> Result<Option<CachedSnapshot>, BackendError> {
        let Some((cached, _build)) = self.read(run, seen).await? else {
            return Ok(None);
        };
        if cached.snapshot.status.is_terminal() {
            // A late ticket caused this read. No other read of this run is expected.
            self.forget(run);
        } else {
            self.slot(run).keep(&cached);
        }
        Ok(Some(cached))
    }

    /// A snapshot that is not older than `seen`: the cached one, or the latest.
    pub(crate) async fn at_least(
        &self,
        run: &RunKey,
        seen: Seen,
    ) -> Result<Option<CachedSnapshot>, BackendError> {
        let cached = self.slot(run).cached();
        match cached.filter(|cached| cached.store == seen.store && seen.is_met_by(cached.revision)) {
            Some(cached) => Ok(Some(cached)),
            None => self.load(run, seen).await,
        }
    }

    /// The latest snapshot, if it is newer than what was seen.
    pub(crate) async fn newer(
        &self,
        run: &RunKey,
        seen: Seen,
    ) -> Result<Option<CachedSnapshot>, BackendError> {
        Ok(self.load(run, seen).await?.filter(|latest| latest.seen() != seen))
    }

    /// The entries of a chunk.
    pub(crate) async fn chunk(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        chunk: ChunkRef,
    ) -> Result<Entries, BackendError> {
        self.chunks.read(run, incarnation, chunk).await
    }

    /// Writes a snapshot over the one that was seen; the default means that the run must not exist. Returns the new revision.
    pub(crate) async fn write(
        &self,
        build: Fingerprint,
        snapshot: &Snapshot,
        chunks: Vec<Chunk>,
        over: Seen,
    ) -> Result<u64, BackendError> {
        jetway_state::hop!("Snapshots::write");
        let run = snapshot.key();
        // In a store that was made anew, the same revision may be that of another incarnation.
        if over.revision > 0 && over.store != self.store_id() {
            let message = format!("the snapshot of run {run} is in another store than before");
            return Err(BackendError::new(BackendErrorKind::Conflict, message));
        }
        let expected = over.revision;
        let bytes = snapshot.seal(build).map_err(|error| {
            BackendError::new(BackendErrorKind::Corrupt, format!("cannot encode the snapshot of run {run}"))
                .caused_by(error)
        })?;
        let max = self.limits.max_snapshot(snapshot.status);
        if bytes.len() > max {
            let message = format!("the snapshot of run {run} is {} bytes; the limit is {max}", bytes.len());
            return Err(BackendError::new(BackendErrorKind::TooLarge, message));
        }
        if bytes.len() > max / 2 && self.slot(&run).is_first_warning() {
            let ((part, _), bytes) = (snapshot.largest_part(), bytes.len());
            tracing::warn!(%run, bytes, limit = max, "snapshot is larger than half of its limit, mostly because of its {part}");
        }
        let Snapshot { incarnation, chain, commit, status, .. } = *snapshot;
        let awaited = snapshot.parent.is_some();
        let may_expire = snapshot.may_expire();
        let write = SnapshotWrite {
            run,
            incarnation,
            chain,
            commit,
            expected,
            status,
            may_expire,
            awaited,
            bytes,
            chunks,
        };
        self.backend.commit(write).await
    }
}

/// No code that holds one of these locks can panic in the middle of a change, so a poisoned lock holds good data.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
