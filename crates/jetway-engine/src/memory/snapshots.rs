//! Snapshots in memory.

use super::{MemoryBackend, locked};
use crate::backend::{
    BackendError, BackendErrorKind, RunsPage, RunsQuery, SnapshotStore, SnapshotWrite, StaleRun, Stored,
};
use async_trait::async_trait;
use bytes::Bytes;
use jetway_state::{
    Incarnation, RunKey, Seen, StoreId, Timestamp,
    run::{ChunkRef, Status},
};
use std::{collections::BTreeMap, time::Duration};

/// A process has one store of snapshots, which is never made again.
const STORE: StoreId = StoreId(1);

#[derive(Default)]
pub(super) struct Snapshots {
    runs: BTreeMap<RunKey, Kept>,
    chunks: BTreeMap<(RunKey, Incarnation, ChunkRef), Bytes>,
    revision: u64,
}

struct Kept {
    stored: Stored,
    incarnation: Incarnation,
    chain: Incarnation,
    status: Status,
    at: Timestamp,
}

impl MemoryBackend {
    /// The first incarnation of the current record of a run, which its result names.
    pub(super) fn incarnation_of(&self, run: &RunKey) -> Option<Incarnation> {
        locked(&self.snapshots).runs.get(run).map(|kept| kept.chain)
    }
}

#[async_trait]
impl SnapshotStore for MemoryBackend {
    /// There is one copy, which is never behind.
    async fn load(&self, run: &RunKey, _seen: Seen) -> Result<Option<Stored>, BackendError> {
        Ok(locked(&self.snapshots).runs.get(run).map(|kept| kept.stored.clone()))
    }

    fn store_id(&self) -> StoreId {
        STORE
    }

    fn keep_finished(&self) -> Option<Duration> {
        None
    }

    async fn commit(&self, write: SnapshotWrite) -> Result<u64, BackendError> {
        if write.bytes.len() > self.max_snapshot() {
            let message = format!(
                "the snapshot of run {} is {} bytes; the limit is {}",
                write.run,
                write.bytes.len(),
                self.max_snapshot()
            );
            return Err(BackendError::new(BackendErrorKind::TooLarge, message));
        }
        let mut kept = locked(&self.snapshots);
        let found = kept.runs.get(&write.run).map_or(0, |run| run.stored.revision);
        if found != write.expected {
            let message = format!("run {} is at revision {found}, not {}", write.run, write.expected);
            return Err(BackendError::new(BackendErrorKind::Conflict, message));
        }
        kept.revision += 1;
        let revision = kept.revision;
        for chunk in write.chunks {
            kept.chunks.insert((write.run.clone(), write.incarnation, chunk.name), chunk.bytes);
        }
        let chain = write.chain.unwrap_or(write.incarnation);
        let stored = Stored { run: write.run.clone(), bytes: write.bytes, revision };
        let (incarnation, status, at) = (write.incarnation, write.status, self.clock.now());
        kept.runs.insert(write.run, Kept { stored, incarnation, chain, status, at });
        Ok(revision)
    }

    async fn read_chunk(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        chunk: ChunkRef,
    ) -> Result<Option<Bytes>, BackendError> {
        Ok(locked(&self.snapshots).chunks.get(&(run.clone(), incarnation, chunk)).cloned())
    }

    async fn drop_chunks(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        chunks: &[ChunkRef],
    ) -> Result<(), BackendError> {
        let mut kept = locked(&self.snapshots);
        for chunk in chunks {
            kept.chunks.remove(&(run.clone(), incarnation, *chunk));
        }
        Ok(())
    }

    async fn drop_all_chunks(&self, run: &RunKey, incarnation: Incarnation) -> Result<(), BackendError> {
        locked(&self.snapshots).chunks.retain(|(of, owner, _), _| (of, *owner) != (run, incarnation));
        Ok(())
    }

    async fn runs(&self, query: &RunsQuery) -> Result<RunsPage, BackendError> {
        let after = match query.after.as_deref().map(str::parse::<u64>) {
            None => u64::MAX,
            Some(Ok(after)) => after,
            Some(Err(_)) => {
                return Err(BackendError::new(
                    BackendErrorKind::Invalid,
                    "cannot list runs: `after` is not a number",
                ));
            }
        };
        let limit = if query.limit == 0 { 100 } else { query.limit };
        let kept = locked(&self.snapshots);
        let mut found: Vec<_> = kept
            .runs
            .iter()
            .filter(|(key, run)| {
                run.stored.revision < after
                    && query.workflow.as_ref().is_none_or(|workflow| key.workflow == *workflow)
                    && query.status.is_none_or(|status| run.status == status)
            })
            .map(|(_, run)| run.stored.clone())
            .collect();
        found.sort_by_key(|stored| std::cmp::Reverse(stored.revision));
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|last| last.revision.to_string());
        Ok(RunsPage { runs: found, next, scanned: kept.runs.len() as u64 })
    }

    async fn glance(&self, runs: &[RunKey]) -> Result<Vec<Stored>, BackendError> {
        let kept = locked(&self.snapshots);
        Ok(runs.iter().filter_map(|run| kept.runs.get(run)).map(|run| run.stored.clone()).collect())
    }

    async fn ended_since(&self, since: Timestamp) -> Result<Vec<RunKey>, BackendError> {
        let kept = locked(&self.snapshots);
        let ended = kept.runs.iter().filter(|(_, run)| run.status.is_terminal() && run.at >= since);
        Ok(ended.map(|(key, _)| key.clone()).collect())
    }

    async fn collect_orphaned_chunks(&self, _grace: Duration) -> Result<u64, BackendError> {
        let mut kept = locked(&self.snapshots);
        let Snapshots { runs, chunks, .. } = &mut *kept;
        let before = chunks.len();
        let is_live = |run: &Kept, owner| run.incarnation == owner && !run.status.is_terminal();
        chunks.retain(|(of, owner, _), _| runs.get(of).is_some_and(|run| is_live(run, *owner)));
        Ok((before - chunks.len()) as u64)
    }

    async fn stale(&self, after: u64, before: Timestamp) -> Result<(Vec<StaleRun>, u64), BackendError> {
        let results = self.results.runs();
        let kept = locked(&self.snapshots);
        let mut old: Vec<_> =
            kept.runs.iter().filter(|(_, run)| run.stored.revision > after && run.at < before).collect();
        old.sort_by_key(|(_, run)| run.stored.revision);
        let scanned = old.last().map_or(after, |(_, run)| run.stored.revision);
        let stale = old
            .into_iter()
            .filter(|(key, run)| !run.status.is_terminal() || !results.contains(&((*key).clone(), run.chain)))
            .map(|(key, run)| StaleRun {
                run: key.clone(),
                revision: run.stored.revision,
                ended: run.status.is_terminal(),
            })
            .collect();
        Ok((stale, scanned))
    }

    fn max_snapshot(&self) -> usize {
        1024 * 1024
    }
}
