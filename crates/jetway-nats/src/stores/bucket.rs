//! Values by key: read from the leader, written by compare-and-swap, in parts where they are large.

mod parts;
pub(super) mod values;

use crate::{
    committer::{Committer, largest},
    config::NatsConfig,
    direct,
    error::Failure,
    jsapi,
    link::Link,
    names::{COMMIT, KV_OPERATION, PARTS, PAST, StoreNames},
    write::{Body, NotStored, Write},
};
use async_nats::{
    HeaderMap,
    jetstream::{message::StreamMessage, stream},
};
use bytes::Bytes;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use jetway_state::CommitId;
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How often a value is read again that is replaced while its parts are read.
const READS: u32 = 20;
/// How many commits a value remembers.
const REMEMBERED: usize = 32;
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The values of one application.
#[derive(Debug)]
pub(super) struct Bucket {
    link: Arc<Link>,
    stream: String,
    /// The same, for direct reads.
    near: stream::Stream<()>,
    /// Whether values are known to be on one server only.
    one_replica: bool,
    committer: Committer,
    writer: u64,
    writes: AtomicU64,
    give_up_after: Duration,
    /// Keys whose latest value was in parts when it was last seen: the parts go when it is replaced.
    in_parts: Mutex<HashSet<String>>,
}

/// A value, and the revision that it may be replaced by.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) bytes: Bytes,
    pub(super) revision: u64,
    /// The commits that it was made by, youngest first.
    past: String,
}

/// What to write in place of what was found.
#[derive(Debug)]
pub(super) struct New {
    pub(super) bytes: Bytes,
    /// It expires after so long.
    pub(super) keep: Option<Duration>,
}

impl Bucket {
    pub(super) async fn open(
        link: Arc<Link>,
        config: &NatsConfig,
        stream: String,
        one_replica: bool,
        committer: Committer,
    ) -> Result<Self, BackendError> {
        let near = link.jetstream.get_stream_no_info(&stream).await.map_err(|error| {
            let sentence = "the connection to the nats-server was closed while it was set up";
            BackendError::new(BackendErrorKind::Unavailable, sentence).caused_by(error)
        })?;
        Ok(Self {
            link,
            stream,
            near,
            one_replica,
            committer,
            writer: rand::random(),
            writes: AtomicU64::new(1),
            give_up_after: config.writes.give_up_after,
            in_parts: Mutex::default(),
        })
    }

    /// The value of a key; `None` where there is none.
    pub(super) async fn read(&self, key: &str) -> Result<Option<Found>, BackendError> {
        let mut pauses = Pauses::until(self.give_up_after);
        for _ in 0..READS {
            let Some(message) = self.head(key).await? else {
                return Ok(None);
            };
            if let Some(found) = self.whole(key, message).await? {
                return Ok(Some(found));
            }
            if !pauses.pause().await {
                break;
            }
        }
        let sentence = format!("parts of {key} are missing, or it is replaced again and again");
        Err(BackendError::new(BackendErrorKind::Unavailable, sentence))
    }

    /// Replaces the value whose revision is `expected`, 0 where there must be none. Returns the new revision; `None`
    /// where another value is the latest.
    pub(super) async fn swap(&self, key: &str, expected: u64, new: New) -> Result<Option<u64>, BackendError> {
        self.write(key, expected, self.commit_id(), String::new(), new).await
    }

    async fn write(
        &self,
        key: &str,
        expected: u64,
        commit: CommitId,
        past: String,
        new: New,
    ) -> Result<Option<u64>, BackendError> {
        let New { bytes, keep } = new;
        let in_parts = bytes.len() > largest(&self.link);
        let (payload, parts, first_part) = if in_parts {
            let first = self.write_parts(key, commit, &bytes, keep).await?;
            (Bytes::new(), Some(bytes.len()), Some(first))
        } else {
            (bytes, None, None)
        };
        let write =
            Write { subject: key.into(), payload, body: Body::Value { expected, commit, past, keep, parts } };
        match self.committer.write(write).await {
            Ok(revision) => {
                let had_parts = self.note_parts(key, in_parts);
                if in_parts || had_parts {
                    self.drop_parts_before(key, first_part.unwrap_or(revision)).await;
                }
                Ok(Some(revision))
            }
            Err(NotStored::Conflict) => {
                if in_parts {
                    self.drop_parts_of(key, commit).await;
                }
                Ok(None)
            }
            Err(error) => Err(error.of(format!("the value of {key}"))),
        }
    }

    /// Reads, changes and replaces a value until nobody came between. `change` is given what is there and says what
    /// shall be there, `None` where it shall stay as it is.
    pub(super) async fn update<R>(
        &self,
        key: &str,
        mut change: impl FnMut(Option<Bytes>) -> Result<(Option<New>, R), BackendError> + Send,
    ) -> Result<R, BackendError> {
        let mut pauses = Pauses::until(self.give_up_after);
        let mut lost: Option<(String, R)> = None;
        loop {
            let found = match self.read(key).await {
                // The server's restart: what was written before may be there, which only a later answer tells.
                Err(error) if error.is_retryable() && pauses.pause().await => continue,
                found => found?,
            };
            let (revision, bytes, past) = found
                .map_or((0, None, String::new()), |found| (found.revision, Some(found.bytes), found.past));
            // A write whose answer was lost may have been stored, and others have built on it.
            if let Some((commit, answer)) = lost.take()
                && past.split(' ').any(|made_by| made_by == commit)
            {
                return Ok(answer);
            }
            let (new, answer) = change(bytes)?;
            let Some(new) = new else { return Ok(answer) };
            let commit = self.commit_id();
            if self.write(key, revision, commit, past, new).await?.is_some() {
                return Ok(answer);
            }
            lost = Some((commit.to_string(), answer));
            if !pauses.pause().await {
                let within = self.give_up_after;
                let sentence =
                    format!("others write {key} so often that it was not written within {within:?}");
                return Err(BackendError::new(BackendErrorKind::Unavailable, sentence));
            }
        }
    }

