//! The committer's task: what goes out, and which way.

use super::{
    Job,
    flights::{Flown, Measured},
    policy::{SMALLEST_BATCH, Size, Way},
    run::Run,
};
use crate::{
    config::Grouping,
    link::Link,
    write::{NotStored, in_batch},
};
use async_nats::{HeaderMap, PublishErrorKind, Subject};
use bytes::Bytes;
use jetway_engine::fail_point::FailPoint;
use std::{pin::pin, task::Poll};
use tokio::time::{Duration, Instant, timeout};

/// Where groups pay: so many single writes under way keep the server busy, and the rest can gather.
const SATURATING: usize = 4;
/// How long the socket may take nothing before the connection counts as stalled.
const SOCKET_WITHIN: Duration = Duration::from_secs(1);
/// How long nothing is sent over a stalled connection.
const STALL: Duration = Duration::from_millis(250);

/// What is to be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Wait,
    Single { most: usize, contest: bool },
    Batch { contest: Option<Size> },
}

/// The socket takes nothing.
struct Stalled;

impl Run {
    /// Sends what may be sent now.
    pub(super) async fn send(&mut self) {
        while !self.queue.is_empty() && !self.is_stalled() {
            let now = Instant::now();
            let sent = match self.turn(now) {
                Turn::Wait => return,
                Turn::Single { most, contest } => self.send_singly(most, now, contest).await,
                Turn::Batch { contest } => self.send_batch(now, contest).await,
            };
            if sent.is_err() {
                tracing::warn!("the connection to the nats-server takes no data");
                self.stalled_until = Some(Instant::now() + STALL);
            }
        }
    }

    fn turn(&mut self, now: Instant) -> Turn {
        if self.flights.has_batch() {
            return Turn::Wait;
        }
        if self.queue.front().is_some_and(|job| job.alone) {
            let alone = self.queue.iter().take_while(|job| job.alone).count();
            return self.single(self.config.in_flight, alone);
        }
        match self.config.grouping {
            Grouping::Never => self.single(self.config.in_flight, usize::MAX),
            Grouping::Always if !self.flights.is_empty() => Turn::Wait,
            Grouping::Always => Turn::Batch { contest: None },
            Grouping::Measure => self.measured(now),
        }
    }

    fn measured(&mut self, now: Instant) -> Turn {
        let load = self.queue.len() + self.flights.writes();
        let choice = match self.planned {
            Some(planned) if load >= SMALLEST_BATCH => planned,
            _ => self.policy.choose(load, now.into_std()),
        };
        let alone = choice.way == Way::Batch || choice.contest.is_some();
        if alone && !self.flights.is_empty() {
            // A turn that is due is taken as soon as nothing else is under way, whatever has gathered by then.
            self.planned = choice.contest.map(|_| choice);
            return Turn::Wait;
        }
        self.planned = None;
        let contest = choice.contest.filter(|_| self.queue.len() >= SMALLEST_BATCH);
        match choice.way {
            Way::Batch => Turn::Batch { contest },
            Way::Single if contest.is_some() => Turn::Single { most: self.policy.turn(), contest: true },
            Way::Single if self.policy.groups_pay() => self.single(SATURATING, usize::MAX),
            Way::Single => self.single(self.config.in_flight, usize::MAX),
        }
    }

    /// As many single writes as there is room for under way.
    fn single(&self, window: usize, most: usize) -> Turn {
        match window.saturating_sub(self.flights.writes()).min(most) {
            0 => Turn::Wait,
            most => Turn::Single { most, contest: false },
        }
    }

    async fn send_singly(&mut self, most: usize, now: Instant, contest: bool) -> Result<(), Stalled> {
        let count = most.min(self.queue.len());
        for index in 0..count {
            let Some(job) = self.next_job(now) else {
                return Ok(());
            };
            let (subject, payload) = (job.write.subject.clone(), job.write.payload.clone());
            let headers = job.write.headers();
            // The answer to the last one tells how long all of them took.
            let measured = (contest && index + 1 == count).then_some(Measured::Single(count));
            let token = self.flights.add(Flown::Single(job), now, self.config.answer_within, measured);
            self.hand_over(token, subject, headers, payload).await?;
        }
        Ok(())
    }

