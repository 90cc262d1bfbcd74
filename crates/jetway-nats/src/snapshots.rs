//! Snapshots in a key-value bucket, and chunks beside them.
//!
//! A snapshot is one value: written by compare-and-swap on its subject's latest sequence, which is the run's revision.
//! Chunks are values with longer keys, written before the snapshot that names them, never changed, and removed with the
//! run.

pub(crate) mod chunks;
mod listing;
mod litter;
mod stale;

pub(crate) use chunks::PART;

use crate::{
    backend::NatsBackend,
    committer::largest,
    direct, jsapi,
    names::KV_OPERATION,
    write::{Body, NotStored, Write},
};
use async_nats::HeaderMap;
use async_trait::async_trait;
use bytes::Bytes;
use jetway_engine::{
    backend::{BackendError, RunsPage, RunsQuery, SnapshotStore, SnapshotWrite, StaleRun, Stored},
    fail_point::{FailPoint, fail_point},
};
use jetway_state::{RunKey, Timestamp, run::ChunkRef};
use std::time::Duration;

#[async_trait]
impl SnapshotStore for NatsBackend {
    async fn load(&self, run: &RunKey) -> Result<Option<Stored>, BackendError> {
        let subject = self.names.snapshot(run);
        let found = if self.one_replica {
            // There is nobody else who could answer, and it costs the server less.
            direct::latest(&self.runs, subject).await
        } else {
            jsapi::latest(&self.link, &self.streams.runs, &subject).await
        };
        let found = found.map_err(|failure| failure.cannot(format!("read run {run}")))?;
        Ok(found.filter(|message| !is_removed(&message.headers)).map(|message| Stored {
            run: run.clone(),
            bytes: message.payload,
            revision: message.sequence,
        }))
    }

    async fn commit(&self, write: SnapshotWrite) -> Result<u64, BackendError> {
        let SnapshotWrite { run, commit, expected, status, awaited, bytes, chunks } = write;
        if !chunks.is_empty() {
            self.write_chunks(&run, chunks).await?;
            fail_point(FailPoint::ChunksWritten);
        }
        let keep = match awaited {
            true => self.keep_finished.max(self.config.keep_results),
            false => self.keep_finished,
        };
        let subject = self.names.snapshot(&run);
        let write = async |expected| {
            let body = Body::Snapshot { expected, commit, status, keep };
            let write = Write { subject: subject.clone().into(), payload: bytes.clone(), body };
            self.committers.runs.write(write).await
        };
        let of = |error: NotStored| error.of(format!("the snapshot of run {run}"));
        match write(expected).await {
            // Whoever removed the run by hand left a mark, which is replaced as if nothing was there.
            Err(NotStored::Conflict) if expected == 0 => match self.mark_of_removal(&run).await? {
                Some(mark) => write(mark).await.map_err(of),
                None => Err(of(NotStored::Conflict)),
            },
            written => written.map_err(of),
        }
    }

    async fn read_chunk(&self, run: &RunKey, chunk: ChunkRef) -> Result<Option<Bytes>, BackendError> {
        self.chunk(run, chunk).await
    }

    async fn drop_chunks(&self, run: &RunKey, chunks: &[ChunkRef]) -> Result<(), BackendError> {
        self.purge_chunks(run, chunks).await
    }

    async fn drop_all_chunks(&self, run: &RunKey) -> Result<(), BackendError> {
        self.purge_all_chunks(run).await
    }

    async fn runs(&self, query: &RunsQuery) -> Result<RunsPage, BackendError> {
        self.list(query).await
    }

    async fn stale(&self, after: u64, before: Timestamp) -> Result<(Vec<StaleRun>, u64), BackendError> {
        self.find_stale(after, before).await
    }

    async fn ended_since(&self, since: Timestamp) -> Result<Vec<RunKey>, BackendError> {
        self.find_ended(since).await
    }

    async fn collect_orphaned_chunks(&self, grace: Duration) -> Result<u64, BackendError> {
        self.remove_litter(grace).await
    }

    fn max_snapshot(&self) -> usize {
        largest(&self.link)
    }
}

impl NatsBackend {
    /// The sequence of the mark that stands in the place of a removed run.
    async fn mark_of_removal(&self, run: &RunKey) -> Result<Option<u64>, BackendError> {
        let subject = self.names.snapshot(run);
        let found = jsapi::latest(&self.link, &self.streams.runs, &subject).await;
        let found = found.map_err(|failure| failure.cannot(format!("read run {run}")))?;
        Ok(found.filter(|found| is_removed(&found.headers)).map(|found| found.sequence))
    }
}

/// Whether a value is the mark that `nats kv del` and `nats kv purge` leave behind.
fn is_removed(headers: &HeaderMap) -> bool {
    headers.get(KV_OPERATION).is_some()
}
