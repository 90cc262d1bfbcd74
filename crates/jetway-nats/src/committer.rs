//! Stores messages: conditionally, in groups, exactly as often as asked, and with an outcome for each.
//!
//! There is one committer for each stream that Jetway writes to. It is one task that owns all state: the writes that wait,
//! the writes in flight, and the measurements of this server. While writes are in flight the next ones queue up;
//! [`policy`] decides whether they go one by one or as one atomic batch.
//!
//! | reply | outcome |
//! |---|---|
//! | stored, with a sequence | stored |
//! | 10071 wrong last sequence | conflict; for a unique message: stored. If an earlier attempt of this write may have been stored, its fate is looked up at the leader of the stream |
//! | 10164 wrong last sequence, without a number | the previous write of the subject is still being applied: retry within milliseconds |
//! | a batch is refused, for any reason | its messages are sent again one by one, and each gets its own outcome |
//! | no responders, or no quorum | retry with backoff |
//! | there is no room | retry with backoff; refused if there is still no room at the deadline |
//! | no reply in time, or the connection broke | the leader is asked: our commit id means stored, the expected sequence means retry, anything else is a conflict |
//! | still none of these at the deadline | unknown: the write may have happened, or may happen later |

mod defer;
mod in_flight;
mod lookup;
mod policy;
mod reply;
mod send;
mod task;
mod write;

pub(crate) use write::{ALREADY_STORED, Condition, NotStored, Write};

use crate::{
    config::WriteConfig,
    session::{Connection, closed_during_setup},
};
use async_nats::jetstream;
use jetway_engine::backend::BackendError;
use std::sync::Arc;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Duration, Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

/// The server's limit of messages in a batch.
const LARGEST_BATCH: usize = 1000;

/// The committer of one stream. Dropping it ends its task. Writes that are in flight at that time are reported as not
/// stored, but may be stored.
#[derive(Debug)]
pub(crate) struct Committer {
    jobs: mpsc::Sender<Job>,
    connection: Arc<Connection>,
    give_up_after: Duration,
    _task: AbortOnDropHandle<()>,
}

/// A write on its way. Boxed: it goes through several queues, and is large.
type Job = Box<PendingWrite>;

/// A write and the receiver of its outcome.
#[derive(Debug)]
struct PendingWrite {
    write: Write,
    outcome: oneshot::Sender<Result<u64, NotStored>>,
    /// The deadline of the last attempt.
    give_up: Instant,
    /// An earlier attempt may have been stored, or may be stored later.
    uncertain: bool,
    /// It was in a batch that was refused, so it is not sent in a batch again.
    ungrouped: bool,
    /// The error of the latest attempt, if there was no room.
    no_room: Option<jetstream::Error>,
    /// How many times it was deferred.
    deferrals: u32,
}

impl PendingWrite {
    fn complete(self, outcome: Result<u64, NotStored>) {
        if self.outcome.send(outcome).is_err() {
            tracing::trace!(subject = %self.write.subject, "the caller of this write is gone");
        }
    }
}

impl Committer {
    /// Starts the committer of a stream.
    ///
    /// # Errors
    /// The connection is closed.
    pub(crate) async fn start(
        connection: Arc<Connection>,
        stream: String,
        config: WriteConfig,
    ) -> Result<Self, BackendError> {
        let config = WriteConfig {
            max_group: config.max_group.clamp(1, LARGEST_BATCH),
            in_flight: config.in_flight.max(1),
            ..config
        };
        let (jobs, waiting) = mpsc::channel(config.queue.max(1));
        let give_up_after = config.give_up_after;
        let task = task::CommitterTask::new(Arc::clone(&connection), stream, config).await;
        let task = task.map_err(closed_during_setup)?;
        let task = AbortOnDropHandle::new(tokio::spawn(task.run(waiting)));
        Ok(Self { jobs, connection, give_up_after, _task: task })
    }

    /// Stores a message and returns its sequence, or [`ALREADY_STORED`] for a unique message that was stored before.
    pub(crate) async fn write(&self, write: Write) -> Result<u64, NotStored> {
        let outcome = self.enqueue(write).await?;
        outcome.await.unwrap_or(Err(NotStored::Closed))
    }

    /// Stores several messages, in no particular order, and returns their lowest sequence, 0 if there is none. A message
    /// that cannot be stored does not prevent the others from being stored; the last error is returned.
    pub(crate) async fn write_all(&self, writes: Vec<Write>) -> Result<u64, NotStored> {
        let mut outcomes = Vec::with_capacity(writes.len());
        let (mut lowest, mut failed) = (None::<u64>, None);
        for write in writes {
            match self.enqueue(write).await {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => failed = Some(error),
            }
        }
        for outcome in outcomes {
            match outcome.await.unwrap_or(Err(NotStored::Closed)) {
                Ok(sequence) => lowest = Some(lowest.map_or(sequence, |lowest| lowest.min(sequence))),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(lowest.unwrap_or(0)), Err)
    }

    /// The largest payload that can be stored, in bytes.
    pub(crate) fn max_payload(&self) -> usize {
        self.connection.max_payload()
    }

    async fn enqueue(&self, write: Write) -> Result<oneshot::Receiver<Result<u64, NotStored>>, NotStored> {
        jetway_state::hop!("Committer::enqueue");
        let (bytes, max) = (write.payload.len(), self.max_payload());
        if bytes > max {
            return Err(NotStored::TooLarge { bytes, max });
        }
        let (outcome, receiver) = oneshot::channel();
        let give_up = Instant::now() + self.give_up_after;
        let (uncertain, ungrouped, no_room, deferrals) = (false, false, None, 0);
        let job = PendingWrite { write, outcome, give_up, uncertain, ungrouped, no_room, deferrals };
        let Err(full) = self.jobs.try_send(Box::new(job)) else {
            return Ok(receiver);
        };
        match full {
            mpsc::error::TrySendError::Closed(_) => Err(NotStored::Closed),
            mpsc::error::TrySendError::Full(job) => match timeout_at(give_up, self.jobs.send(job)).await {
                Ok(Ok(())) => Ok(receiver),
                Ok(Err(_closed)) => Err(NotStored::Closed),
                Err(_elapsed) => Err(NotStored::Unknown(format!(
                    "the queue of writes was full for {:?}; the server is too slow for this load",
                    self.give_up_after
                ))),
            },
        }
    }
}
