//! Writes that the server refused or did not reply to: when to try again, and when to give up.

use super::{ALREADY_STORED, Job, NotStored, task::CommitterTask};
use crate::session::is_out_of_room;
use async_nats::jetstream::{self, ErrorCode};
use std::collections::BTreeMap;
use tokio::time::{Duration, Instant};

/// How often the log says that writes wait for room.
const WARN_EVERY: Duration = Duration::from_secs(10);
/// Delays stop doubling after this number of them.
const DOUBLINGS: u32 = 5;

/// The first and the longest delay before the next attempt, in milliseconds.
///
/// The delays double with [`Job::deferrals`], which counts over all reasons. They are entries in the task's one timer, not
/// pauses of a loop, and a number in each job is cheaper than an iterator.
type Delay = (u64, u64);

const RETRY: Delay = (20, 500);
const NO_ROOM: Delay = (100, 2000);
const BUSY_SUBJECT: Delay = (1, 20);

/// What to do with a write when its delay is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retry {
    Send,
    LookUp,
}

/// Writes that wait for their next attempt, by the time when it is due.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    jobs: BTreeMap<(Instant, u64), (Job, Retry)>,
    /// Makes keys unique.
    count: u64,
}

impl Deferred {
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.jobs.first_key_value().map(|((due, _), _)| *due)
    }

    fn add(&mut self, due: Instant, job: Job, retry: Retry) {
        self.count += 1;
        self.jobs.insert((due, self.count), (job, retry));
    }

    fn take_due(&mut self, now: Instant) -> Option<(Job, Retry)> {
        self.next_due().filter(|due| *due <= now)?;
        self.jobs.pop_first().map(|(_, deferred)| deferred)
    }
}

impl CommitterTask {
    /// Handles an error of the server for a single write.
    pub(super) fn refused(&mut self, job: Job, error: jetstream::Error) {
        match error.error_code() {
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE if job.write.is_unique() => {
                job.complete(Ok(ALREADY_STORED));
            }
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE if job.uncertain => self.unresolved.push_back(job),
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE => job.complete(Err(NotStored::Conflict)),
            ErrorCode::STREAM_STORE_FAILED if job.write.is_unique() && is_second(&error) => {
                job.complete(Ok(ALREADY_STORED));
            }
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => {
                let reason = "the previous write of the subject is still being applied";
                self.defer(job, Retry::Send, BUSY_SUBJECT, reason);
            }
            _ if is_out_of_room(&error) => self.no_room(job, error),
            _ if error.code() == 503 => self.retry(job, &error.to_string()),
            _ => job.complete(Err(NotStored::Refused(error))),
        }
    }

    /// There may be room again later.
    fn no_room(&mut self, mut job: Job, error: jetstream::Error) {
        self.connection.note_no_room();
        let now = Instant::now();
        if self.warned_of_no_room.is_none_or(|warned| now.duration_since(warned) >= WARN_EVERY) {
            self.warned_of_no_room = Some(now);
            tracing::warn!(
                stream = self.stream, %error,
                "writes wait because there is no room: raise the limit of the stream, or remove data"
            );
        }
        let first = job.no_room.replace(error).is_none();
        if first && job.uncertain {
            return self.unresolved.push_back(job);
        }
        self.defer(job, Retry::Send, NO_ROOM, "there is no room");
    }

    /// Sends a write again after a delay.
    pub(super) fn retry(&mut self, job: Job, reason: &str) {
        self.defer(job, Retry::Send, RETRY, reason);
    }

    /// Looks up a write again after a delay.
    pub(super) fn retry_lookup(&mut self, job: Job, reason: &str) {
        self.defer(job, Retry::LookUp, RETRY, reason);
    }

    fn defer(&mut self, mut job: Job, retry: Retry, (first, longest): Delay, reason: &str) {
        let millis = (first << job.deferrals.min(DOUBLINGS)).min(longest);
        let jitter = rand::random_range(0..=millis * 500);
        let due = Instant::now() + Duration::from_micros(millis * 1000 + jitter);
        if due >= job.give_up {
            return self.give_up(job, reason);
        }
        job.deferrals += 1;
        self.deferred.add(due, job, retry);
    }

    /// Queues the writes whose delay is over.
    pub(super) fn requeue_deferred(&mut self, now: Instant) {
        while let Some((job, retry)) = self.deferred.take_due(now) {
            match retry {
                Retry::Send => self.queue.push_front(job),
                Retry::LookUp => self.unresolved.push_back(job),
            }
        }
    }

    /// Completes a write whose deadline has passed.
    pub(super) fn give_up(&self, mut job: Job, reason: &str) {
        if let (false, Some(error)) = (job.uncertain, job.no_room.take()) {
            return job.complete(Err(NotStored::Refused(error)));
        }
        let (within, suffix) = (self.config.give_up_after, self.state.server_error_suffix());
        let reason = format!("the nats-server did not confirm it within {within:?}: {reason}{suffix}");
        job.complete(Err(NotStored::Unknown(reason)));
    }
}

/// Whether a message was refused because its subject has one already.
fn is_second(error: &jetstream::Error) -> bool {
    error.to_string().contains("per subject")
}
