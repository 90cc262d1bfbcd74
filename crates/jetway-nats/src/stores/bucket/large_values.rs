//! Values that are too large for one message: blobs.
//!
//! The parts of a value have its commit in their keys. Whoever wins the compare-and-swap removes the parts that were written
//! before its own.

use super::Bucket;
use crate::{
    blob::{self, part_writes},
    committer::Condition,
    names::StoreNames,
    session::api,
};
use bytes::Bytes;
use jetway_engine::backend::BackendError;
use jetway_state::CommitId;
use std::time::Duration;

/// How much longer parts are kept than the message that refers to them.
const KEEP_LONGER: Duration = Duration::from_secs(300);

impl Bucket {
    /// Writes the parts of a value. Returns the lowest of their sequences.
    pub(super) async fn write_parts(
        &self,
        key: &str,
        commit: CommitId,
        bytes: &Bytes,
        keep: Option<Duration>,
    ) -> Result<u64, BackendError> {
        let text = commit.to_string();
        let keep = keep.map(|keep| keep.saturating_add(KEEP_LONGER));
        let condition =
            || Condition::StoreValue { expected: 0, commit, prior_commits: String::new(), keep, parts: None };
        let writes = part_writes(bytes, |number| StoreNames::part(key, &text, number), condition);
        let stored = self.committer.write_all(writes.collect()).await;
        stored.map_err(|error| error.error_of(format!("a part of {key}")))
    }

    /// Reads a value of `size` bytes in parts. `None` if a part is gone.
    pub(super) async fn read_parts(
        &self,
        key: &str,
        commit: &str,
        size: usize,
    ) -> Result<Option<Bytes>, BackendError> {
        let read = blob::read(&self.reader, size, |number| StoreNames::part(key, commit, number)).await;
        read.map_err(|failure| failure.cannot(format!("read the parts of {key}")))
    }

    /// Removes the parts of replaced values. If that fails, they use space and do no harm.
    pub(super) async fn remove_parts_before(&self, key: &str, sequence: u64) {
        let parts = StoreNames::parts(key);
        if let Err(failure) = api::purge_before(&self.connection, &self.stream, parts, sequence).await {
            tracing::warn!(key, error = %failure, "cannot remove the parts of a replaced value");
        }
    }

    /// Removes the parts of a write that lost the compare-and-swap.
    pub(super) async fn remove_parts_of(&self, key: &str, commit: CommitId) {
        let parts = StoreNames::parts_of(key, commit);
        if let Err(failure) = api::purge(&self.connection, &self.stream, parts).await {
            tracing::warn!(key, error = %failure, "cannot remove the parts of a value that was not written");
        }
    }
}
