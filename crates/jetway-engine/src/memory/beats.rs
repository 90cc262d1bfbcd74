//! Heartbeats in memory.

use super::{MemoryBackend, locked};
use crate::backend::{BackendError, BeatKey, Beats};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::VecDeque;

/// How many heartbeats are kept: the latest. Nothing expires here.
const MAX_BEATS: usize = 10_000;

/// The last heartbeats of steps, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Kept(VecDeque<(BeatKey, Bytes)>);

#[async_trait]
impl Beats for MemoryBackend {
    async fn keep_beat(&self, key: &BeatKey, detail: Bytes) -> Result<(), BackendError> {
        let Kept(beats) = &mut *locked(&self.beats);
        beats.retain(|(of, _)| of != key);
        if beats.len() >= MAX_BEATS {
            beats.pop_front();
        }
        beats.push_back((key.clone(), detail));
        Ok(())
    }

    async fn last_beat(&self, key: &BeatKey) -> Result<Option<Bytes>, BackendError> {
        let Kept(beats) = &*locked(&self.beats);
        Ok(beats.iter().find(|(of, _)| of == key).map(|(_, detail)| detail.clone()))
    }
}
