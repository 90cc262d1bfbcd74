//! What an item is to be run with: in the snapshot, or in chunks beside it.

use super::{Engine, run_cache::locked};
use crate::backend::{BackendError, BackendErrorKind};
use bytes::Bytes;
use jetway_core::step::TaskInput;
use jetway_state::{
    Error, ItemId, RunKey, codec,
    run::{Arrival, Arrivals, ChunkEntry, ChunkRef, Input, Payload, Snapshot},
};
use lru::LruCache;
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};

/// How many chunks are kept: a fan-out's branches are taken up one after the other, so few are in use at a time.
const CHUNKS_IN_HAND: usize = 64;

/// The largest chunk that is kept, in bytes: above that of a chunk of branches, and small enough for all of them.
const LARGEST_IN_HAND: usize = 1024 * 1024;

/// The chunks that were lately read. A chunk never changes, so it is never out of date.
pub(super) struct Chunks(Mutex<LruCache<(RunKey, ChunkRef), Entries>>);

type Entries = Arc<Vec<ChunkEntry>>;

impl Default for Chunks {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(NonZeroUsize::new(CHUNKS_IN_HAND).unwrap_or(NonZeroUsize::MIN))))
    }
}

/// A pending item, ready to be run.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) node: String,
    pub(super) input: TaskInput,
    /// The spans of the steps that led here.
    pub(super) from: Vec<u64>,
}

impl Engine {
    /// The node and the input of a pending item; `None` where it is not pending, or has no place at its node.
    pub(super) async fn ready(
        &self,
        run: &RunKey,
        snapshot: &Snapshot,
        id: &ItemId,
    ) -> Result<Option<Ready>, BackendError> {
        if snapshot.waits_for_slot(id) {
            return Ok(None);
        }
        if let Some(item) = snapshot.items.get(id) {
            let mut from: Vec<u64> = item.from_span.into_iter().collect();
            let input = match &item.input {
                Input::One(Payload::Inline(bytes)) => TaskInput::One(bytes.clone()),
                Input::One(Payload::Chunk(chunk)) => TaskInput::One(self.item_in(run, *chunk).await?),
                Input::Gathered(arrivals) => {
                    let arrived = self.arrived(run, arrivals).await?;
                    from.extend(arrived.iter().filter_map(|arrival| arrival.span));
                    TaskInput::Gathered(arrived.into_iter().map(|arrival| arrival.payload).collect())
                }
            };
            from.sort_unstable();
            from.dedup();
            return Ok(Some(Ready { node: item.node.clone(), input, from }));
        }
        self.branch(run, snapshot, id).await
    }

    async fn branch(
        &self,
        run: &RunKey,
        snapshot: &Snapshot,
        id: &ItemId,
    ) -> Result<Option<Ready>, BackendError> {
        let Some((fan_out, position)) = id.as_branch() else {
            return Ok(None);
        };
        let Some(fan_out) = snapshot.fan_outs.get(&fan_out) else {
            return Ok(None);
        };
        if !fan_out.branches.is_open(position) {
            return Ok(None);
        }
        let from = fan_out.from_span.into_iter().collect();
        if let Some(seed) = fan_out.branches.inline.get(&position) {
            return Ok(Some(Ready {
                node: seed.node.clone(),
                input: TaskInput::One(seed.payload.clone()),
                from,
            }));
        }
        let chunk = fan_out
            .branches
            .chunk_of(position)
            .ok_or_else(|| lost(run, &format!("the input of item {id}")))?;
        let entries = self.chunk(run, chunk).await?;
        let (node, payload) =
            seed_at(&entries, position).ok_or_else(|| lost(run, &format!("the input of item {id}")))?;
        Ok(Some(Ready { node: node.to_owned(), input: TaskInput::One(payload.clone()), from }))
    }

    async fn item_in(&self, run: &RunKey, chunk: ChunkRef) -> Result<Bytes, BackendError> {
        let entries = self.chunk(run, chunk).await?;
        match entries.first() {
            Some(ChunkEntry::Item(bytes)) => Ok(bytes.clone()),
            _ => Err(lost(run, "the input of an item")),
        }
    }

    /// The values that wait for a gathering node, in the order of the fan-out.
    async fn arrived(&self, run: &RunKey, arrivals: &Arrivals) -> Result<Vec<Arrival>, BackendError> {
        let mut all = arrivals.inline.clone();
        for chunk in &arrivals.chunks {
            all.extend(self.chunk(run, *chunk).await?.iter().filter_map(|entry| match entry {
                ChunkEntry::Arrival(arrival) => Some(arrival.clone()),
                ChunkEntry::Branch { .. } | ChunkEntry::Item(_) => None,
            }));
        }
        if all.len() != arrivals.count as usize {
            return Err(lost(run, &format!("{} of {} gathered values", all.len(), arrivals.count)));
        }
        all.sort_by(|a, b| (a.position, &a.from).cmp(&(b.position, &b.from)));
        Ok(all)
    }

    /// A chunk's entries.
    pub(super) async fn chunk(&self, run: &RunKey, chunk: ChunkRef) -> Result<Entries, BackendError> {
        let name = (run.clone(), chunk);
        if let Some(known) = locked(&self.chunks.0).get(&name) {
            return Ok(Arc::clone(known));
        }
        let bytes = self.backend.read_chunk(run, chunk).await?;
        let bytes =
            bytes.ok_or_else(|| lost(run, &format!("chunk {} of commit {}", chunk.number, chunk.commit)))?;
        let entries =
            codec::decode(&bytes, "a chunk of payloads").map_err(|error: Error| corrupt(run, error))?;
        let entries = Arc::new(entries);
        // A larger one is the input of one item, which is run once.
        if bytes.len() <= LARGEST_IN_HAND {
            locked(&self.chunks.0).put(name, Arc::clone(&entries));
        }
        Ok(entries)
    }
}

/// The node and the payload of a branch. A chunk's branches are in the order of their positions.
pub(super) fn seed_at(entries: &[ChunkEntry], position: u32) -> Option<(&str, &Bytes)> {
    let place = |entry: &ChunkEntry| match entry {
        ChunkEntry::Branch { position, .. } => *position,
        ChunkEntry::Arrival(_) | ChunkEntry::Item(_) => u32::MAX,
    };
    let index = entries.binary_search_by_key(&position, place).ok()?;
    match &entries[index] {
        ChunkEntry::Branch { node, payload, .. } => Some((node, payload)),
        ChunkEntry::Arrival(_) | ChunkEntry::Item(_) => None,
    }
}

fn lost(run: &RunKey, what: &str) -> BackendError {
    BackendError::new(BackendErrorKind::Corrupt, format!("run {run}: {what} is not where the snapshot says"))
}

fn corrupt(run: &RunKey, error: Error) -> BackendError {
    BackendError::new(BackendErrorKind::Corrupt, format!("run {run}: a chunk cannot be read"))
        .caused_by(error)
}
