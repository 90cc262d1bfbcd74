//! Chunks of snapshots: blobs beside the snapshot.

use crate::{
    backend::NatsBackend,
    blob::{self, part_writes},
    committer::Condition,
    session::api,
};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jetway_engine::backend::BackendError;
use jetway_state::{
    Incarnation, RunKey,
    run::{Chunk, ChunkRef},
};

/// How many chunks are removed at once.
const PURGES_AT_ONCE: usize = 8;

impl NatsBackend {
    /// Writes chunks and waits until all of them are stored.
    pub(super) async fn write_chunks(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        chunks: Vec<Chunk>,
    ) -> Result<(), BackendError> {
        let mut writes = Vec::with_capacity(chunks.len());
        for chunk in &chunks {
            let subject = |part| self.names.chunk_part(run, incarnation, chunk.name, part);
            writes.extend(part_writes(&chunk.bytes, subject, || Condition::Unique(None)));
        }
        let stored = self.committers.runs.write_all(writes).await;
        stored.map(drop).map_err(|error| error.error_of(format!("a chunk of run {run}")))
    }

    pub(super) async fn chunk(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        chunk: ChunkRef,
    ) -> Result<Option<Bytes>, BackendError> {
        let subject = |part| self.names.chunk_part(run, incarnation, chunk, part);
        let read = blob::read(&self.runs, chunk.bytes as usize, subject).await;
        read.map_err(|failure| failure.cannot(format!("read a chunk of run {run}")))
    }

    pub(super) async fn purge_chunks(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        chunks: &[ChunkRef],
    ) -> Result<(), BackendError> {
        let filters = chunks.iter().map(|chunk| self.names.chunk_parts(run, incarnation, *chunk));
        stream::iter(filters.collect::<Vec<_>>())
            .map(|filter| self.purge(run, filter))
            .buffer_unordered(PURGES_AT_ONCE)
            .try_collect::<()>()
            .await
    }

    pub(super) async fn purge_all_chunks(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
    ) -> Result<(), BackendError> {
        self.purge(run, self.names.chunks_of_run(run, incarnation)).await
    }

    async fn purge(&self, run: &RunKey, filter: String) -> Result<(), BackendError> {
        let purged = api::purge(&self.connection, &self.streams.runs, filter).await;
        let parts = purged.map_err(|failure| failure.cannot(format!("remove chunks of run {run}")))?;
        tracing::debug!(%run, parts, "removed chunks");
        Ok(())
    }
}
