//! Snapshots in a key-value bucket, and chunks beside them.
//!
//! A snapshot is one value, written by compare-and-swap on the latest sequence of its subject, which is the run's revision.
//! Chunks have longer keys. They are written before the snapshot that refers to them, never change, and are removed with the
//! run.

mod chunks;
mod listing;
mod orphaned_chunks;
mod scan;

use super::NatsBackend;
use crate::{
    committer::{Condition, NotStored, Write},
    headers::is_removed,
    session::{Failure, api, direct},
};
use async_trait::async_trait;
use bytes::Bytes;
use jetway_engine::{
    backend::{BackendError, RunsPage, RunsQuery, SnapshotStore, SnapshotWrite, StaleRun, Stored},
    fail_point::{FailPoint, fail_point},
};
use jetway_state::{Incarnation, RunKey, Seen, StoreId, Timestamp, run::ChunkRef};
use std::time::Duration;

#[async_trait]
impl SnapshotStore for NatsBackend {
    async fn load(&self, run: &RunKey, seen: Seen) -> Result<Option<Stored>, BackendError> {
        let found = match self.runs.latest(&self.names.snapshot(run), seen).await {
            Ok(found) => found,
            Err(failure) => return Err(self.failed(failure, format!("read run {run}")).await),
        };
        Ok(found.filter(|message| !is_removed(&message.headers)).map(|message| Stored {
            run: run.clone(),
            bytes: message.payload,
            revision: message.sequence,
        }))
    }

    async fn glance(&self, runs: &[RunKey]) -> Result<Vec<Stored>, BackendError> {
        let subjects: Vec<String> = runs.iter().map(|run| self.names.snapshot(run)).collect();
        let (stream, failed) =
            (&self.streams.runs, |failure: Failure| failure.cannot(format!("read {} runs", runs.len())));
        let connection = self.reads.get().await.map_err(failed)?;
        let read = match direct::latest_of_some(&connection, stream, &subjects).await {
            Err(ref failure) if self.reads.is_lost(&connection, failure).await => {
                self.reads.latest_of_some(stream, &subjects).await
            }
            read => read,
        };
        let found = read.map_err(failed)?.messages;
        let live = found.into_iter().filter(|message| !is_removed(&message.headers));
        Ok(live
            .filter_map(|message| {
                let run = self.names.run_of_snapshot(&message.subject)?;
                Some(Stored { run, bytes: message.payload, revision: message.sequence })
            })
            .collect())
    }

    async fn commit(&self, write: SnapshotWrite) -> Result<u64, BackendError> {
        jetway_state::hop!("NatsBackend::commit");
        // Results name the first incarnation, and are compared with the header.
        let first = write.chain_id();
        let SnapshotWrite {
            run,
            incarnation,
            commit,
            expected,
            status,
            may_expire,
            awaited,
            bytes,
            chunks,
            ..
        } = write;
        if !chunks.is_empty() {
            self.write_chunks(&run, incarnation, chunks).await?;
            fail_point(FailPoint::ChunksWritten);
        }
        let keep = may_expire.then(|| self.keep_ended(awaited));
        let subject = self.names.snapshot(&run);
        let write = async |expected| {
            let condition = Condition::Snapshot { expected, commit, incarnation: first, status, keep };
            let write = Write { subject: subject.clone().into(), payload: bytes.clone(), condition };
            self.committers.runs.write(write).await
        };
        let error_of = |error: NotStored| error.error_of(format!("the snapshot of run {run}"));
        match write(expected).await {
            // `nats kv del` leaves a marker, which is replaced as if there was nothing.
            Err(NotStored::Conflict) if expected == 0 => match self.removal_marker(&run).await? {
                Some(marker) => write(marker).await.map_err(error_of),
                None => Err(error_of(NotStored::Conflict)),
            },
            written => written.map_err(error_of),
        }
        .inspect(|revision| self.runs.facts().reached(*revision))
    }

    fn store_id(&self) -> StoreId {
        self.runs.facts().store()
    }

    async fn read_chunk(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        chunk: ChunkRef,
    ) -> Result<Option<Bytes>, BackendError> {
        self.chunk(run, incarnation, chunk).await
    }

    async fn drop_chunks(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        chunks: &[ChunkRef],
    ) -> Result<(), BackendError> {
        self.purge_chunks(run, incarnation, chunks).await
    }

    async fn drop_all_chunks(&self, run: &RunKey, incarnation: Incarnation) -> Result<(), BackendError> {
        self.purge_all_chunks(run, incarnation).await
    }

    async fn runs(&self, query: &RunsQuery) -> Result<RunsPage, BackendError> {
        self.list_runs(query).await
    }

    async fn stale(&self, after: u64, before: Timestamp) -> Result<(Vec<StaleRun>, u64), BackendError> {
        self.find_stale(after, before).await
    }

    async fn ended_since(&self, since: Timestamp) -> Result<Vec<RunKey>, BackendError> {
        self.find_ended(since).await
    }

    async fn collect_orphaned_chunks(&self, grace: Duration) -> Result<u64, BackendError> {
        self.remove_orphaned_chunks(grace).await
    }

    fn max_snapshot(&self) -> usize {
        self.connection.max_payload()
    }

    fn keep_finished(&self) -> Option<Duration> {
        Some(self.config.keep_finished)
    }
}

impl NatsBackend {
    /// The sequence of the marker of a removed run.
    async fn removal_marker(&self, run: &RunKey) -> Result<Option<u64>, BackendError> {
        let subject = self.names.snapshot(run);
        let found = api::latest(&self.connection, &self.streams.runs, &subject).await;
        let found = found.map_err(|failure| failure.cannot(format!("read run {run}")))?;
        Ok(found.filter(|found| is_removed(&found.headers)).map(|found| found.sequence))
    }
}
