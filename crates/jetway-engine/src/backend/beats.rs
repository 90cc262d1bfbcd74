//! The trait of a store of heartbeats.

use super::BackendError;
use async_trait::async_trait;
use bytes::Bytes;
use jetway_state::{Incarnation, ItemId, RunKey};

/// The step that a heartbeat is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BeatKey {
    /// The run.
    pub run: RunKey,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The item.
    pub item: ItemId,
}

/// Stores the last heartbeat of each step, for its next attempt. It is a hint: it expires, and may be lost.
#[async_trait]
pub trait Beats: Send + Sync {
    /// Stores the detail of a heartbeat, in place of an earlier one of its step.
    async fn keep_beat(&self, key: &BeatKey, detail: Bytes) -> Result<(), BackendError>;

    /// The last detail of a step; `None` if there is none any more.
    async fn last_beat(&self, key: &BeatKey) -> Result<Option<Bytes>, BackendError>;
}
