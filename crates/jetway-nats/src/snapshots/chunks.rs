//! Chunks: values that are too large for one message are divided into parts.

use crate::{
    backend::NatsBackend,
    direct, jsapi,
    write::{Body, Write},
};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jetway_engine::backend::BackendError;
use jetway_state::{
    RunKey,
    run::{Chunk, ChunkRef},
};
use std::ops::Range;

/// The bytes of one part. Fixed for ever: by it a reader knows how many parts a chunk has.
pub(crate) const PART: usize = 512 * 1024;
/// How many parts are read, or chunks removed, at once.
const AT_ONCE: usize = 8;

impl NatsBackend {
    /// Writes chunks and waits until all of them are stored.
    pub(super) async fn write_chunks(&self, run: &RunKey, chunks: Vec<Chunk>) -> Result<(), BackendError> {
        let mut writes = Vec::with_capacity(chunks.len());
        for chunk in &chunks {
            for (number, range) in parts(chunk.bytes.len()).enumerate() {
                let subject = self.names.chunk_part(run, chunk.name, number).into();
                writes.push(Write { subject, payload: chunk.bytes.slice(range), body: Body::Once(None) });
            }
        }
        self.committers
            .runs
            .write_all(writes)
            .await
            .map_err(|error| error.of(format!("a chunk of run {run}")))
    }

    pub(super) async fn chunk(&self, run: &RunKey, chunk: ChunkRef) -> Result<Option<Bytes>, BackendError> {
        let total = chunk.bytes as usize;
        let reads = parts(total).enumerate().map(|(number, _)| self.part(run, chunk, number));
        let read: Option<Vec<Bytes>> =
            stream::iter(reads).buffered(AT_ONCE).try_collect::<Vec<_>>().await?.into_iter().collect();
        Ok(read.and_then(|mut parts| match parts.len() {
            1 => parts.pop(),
            _ => Some(parts.iter().fold(BytesMut::with_capacity(total), joined).freeze()),
        }))
    }

    /// One part. It never changes, so whichever replica has it may answer; only one that has it not must not.
    async fn part(
        &self,
        run: &RunKey,
        chunk: ChunkRef,
        number: usize,
    ) -> Result<Option<Bytes>, BackendError> {
        let subject = self.names.chunk_part(run, chunk, number);
        let what = || format!("read a chunk of run {run}");
        let near = direct::latest(&self.runs, subject.clone()).await;
        if let Some(found) = near.map_err(|failure| failure.cannot(what()))? {
            return Ok(Some(found.payload));
        }
        if self.one_replica {
            return Ok(None);
        }
        let found = jsapi::latest(&self.link, &self.streams.runs, &subject).await;
        Ok(found.map_err(|failure| failure.cannot(what()))?.map(|found| found.payload))
    }

    pub(super) async fn purge_chunks(&self, run: &RunKey, chunks: &[ChunkRef]) -> Result<(), BackendError> {
        let filters = chunks.iter().map(|chunk| self.names.chunk_parts(run, *chunk));
        stream::iter(filters.collect::<Vec<_>>())
            .map(|filter| self.purge(run, filter))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await
    }

    pub(super) async fn purge_all_chunks(&self, run: &RunKey) -> Result<(), BackendError> {
        self.purge(run, self.names.chunks_of_run(run)).await
    }

    async fn purge(&self, run: &RunKey, filter: String) -> Result<(), BackendError> {
        let purged = jsapi::purge(&self.link, &self.streams.runs, filter).await;
        let purged = purged.map_err(|failure| failure.cannot(format!("remove chunks of run {run}")))?;
        tracing::debug!(%run, parts = purged, "chunks removed");
        Ok(())
    }
}

/// Where each part of a chunk begins and ends. An empty chunk has one part, which is empty.
pub(crate) fn parts(bytes: usize) -> impl Iterator<Item = Range<usize>> {
    let count = bytes.div_ceil(PART).max(1);
    (0..count).map(move |part| part * PART..((part + 1) * PART).min(bytes))
}

fn joined(mut whole: BytesMut, part: &Bytes) -> BytesMut {
    whole.extend_from_slice(part);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_chunk_without_gap() {
        for bytes in [0, 1, PART - 1, PART, PART + 1, 5 * PART + 7] {
            let parts: Vec<_> = parts(bytes).collect();
            assert_eq!(parts.len(), bytes.div_ceil(PART).max(1));
            assert_eq!(parts.last().map(|part| part.end), Some(bytes));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }
}
