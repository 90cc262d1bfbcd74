//! Snapshots in a key-value bucket, and chunks beside them.
//!
//! A snapshot is one value: written by compare-and-swap on its subject's latest sequence, which is the run's revision.
//! Chunks are values with longer keys, written before the snapshot that names them, never changed, and removed with the
//! run.

pub(crate) mod chunks;
mod listing;
mod stale;

use crate::{
    backend::NatsBackend,
    committer::largest,
    direct, jsapi,
    names::KV_OPERATION,
    write::{Body, Write},
};
use async_nats::HeaderMap;
use async_trait::async_trait;
use bytes::Bytes;
use jetway_core::{
    RunKey, Timestamp,
    backend::{BackendError, RunsPage, RunsQuery, SnapshotStore, SnapshotWrite, StaleRun, Stored},
    run::ChunkRef,
};

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
        let SnapshotWrite { run, commit, expected, status, bytes, chunks } = write;
        if !chunks.is_empty() {
            self.write_chunks(&run, chunks).await?;
        }
        let body = Body::Snapshot { expected, commit, status, keep: self.keep_finished };
        let write = Write { subject: self.names.snapshot(&run).into(), payload: bytes, body };
        self.committers
            .runs
            .write(write)
            .await
            .map_err(|error| error.of(format!("the snapshot of run {run}")))
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

    fn max_snapshot(&self) -> usize {
        largest(&self.link)
    }
}

/// Whether a value is the mark that `nats kv del` and `nats kv purge` leave behind.
fn is_removed(headers: &HeaderMap) -> bool {
    headers.get(KV_OPERATION).is_some()
}