    /// Adds a value to those of a key, under a key of its own.
    pub(super) async fn add(&self, all: &str, bytes: Bytes) -> Result<(), BackendError> {
        let key = StoreNames::one_added(all, self.commit_id());
        self.swap(&key, 0, New { bytes, keep: None }).await.map(drop)
    }

    /// All values of the keys that match, in the order in which they were written. Any server that has them may answer.
    pub(super) async fn list(&self, filter: &str) -> Result<Vec<(String, Bytes)>, BackendError> {
        const AT_ONCE: usize = 256;
        let (mut listed, mut cursor) = (Vec::new(), 0);
        loop {
            let page = direct::page(&self.link, &self.stream, filter, cursor + 1, AT_ONCE).await;
            let page = page.map_err(|failure| failure.cannot(format!("list {filter}")))?;
            let more = page.pending > 0 && !page.messages.is_empty();
            for message in page.messages {
                cursor = message.sequence;
                let key = message.subject.to_string();
                if message.headers.get(KV_OPERATION).is_some() {
                    continue;
                }
                let found = match self.whole(&key, message).await? {
                    Some(found) => Some(found),
                    None => self.read(&key).await?,
                };
                listed.extend(found.map(|found| (key, found.bytes)));
            }
            if !more {
                return Ok(listed);
            }
        }
    }

    /// Removes every value whose key matches.
    pub(super) async fn purge(&self, filter: String) -> Result<u64, BackendError> {
        let what = format!("remove {filter}");
        let purged: Result<u64, Failure> = jsapi::purge(&self.link, &self.stream, filter).await;
        purged.map_err(|failure| failure.cannot(what))
    }

    async fn head(&self, key: &str) -> Result<Option<StreamMessage>, BackendError> {
        let found = if self.one_replica {
            // There is nobody else who could answer, and it costs the server less.
            direct::latest(&self.near, key.to_owned()).await
        } else {
            jsapi::latest(&self.link, &self.stream, key).await
        };
        let found = found.map_err(|failure| failure.cannot(format!("read {key}")))?;
        Ok(found.filter(|message| message.headers.get(KV_OPERATION).is_none()))
    }

    /// The value of a message; `None` where parts of it are gone, since it was replaced.
    async fn whole(&self, key: &str, message: StreamMessage) -> Result<Option<Found>, BackendError> {
        let (revision, past) = (message.sequence, past_of(&message.headers));
        let Some(bytes) = message.headers.get(PARTS) else {
            return Ok(Some(Found { bytes: message.payload, revision, past }));
        };
        let size = bytes.as_str().parse().ok().zip(message.headers.get(COMMIT));
        let (size, commit) = size.ok_or_else(|| {
            let sentence = format!("the value of {key} does not say which parts it has");
            BackendError::new(BackendErrorKind::Corrupt, sentence)
        })?;
        self.note_parts(key, true);
        let joined = self.read_parts(key, commit.as_str(), size).await?;
        Ok(joined.map(|bytes| Found { bytes, revision, past }))
    }

    fn commit_id(&self) -> CommitId {
        CommitId { writer: self.writer, number: self.writes.fetch_add(1, Ordering::Relaxed) }
    }

    /// Notes whether a key's latest value is in parts, and tells whether the one before was.
    fn note_parts(&self, key: &str, in_parts: bool) -> bool {
        let mut keys: MutexGuard<'_, HashSet<String>> =
            self.in_parts.lock().unwrap_or_else(PoisonError::into_inner);
        if in_parts { !keys.insert(key.to_owned()) } else { keys.remove(key) }
    }

    fn part_key(key: &str, commit: &str, number: usize) -> String {
        StoreNames::part(key, commit, number)
    }
}

/// The commits that a value was made by, youngest first.
fn past_of(headers: &HeaderMap) -> String {
    let words = [COMMIT, PAST].into_iter().filter_map(|name| headers.get(name));
    let commits = words.flat_map(|word| word.as_str().split(' ')).take(REMEMBERED);
    commits.collect::<Vec<_>>().join(" ")
}

/// Growing pauses, with an end.
#[derive(Debug)]
pub(super) struct Pauses {
    end: Instant,
    next: Duration,
}

impl Pauses {
    pub(super) fn until(within: Duration) -> Self {
        Self { end: Instant::now() + within, next: Duration::from_millis(1) }
    }

    /// Pauses; false where it is time to give up.
    pub(super) async fn pause(&mut self) -> bool {
        if Instant::now() + self.next >= self.end {
            return false;
        }
        sleep(self.next.mul_f64(rand::random_range(0.2..=1.0))).await;
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_remembers_the_latest_commits() {
        let mut headers = HeaderMap::new();
        assert_eq!(past_of(&headers), "");
        headers.insert(COMMIT, "c0");
        assert_eq!(past_of(&headers), "c0");
        let older: Vec<String> = (1..100).map(|number| format!("c{number}")).collect();
        headers.insert(PAST, older.join(" ").as_str());
        let past = past_of(&headers);
        assert!(past.starts_with("c0 c1 c2 ") && past.ends_with(" c31"), "{past}");
    }
}
