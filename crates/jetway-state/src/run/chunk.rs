//! Chunks: payloads that are kept beside the snapshot.

use crate::CommitId;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The name of a chunk. It contains the id of the commit, so that a failed write never overwrites a chunk that a committed
/// snapshot refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChunkRef {
    /// The commit that writes it.
    pub commit: CommitId,
    /// The number of the chunk within the commit.
    pub number: u16,
    /// The size of the chunk in bytes; a backend may have to split it.
    pub bytes: u32,
}

/// A chunk to write before the snapshot that refers to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Its name.
    pub name: ChunkRef,
    /// Its bytes: an encoded list of [`ChunkEntry`](super::ChunkEntry).
    pub bytes: Bytes,
}
