//! Storing messages: conditionally, in groups, exactly as often as asked, and with a verdict for each.
//!
//! There is one committer for each stream that Jetway writes to. It is one task that owns everything: the writes that
//! wait, the writes that are under way, and what it has learned about the server. While writes are under way the next
//! ones gather; [`policy`] says whether they go one by one or as one atomic batch.
//!
//! What a verdict rests on:
//!
//! | answer | verdict |
//! |---|---|
//! | stored, with a sequence | stored |
//! | 10071 wrong last sequence | conflict; for a message of which there is one: stored. If an earlier sending of this write has an unknown fate, the stream's leader is asked whose message is the latest |
//! | 10164 wrong last sequence, without a number | the previous write of the subject is still being applied: again within milliseconds |
//! | a batch is refused, for whatever reason | its messages are sent again one by one, each for its own verdict |
//! | nobody listens, or no quorum | again, with growing pauses |
//! | there is no room | again, with growing pauses; refused where there is still none at the deadline |
//! | none in time, or the connection broke | the leader is asked: our commit id means stored, the expected sequence means again, anything else is a conflict |
//! | nothing helped until the deadline | unknown: the write may have happened, or may yet happen |

mod answer;
mod flights;
mod lost;
mod policy;
mod run;
mod send;

use crate::{
    config::WriteConfig,
    link::Link,
    write::{NotStored, OVERHEAD, Write},
};
use async_nats::{SubscribeError, jetstream};
use std::sync::Arc;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Duration, Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

/// The server's own limit.
const LARGEST_BATCH: usize = 1000;

/// One committer. Dropping it ends its task; writes that are under way are then reported as not stored, and may be.
#[derive(Debug)]
pub(crate) struct Committer {
    jobs: mpsc::Sender<Job>,
    link: Arc<Link>,
    give_up_after: Duration,
    _task: AbortOnDropHandle<()>,
}

/// A write, and who waits for its verdict.
#[derive(Debug)]
struct Job {
    write: Write,
    reply: oneshot::Sender<Result<u64, NotStored>>,
    /// When nothing more is tried.
    give_up: Instant,
    /// An earlier sending may have been stored, or may yet be.
    uncertain: bool,
    /// It was in a batch that was refused.
    alone: bool,
    /// There was no room for it when it was last sent.
    no_room: Option<jetstream::Error>,
    /// How often it has been put off.
    pauses: u32,
}

impl Job {
    fn settle(self, verdict: Result<u64, NotStored>) {
        if self.reply.send(verdict).is_err() {
            tracing::trace!(subject = %self.write.subject, "nobody waits for this write any more");
        }
    }
}

impl Committer {
    /// Starts the committer of a stream.
    ///
    /// # Errors
    /// When the connection is closed.
    pub(crate) async fn start(
        link: Arc<Link>,
        stream: String,
        config: WriteConfig,
    ) -> Result<Self, SubscribeError> {
        let config = WriteConfig {
            max_group: config.max_group.clamp(1, LARGEST_BATCH),
            in_flight: config.in_flight.max(1),
            ..config
        };
        let (jobs, waiting) = mpsc::channel(config.queue.max(1));
        let give_up_after = config.give_up_after;
        let task = run::Run::new(Arc::clone(&link), stream, config).await?;
        let task = AbortOnDropHandle::new(tokio::spawn(task.run(waiting)));
        Ok(Self { jobs, link, give_up_after, _task: task })
    }

    /// Stores a message and returns its sequence; 0 where it was there already and its sequence is not known.
    pub(crate) async fn write(&self, write: Write) -> Result<u64, NotStored> {
        let verdict = self.begin(write).await?;
        verdict.await.unwrap_or(Err(NotStored::Closed))
    }

    /// Stores several messages, in no order. One that cannot be stored does not keep the others from it.
    pub(crate) async fn write_all(&self, writes: Vec<Write>) -> Result<(), NotStored> {
        let mut verdicts = Vec::with_capacity(writes.len());
        let mut failed = None;
        for write in writes {
            match self.begin(write).await {
                Ok(verdict) => verdicts.push(verdict),
                Err(error) => failed = Some(error),
            }
        }
        for verdict in verdicts {
            if let Err(error) = verdict.await.unwrap_or(Err(NotStored::Closed)) {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// The largest payload that can be stored, in bytes.
    pub(crate) fn largest(&self) -> usize {
        largest(&self.link)
    }

    async fn begin(&self, write: Write) -> Result<oneshot::Receiver<Result<u64, NotStored>>, NotStored> {
        let (bytes, most) = (write.payload.len(), largest(&self.link));
        if bytes > most {
            return Err(NotStored::TooLarge { bytes, most });
        }
        let (reply, verdict) = oneshot::channel();
        let give_up = Instant::now() + self.give_up_after;
        let job = Job { write, reply, give_up, uncertain: false, alone: false, no_room: None, pauses: 0 };
        let Err(full) = self.jobs.try_send(job) else {
            return Ok(verdict);
        };
        match full {
            mpsc::error::TrySendError::Closed(_) => Err(NotStored::Closed),
            mpsc::error::TrySendError::Full(job) => match timeout_at(give_up, self.jobs.send(job)).await {
                Ok(Ok(())) => Ok(verdict),
                Ok(Err(_closed)) => Err(NotStored::Closed),
                Err(_late) => Err(NotStored::Unknown(format!(
                    "more is to be written than the server takes; this write waited for {:?}",
                    self.give_up_after
                ))),
            },
        }
    }
}

/// The largest payload that can be stored, in bytes.
pub(crate) fn largest(link: &Link) -> usize {
    link.client.max_payload().saturating_sub(OVERHEAD)
}
