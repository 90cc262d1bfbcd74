//! The committer's task, outgoing: sends queued writes one by one or as a batch.

use super::{
    Job, NotStored,
    in_flight::{Payload, Sample},
    policy::{SMALLEST_BATCH, Size, Strategy},
    task::CommitterTask,
    write::insert_batch,
};
use crate::{config::Grouping, session::Connection};
use async_nats::{HeaderMap, PublishErrorKind, Subject};
use bytes::Bytes;
use jetway_engine::fail_point::FailPoint;
use std::{pin::pin, task::Poll};
use tokio::time::{Duration, Instant, timeout};

/// How many single writes are in flight at once on a server where batches are faster. They keep the server busy while the
/// rest queues up for a batch.
const SATURATING: usize = 4;
/// How long the socket may accept no data before the connection counts as stalled.
const SOCKET_WITHIN: Duration = Duration::from_secs(1);
/// How long nothing is sent over a stalled connection.
const STALL: Duration = Duration::from_millis(250);

/// What to send now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dispatch {
    Wait,
    Single { max: usize, benchmark: bool },
    Batch { benchmark: Option<Size> },
}

/// The socket accepts no data.
struct Stalled;

impl CommitterTask {
    /// Sends all writes that may be sent now.
    pub(super) async fn send(&mut self) {
        while !self.queue.is_empty() && !self.is_stalled() {
            let now = Instant::now();
            let sent = match self.next_dispatch(now) {
                Dispatch::Wait => return,
                Dispatch::Single { max, benchmark } => self.send_singly(max, now, benchmark).await,
                Dispatch::Batch { benchmark } => self.send_batch(now, benchmark).await,
            };
            if sent.is_err() {
                tracing::warn!("the connection to the nats-server accepts no data");
                self.stalled_until = Some(Instant::now() + STALL);
            }
        }
    }

    fn next_dispatch(&mut self, now: Instant) -> Dispatch {
        if self.in_flight.has_batch() {
            return Dispatch::Wait;
        }
        if self.queue.front().is_some_and(|job| job.ungrouped) {
            let ungrouped = self.queue.iter().take_while(|job| job.ungrouped).count();
            return self.single(self.config.in_flight, ungrouped);
        }
        match self.config.grouping {
            Grouping::Never => self.single(self.config.in_flight, usize::MAX),
            Grouping::Always if !self.in_flight.is_empty() => Dispatch::Wait,
            Grouping::Always => Dispatch::Batch { benchmark: None },
            Grouping::Measure => self.measured_dispatch(now),
        }
    }

    fn measured_dispatch(&mut self, now: Instant) -> Dispatch {
        let load = self.queue.len() + self.in_flight.writes();
        let choice = match self.planned {
            Some(planned) if load >= SMALLEST_BATCH => planned,
            _ => self.policy.choose(load, now.into_std()),
        };
        let exclusive = choice.strategy == Strategy::Batch || choice.benchmark.is_some();
        if exclusive && !self.in_flight.is_empty() {
            // A sample that is due is taken as soon as nothing else is in flight, with the writes queued by then.
            self.planned = choice.benchmark.map(|_| choice);
            return Dispatch::Wait;
        }
        self.planned = None;
        let benchmark = choice.benchmark.filter(|_| self.queue.len() >= SMALLEST_BATCH);
        match choice.strategy {
            Strategy::Batch => Dispatch::Batch { benchmark },
            Strategy::Single if benchmark.is_some() => {
                Dispatch::Single { max: self.policy.sample_size(), benchmark: true }
            }
            Strategy::Single if self.policy.batches_may_be_faster() => self.single(SATURATING, usize::MAX),
            Strategy::Single => self.single(self.config.in_flight, usize::MAX),
        }
    }

    /// Single writes, up to `window` in flight.
    fn single(&self, window: usize, max: usize) -> Dispatch {
        match window.saturating_sub(self.in_flight.writes()).min(max) {
            0 => Dispatch::Wait,
            max => Dispatch::Single { max, benchmark: false },
        }
    }

    async fn send_singly(&mut self, max: usize, now: Instant, benchmark: bool) -> Result<(), Stalled> {
        jetway_state::hop!("CommitterTask::send_singly");
        let count = max.min(self.queue.len());
        for index in 0..count {
            let Some(job) = self.next_job(now) else {
                return Ok(());
            };
            let (subject, payload) = (job.write.subject.clone(), job.write.payload.clone());
            let headers = job.write.headers();
            // The reply to the last one measures all of them.
            let sample = (benchmark && index + 1 == count).then_some(Sample::Single(count));
            let token = self.in_flight.add(Payload::Single(job), now, self.config.answer_within, sample);
            self.publish_awaited(token, subject, headers, payload).await?;
        }
        Ok(())
    }

