//! Values by key: read from the leader, written by compare-and-swap, stored in parts if they are large.

mod large_values;
pub(super) mod values;

use crate::{
    committer::{Committer, Condition, NotStored, Write},
    names::{COMMIT, KV_OPERATION, PARTS, PRIOR_COMMITS, StoreNames},
    session::{Backoff, Connection, StreamReader, api, direct},
};
use async_nats::{HeaderMap, jetstream::message::StreamMessage};
use bytes::Bytes;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use jetway_state::{CommitId, Seen};
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How many times a value is read that is replaced while its parts are read.
const MAX_READS: u32 = 20;
/// How many commits a value remembers, its own included.
const REMEMBERED_COMMITS: usize = 32;

/// The values of one application.
#[derive(Debug)]
pub(super) struct Bucket {
    connection: Arc<Connection>,
    stream: String,
    reader: StreamReader,
    committer: Committer,
    /// This process, in commit ids.
    writer: u64,
    writes: AtomicU64,
    give_up_after: Duration,
    /// Keys whose latest value was in parts when it was last read or written. The parts are removed when it is replaced.
    in_parts: Mutex<HashSet<String>>,
}

/// A value and its revision.
#[derive(Debug)]
pub(super) struct StoredValue {
    pub(super) bytes: Bytes,
    pub(super) revision: u64,
    /// Its commit and those of earlier values, the latest first.
    commits: String,
}

/// A value to be written.
#[derive(Debug)]
pub(super) struct NewValue {
    pub(super) bytes: Bytes,
    /// It expires after this time.
    pub(super) keep: Option<Duration>,
}

impl Bucket {
    pub(super) fn new(
        connection: Arc<Connection>,
        stream: String,
        reader: StreamReader,
        committer: Committer,
        give_up_after: Duration,
    ) -> Self {
        Self {
            connection,
            stream,
            reader,
            committer,
            writer: rand::random(),
            writes: AtomicU64::new(1),
            give_up_after,
            in_parts: Mutex::default(),
        }
    }

    /// The value of a key. `None` if there is none.
    pub(super) async fn read(&self, key: &str) -> Result<Option<StoredValue>, BackendError> {
        let mut backoff = Backoff::within(self.give_up_after);
        for _ in 0..MAX_READS {
            let Some(message) = self.latest(key).await? else {
                return Ok(None);
            };
            if let Some(value) = self.value_of(key, message).await? {
                return Ok(Some(value));
            }
            if !backoff.wait().await {
                break;
            }
        }
        let sentence =
            format!("cannot read {key}: parts of it are missing, or it is replaced all the time; try again");
        Err(BackendError::new(BackendErrorKind::Unavailable, sentence))
    }

    /// Replaces the value with the revision `expected`, 0 if there must be none. Returns the new revision. `None` if the
    /// latest value is another one.
    pub(super) async fn swap(
        &self,
        key: &str,
        expected: u64,
        new: NewValue,
    ) -> Result<Option<u64>, BackendError> {
        self.write(key, expected, self.next_commit(), String::new(), new).await
    }

    async fn write(
        &self,
        key: &str,
        expected: u64,
        commit: CommitId,
        prior_commits: String,
        new: NewValue,
    ) -> Result<Option<u64>, BackendError> {
        let NewValue { bytes, keep } = new;
        let in_parts = bytes.len() > self.connection.max_payload();
        let (payload, parts, first_part) = if in_parts {
            let first = self.write_parts(key, commit, &bytes, keep).await?;
            (Bytes::new(), Some(bytes.len()), Some(first))
        } else {
            (bytes, None, None)
        };
        let condition = Condition::StoreValue { expected, commit, prior_commits, keep, parts };
        match self.committer.write(Write { subject: key.into(), payload, condition }).await {
            Ok(revision) => {
                let had_parts = self.record_parts(key, in_parts);
                if in_parts || had_parts {
                    self.remove_parts_before(key, first_part.unwrap_or(revision)).await;
                }
                Ok(Some(revision))
            }
            Err(NotStored::Conflict) => {
                if in_parts {
                    self.remove_parts_of(key, commit).await;
                }
                Ok(None)
            }
            Err(error) => Err(error.error_of(format!("the value of {key}"))),
        }
    }

