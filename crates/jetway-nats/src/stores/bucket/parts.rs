//! Values that are too large for one message.
//!
//! The parts are written first, under the commit that they belong to, and never change; then the value's own message
//! names the commit. Whoever wins the compare-and-swap removes the parts of what it replaced: those that were written
//! before its own.

use super::Bucket;
use crate::{
    direct, jsapi,
    names::StoreNames,
    write::{Body, Write},
};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jetway_engine::backend::BackendError;
use jetway_state::CommitId;
use std::time::Duration;

/// The bytes of one part. Fixed for ever: by it a reader knows how many parts a value has.
const PART: usize = 512 * 1024;
/// How many parts are read or written at once.
const AT_ONCE: usize = 8;
/// Parts outlive the message that names them by this much.
const LONGER: Duration = Duration::from_secs(300);

impl Bucket {
    /// Writes a value's parts. Returns the smallest of their sequences.
    pub(super) async fn write_parts(
        &self,
        key: &str,
        commit: CommitId,
        bytes: &Bytes,
        keep: Option<Duration>,
    ) -> Result<u64, BackendError> {
        let owner = commit.to_string();
        let keep = keep.map(|keep| keep.saturating_add(LONGER));
        let parts = (0..bytes.len().div_ceil(PART)).map(|number| {
            let range = number * PART..((number + 1) * PART).min(bytes.len());
            let write = Write {
                subject: Self::part_key(key, &owner, number).into(),
                payload: bytes.slice(range),
                body: Body::Value { expected: 0, commit, past: String::new(), keep, parts: None },
            };
            self.committer.write(write)
        });
        let stored: Result<Vec<u64>, _> =
            stream::iter(parts.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await;
        let stored = stored.map_err(|error| error.of(format!("a part of {key}")))?;
        Ok(stored.into_iter().min().unwrap_or(0))
    }

    /// Reads a value's parts; `None` where one of them is gone.
    pub(super) async fn read_parts(
        &self,
        key: &str,
        commit: &str,
        size: usize,
    ) -> Result<Option<Bytes>, BackendError> {
        let reads = (0..size.div_ceil(PART)).map(|number| self.part(Self::part_key(key, commit, number)));
        let parts: Vec<Option<Bytes>> =
            stream::iter(reads.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await?;
        let mut whole = BytesMut::with_capacity(parts.iter().flatten().map(Bytes::len).sum());
        for part in parts {
            let Some(part) = part else { return Ok(None) };
            whole.extend_from_slice(&part);
        }
        Ok((whole.len() == size).then(|| whole.freeze()))
    }

    /// One part. It never changes, so whichever replica has it may answer; only one that has it not must not.
    async fn part(&self, key: String) -> Result<Option<Bytes>, BackendError> {
        let near = direct::latest(&self.near, key.clone()).await;
        let near = near.map_err(|failure| failure.cannot(format!("read {key}")))?;
        if near.is_some() || self.one_replica {
            return Ok(near.map(|found| found.payload));
        }
        let found = jsapi::latest(&self.link, &self.stream, &key).await;
        let found = found.map_err(|failure| failure.cannot(format!("read {key}")))?;
        Ok(found.map(|found| found.payload))
    }

    /// Removes the parts of what was replaced. Those that stay in spite of it take up room and do no harm.
    pub(super) async fn drop_parts_before(&self, key: &str, sequence: u64) {
        let purged = jsapi::purge_before(&self.link, &self.stream, StoreNames::parts(key), sequence).await;
        if let Err(failure) = purged {
            tracing::warn!(key, %failure, "the parts of a replaced value stay for now");
        }
    }

    /// Removes the parts of a write that lost.
    pub(super) async fn drop_parts_of(&self, key: &str, commit: CommitId) {
        if let Err(failure) = jsapi::purge(&self.link, &self.stream, StoreNames::parts_of(key, commit)).await
        {
            tracing::warn!(key, %failure, "the parts of a write that lost stay for now");
        }
    }
}