    async fn send_batch(&mut self, now: Instant, contest: Option<Size>) -> Result<(), Stalled> {
        let mut jobs = self.gather(now);
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
            in_batch(&mut headers, &name, index + 1, false);
            let (subject, payload) = (job.write.subject.clone(), job.write.payload.clone());
            match publish(&self.link, subject, None, headers, payload).await {
                Ok(()) => {}
                Err(NotSent::Stalled) => {
                    self.apart(jobs);
                    return Err(Stalled);
                }
                Err(NotSent::Refused(refusal)) => {
                    // The server drops a batch that is never ended.
                    jobs.remove(index).settle(Err(refusal));
                    self.apart(jobs);
                    return Ok(());
                }
            }
        }
        let job = &jobs[last];
        let mut headers = job.write.headers();
        in_batch(&mut headers, &name, last + 1, true);
        let (subject, payload) = (job.write.subject.clone(), job.write.payload.clone());
        let measured = contest.map(Measured::Batch);
        let token = self.flights.add(Flown::Batch(jobs), now, self.config.answer_within, measured);
        self.hand_over(token, subject, headers, payload).await
    }

    /// Takes writes for a batch out of the queue.
    fn gather(&mut self, now: Instant) -> Vec<Job> {
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

    /// The next write that somebody waits for and whose time is not over.
    fn next_job(&mut self, now: Instant) -> Option<Job> {
        loop {
            let job = self.queue.pop_front()?;
            if job.reply.is_closed() && !job.uncertain {
                continue;
            }
            if job.give_up <= now {
                self.give_up(job, "it waited for others to be written");
                continue;
            }
            job.write.fail_point(FailPoint::SnapshotUnsent);
            return Some(job);
        }
    }

    /// Sends the message that the answer for `token` comes for.
    async fn hand_over(
        &mut self,
        token: u64,
        subject: Subject,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), Stalled> {
        let reply = format!("{}{token}", self.inbox).into();
        let Err(not_sent) = publish(&self.link, subject, Some(reply), headers, payload).await else {
            return Ok(());
        };
        let mut jobs = self.flights.take(token).map(|flight| flight.jobs.into_jobs()).unwrap_or_default();
        match not_sent {
            NotSent::Stalled => {
                jobs.into_iter().rev().for_each(|job| self.queue.push_front(job));
                Err(Stalled)
            }
            NotSent::Refused(refusal) => {
                if let Some(last) = jobs.pop() {
                    last.settle(Err(refusal));
                }
                self.apart(jobs);
                Ok(())
            }
        }
    }
}

/// Hands a message to the connection.
async fn publish(
    link: &Link,
    subject: Subject,
    reply: Option<Subject>,
    headers: HeaderMap,
    payload: Bytes,
) -> Result<(), NotSent> {
    let bytes = payload.len();
    let sending = async {
        match reply {
            Some(reply) => link.client.publish_with_reply_and_headers(subject, reply, headers, payload).await,
            None => link.client.publish_with_headers(subject, headers, payload).await,
        }
    };
    let mut sending = pin!(sending);
    // A timer for each message would cost more than the message.
    let sent = match futures::poll!(sending.as_mut()) {
        Poll::Ready(sent) => sent,
        Poll::Pending => match timeout(SOCKET_WITHIN, sending).await {
            Ok(sent) => sent,
            Err(_elapsed) => return Err(NotSent::Stalled),
        },
    };
    sent.map_err(|error| match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => {
            NotSent::Refused(NotStored::TooLarge { bytes, most: super::largest(link) })
        }
        PublishErrorKind::InvalidSubject => NotSent::Refused(NotStored::Unknown(error.to_string())),
        PublishErrorKind::Send => NotSent::Refused(NotStored::Closed),
    })
}

/// Why a message was not handed to the connection.
enum NotSent {
    Stalled,
    Refused(NotStored),
}