    /// Reads, changes and replaces a value, again after each conflict. `change` gets the current value and returns the new
    /// one, or `None` to leave it as it is.
    pub(super) async fn update<R>(
        &self,
        key: &str,
        mut change: impl FnMut(Option<Bytes>) -> Result<(Option<NewValue>, R), BackendError> + Send,
    ) -> Result<R, BackendError> {
        let mut backoff = Backoff::within(self.give_up_after);
        let mut conflicted: Option<(String, R)> = None;
        loop {
            let found = match self.read(key).await {
                // The server may be restarting. Only a later read shows whether the write before was stored.
                Err(error) if error.is_retryable() && backoff.wait().await => continue,
                found => found?,
            };
            let (revision, bytes, commits) = match found {
                Some(value) => (value.revision, Some(value.bytes), value.commits),
                None => (0, None, String::new()),
            };
            // A write whose reply was lost may have been stored, and then replaced by other writers.
            if let Some((commit, answer)) = conflicted.take()
                && commits.split(' ').any(|prior| prior == commit)
            {
                return Ok(answer);
            }
            let (new, answer) = change(bytes)?;
            let Some(new) = new else { return Ok(answer) };
            let commit = self.next_commit();
            if self.write(key, revision, commit, commits, new).await?.is_some() {
                return Ok(answer);
            }
            conflicted = Some((commit.to_string(), answer));
            if !backoff.wait().await {
                let within = self.give_up_after;
                let sentence =
                    format!("cannot write {key} within {within:?}: other writers change it all the time");
                return Err(BackendError::new(BackendErrorKind::Unavailable, sentence));
            }
        }
    }

    /// Adds an entry to a list, under a key of its own.
    pub(super) async fn add(&self, list: &str, bytes: Bytes) -> Result<(), BackendError> {
        let key = StoreNames::list_entry(list, self.next_commit());
        self.swap(&key, 0, NewValue { bytes, keep: None }).await.map(drop)
    }

    /// All values of matching keys, in the order of writing. Any replica may answer.
    pub(super) async fn list(&self, filter: &str) -> Result<Vec<(String, Bytes)>, BackendError> {
        let messages = direct::all(&self.connection, &self.stream, filter).await;
        let messages = messages.map_err(|failure| failure.cannot(format!("list {filter}")))?;
        let mut listed = Vec::with_capacity(messages.len());
        for message in messages {
            let key = message.subject.to_string();
            if message.headers.get(KV_OPERATION).is_some() {
                continue;
            }
            let value = match self.value_of(&key, message).await? {
                Some(value) => Some(value),
                None => self.read(&key).await?,
            };
            listed.extend(value.map(|value| (key, value.bytes)));
        }
        Ok(listed)
    }

    /// Removes every value whose key matches. Returns the number of messages.
    pub(super) async fn purge(&self, filter: String) -> Result<u64, BackendError> {
        let action = format!("remove {filter}");
        let purged = api::purge(&self.connection, &self.stream, filter).await;
        purged.map_err(|failure| failure.cannot(action))
    }

    async fn latest(&self, key: &str) -> Result<Option<StreamMessage>, BackendError> {
        let found = self.reader.latest(key, Seen::default()).await;
        let found = found.map_err(|failure| failure.cannot(format!("read {key}")))?;
        Ok(found.filter(|message| message.headers.get(KV_OPERATION).is_none()))
    }

    /// The value of a message. `None` if parts of it are gone because it was replaced.
    async fn value_of(&self, key: &str, message: StreamMessage) -> Result<Option<StoredValue>, BackendError> {
        let (revision, commits) = (message.sequence, commits_of(&message.headers));
        let Some(size) = message.headers.get(PARTS) else {
            return Ok(Some(StoredValue { bytes: message.payload, revision, commits }));
        };
        let parts = size.as_str().parse().ok().zip(message.headers.get(COMMIT));
        let (size, commit) = parts.ok_or_else(|| {
            let sentence = format!("the value of {key} has no valid size or commit of its parts");
            BackendError::new(BackendErrorKind::Corrupt, sentence)
        })?;
        self.record_parts(key, true);
        let joined = self.read_parts(key, commit.as_str(), size).await?;
        Ok(joined.map(|bytes| StoredValue { bytes, revision, commits }))
    }

    fn next_commit(&self) -> CommitId {
        CommitId { writer: self.writer, number: self.writes.fetch_add(1, Ordering::Relaxed) }
    }

    /// Records whether a key's latest value is in parts. Returns whether the one before was.
    fn record_parts(&self, key: &str, in_parts: bool) -> bool {
        let mut keys: MutexGuard<'_, HashSet<String>> =
            self.in_parts.lock().unwrap_or_else(PoisonError::into_inner);
        if in_parts { !keys.insert(key.to_owned()) } else { keys.remove(key) }
    }
}

/// The commit of a value and those of earlier values, the latest first.
fn commits_of(headers: &HeaderMap) -> String {
    let texts = [COMMIT, PRIOR_COMMITS].into_iter().filter_map(|name| headers.get(name));
    let commits = texts.flat_map(|text| text.as_str().split(' ')).take(REMEMBERED_COMMITS);
    commits.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_remembers_the_latest_commits() {
        let mut headers = HeaderMap::new();
        assert_eq!(commits_of(&headers), "");
        headers.insert(COMMIT, "c0");
        assert_eq!(commits_of(&headers), "c0");
        let older: Vec<String> = (1..100).map(|number| format!("c{number}")).collect();
        headers.insert(PRIOR_COMMITS, older.join(" ").as_str());
        let commits = commits_of(&headers);
        assert!(commits.starts_with("c0 c1 c2 ") && commits.ends_with(" c31"), "{commits}");
    }
}