    async fn send_batch(&mut self, now: Instant, benchmark: Option<Size>) -> Result<(), Stalled> {
        let mut jobs = self.take_batch(now);
        let Some(last) = jobs.len().checked_sub(1) else {
            return Ok(());
        };
        if last == 0 {
            self.queue.extend(jobs);
            return self.send_singly(1, now, false).await;
        }
        self.batches += 1;
        let name = format!("{}{}", self.batch_name, self.batches);
        for index in 0..last {
            let job = &jobs[index];
            let mut headers = job.write.headers();
            insert_batch(&mut headers, &name, index + 1, false);
            let (subject, payload) = (job.write.subject.clone(), job.write.payload.clone());
            match publish(&self.connection, subject, None, headers, payload).await {
                Ok(()) => {}
                Err(NotSent::Stalled) => {
                    self.requeue_one_by_one(jobs);
                    return Err(Stalled);
                }
                Err(NotSent::Refused(refusal)) => {
                    // The server drops a batch that is never committed.
                    jobs.remove(index).complete(Err(refusal));
                    self.requeue_one_by_one(jobs);
                    return Ok(());
                }
            }
        }
        let job = &jobs[last];
        let mut headers = job.write.headers();
        insert_batch(&mut headers, &name, last + 1, true);
        let (subject, payload) = (job.write.subject.clone(), job.write.payload.clone());
        let sample = benchmark.map(Sample::Batch);
        let token = self.in_flight.add(Payload::Batch(jobs), now, self.config.answer_within, sample);
        self.publish_awaited(token, subject, headers, payload).await
    }

    /// Takes the writes of the next batch out of the queue.
    fn take_batch(&mut self, now: Instant) -> Vec<Job> {
        let mut jobs = Vec::with_capacity(self.queue.len().min(self.config.max_group));
        let mut bytes = 0;
        while jobs.len() < self.config.max_group {
            let fits = |job: &Job| jobs.is_empty() || bytes + job.write.size() <= self.config.max_group_bytes;
            if !self.queue.front().is_some_and(fits) {
                break;
            }
            let Some(job) = self.next_job(now) else { break };
            bytes += job.write.size();
            jobs.push(job);
        }
        jobs
    }

    /// The next write whose caller still waits and whose deadline has not passed.
    fn next_job(&mut self, now: Instant) -> Option<Job> {
        loop {
            let job = self.queue.pop_front()?;
            if job.outcome.is_closed() && !job.uncertain {
                continue;
            }
            if job.give_up <= now {
                self.give_up(job, "it waited behind other writes");
                continue;
            }
            job.write.fail_point(FailPoint::SnapshotUnsent);
            return Some(job);
        }
    }

    /// Publishes a message with the inbox of `token` as its reply subject.
    async fn publish_awaited(
        &mut self,
        token: u64,
        subject: Subject,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), Stalled> {
        let reply = format!("{}{token}", self.inbox).into();
        let Err(not_sent) = publish(&self.connection, subject, Some(reply), headers, payload).await else {
            return Ok(());
        };
        let awaited = self.in_flight.take(token);
        let mut jobs = awaited.map(|awaited| awaited.payload.into_jobs()).unwrap_or_default();
        match not_sent {
            NotSent::Stalled => {
                jobs.into_iter().rev().for_each(|job| self.queue.push_front(job));
                Err(Stalled)
            }
            NotSent::Refused(refusal) => {
                if let Some(last) = jobs.pop() {
                    last.complete(Err(refusal));
                }
                self.requeue_one_by_one(jobs);
                Ok(())
            }
        }
    }
}

/// Passes a message to the client library.
async fn publish(
    connection: &Connection,
    subject: Subject,
    reply: Option<Subject>,
    headers: HeaderMap,
    payload: Bytes,
) -> Result<(), NotSent> {
    let bytes = payload.len();
    let (client, subject) = (&connection.client, connection.subject_of_write(subject));
    let sending = async {
        match reply {
            Some(reply) => client.publish_with_reply_and_headers(subject, reply, headers, payload).await,
            None => client.publish_with_headers(subject, headers, payload).await,
        }
    };
    let mut sending = pin!(sending);
    // There is a timer only if the first poll is pending: it would cost more than the message.
    let sent = match futures::poll!(sending.as_mut()) {
        Poll::Ready(sent) => sent,
        Poll::Pending => match timeout(SOCKET_WITHIN, sending).await {
            Ok(sent) => sent,
            Err(_elapsed) => return Err(NotSent::Stalled),
        },
    };
    sent.map_err(|error| match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => {
            NotSent::Refused(NotStored::TooLarge { bytes, max: connection.max_payload() })
        }
        PublishErrorKind::InvalidSubject => NotSent::Refused(NotStored::Unknown(error.to_string())),
        PublishErrorKind::Send => NotSent::Refused(NotStored::Closed),
    })
}

/// Why the client library did not accept a message.
enum NotSent {
    Stalled,
    Refused(NotStored),
}
