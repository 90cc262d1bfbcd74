//! Chunks: payloads that are kept beside the snapshot.

use crate::CommitId;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Names a chunk beside a snapshot: by the commit that wrote it, so that a write that lost its race can never
/// overwrite what a committed snapshot names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChunkRef {
    /// The commit that wrote it.
    pub commit: CommitId,
    /// Counts the chunks of one commit.
    pub number: u16,
    /// The chunk's size in bytes; what keeps it may have to divide it.
    pub bytes: u32,
}

/// A chunk to be written before the snapshot that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Its name.
    pub name: ChunkRef,
    /// Its bytes: an encoded list of [`ChunkEntry`].
    pub bytes: Bytes,
}
