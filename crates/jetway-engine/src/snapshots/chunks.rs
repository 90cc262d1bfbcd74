//! The cache of chunks. A chunk never changes, so a cached one is never out of date.

use super::locked;
use crate::backend::{Backend, BackendError, BackendErrorKind};
use jetway_state::{
    Incarnation, RunKey, codec,
    run::{ChunkEntry, ChunkRef},
};
use lru::LruCache;
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};

/// How many chunks are cached: the branches of a fan-out run in order, so few chunks are in use at a time.
const CACHED_CHUNKS: usize = 64;

/// The largest chunk that is cached, in bytes. A larger one is the input of a single item.
const MAX_CACHED_BYTES: usize = 1024 * 1024;

/// The entries of a chunk.
pub(super) type Entries = Arc<Vec<ChunkEntry>>;

/// Reads chunks and caches the last ones.
pub(super) struct ChunkCache {
    backend: Arc<dyn Backend>,
    entries: Mutex<LruCache<(RunKey, ChunkRef), Entries>>,
}

impl ChunkCache {
    pub(super) fn new(backend: Arc<dyn Backend>) -> Self {
        let size = NonZeroUsize::new(CACHED_CHUNKS).unwrap_or(NonZeroUsize::MIN);
        Self { backend, entries: Mutex::new(LruCache::new(size)) }
    }

    pub(super) async fn read(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        chunk: ChunkRef,
    ) -> Result<Entries, BackendError> {
        let name = (run.clone(), chunk);
        if let Some(entries) = locked(&self.entries).get(&name) {
            return Ok(Arc::clone(entries));
        }
        let bytes =
            self.backend.read_chunk(run, incarnation, chunk).await?.ok_or_else(|| missing(run, chunk))?;
        let entries = codec::decode(&bytes, "a chunk of payloads").map_err(|error| {
            BackendError::new(BackendErrorKind::Corrupt, format!("run {run}: cannot decode a chunk"))
                .caused_by(error)
        })?;
        let entries = Arc::new(entries);
        if bytes.len() <= MAX_CACHED_BYTES {
            locked(&self.entries).put(name, Arc::clone(&entries));
        }
        Ok(entries)
    }
}

fn missing(run: &RunKey, chunk: ChunkRef) -> BackendError {
    let ChunkRef { commit, number, .. } = chunk;
    let message = format!("run {run}: chunk {number} of commit {commit} is missing");
    BackendError::new(BackendErrorKind::Corrupt, message)
}
