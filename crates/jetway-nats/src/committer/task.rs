//! The committer's task, incoming: jobs, replies, and changes of the connection.

use super::{
    Job, NotStored,
    defer::Deferred,
    in_flight::{Awaited, InFlight, Payload, Sample},
    lookup::{Lookup, look_up},
    policy::{Choice, Policy},
    reply::PublishReply,
};
use crate::{
    config::WriteConfig,
    session::{Connection, ConnectionState},
};
use async_nats::{Message, SubscribeError, Subscriber};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use jetway_engine::fail_point::FailPoint;
use std::{collections::VecDeque, pin::pin, sync::Arc};
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, sleep_until, timeout_at},
};

/// How many replies are taken from the subscription at once.
const REPLIES_AT_ONCE: usize = 512;
/// How many writes are looked up at once.
const LOOKUPS_AT_ONCE: usize = 32;
/// Replies that the old connection carried do not arrive any more. Replies to what was sent over the new one arrive
/// within this time.
const AFTER_RECONNECT: Duration = Duration::from_millis(250);
/// The timer's time if nothing is due.
const IDLE: Duration = Duration::from_secs(3600);
/// How often the deadlines of queued writes are checked while nothing can be sent.
const STALLED_CHECK: Duration = Duration::from_millis(200);

/// The state of the committer's task.
pub(super) struct CommitterTask {
    pub(super) connection: Arc<Connection>,
    pub(super) stream: String,
    pub(super) config: WriteConfig,
    replies: Option<Subscriber>,
    /// The prefix of reply subjects. The token follows.
    pub(super) inbox: String,
    /// The prefix of batch names. The number of the batch follows.
    pub(super) batch_name: String,
    pub(super) batches: u64,
    /// Writes to be sent.
    pub(super) queue: VecDeque<Job>,
    pub(super) in_flight: InFlight,
    /// Writes to be sent or looked up later.
    pub(super) deferred: Deferred,
    /// Writes to be looked up.
    pub(super) unresolved: VecDeque<Job>,
    lookups: FuturesUnordered<BoxFuture<'static, (Job, Lookup)>>,
    pub(super) policy: Policy,
    /// A sample of a benchmark that waits until nothing is in flight.
    pub(super) planned: Option<Choice>,
    /// Nothing is sent before this time.
    pub(super) stalled_until: Option<Instant>,
    pub(super) state: ConnectionState,
    /// When the log last said that there is no room.
    pub(super) warned_of_no_room: Option<Instant>,
}

impl CommitterTask {
    pub(super) async fn new(
        connection: Arc<Connection>,
        stream: String,
        config: WriteConfig,
    ) -> Result<Self, SubscribeError> {
        let inbox = format!("{}.", connection.client.new_inbox());
        let replies = connection.client.subscribe(format!("{inbox}*")).await?;
        let state = connection.current_state();
        Ok(Self {
            connection,
            stream,
            config,
            replies: Some(replies),
            inbox,
            batch_name: format!("{:x}-", rand::random::<u64>()),
            batches: 0,
            queue: VecDeque::new(),
            in_flight: InFlight::default(),
            deferred: Deferred::default(),
            unresolved: VecDeque::new(),
            lookups: FuturesUnordered::new(),
            policy: Policy::default(),
            planned: None,
            stalled_until: None,
            state,
            warned_of_no_room: None,
        })
    }

    /// Runs until the [`Committer`](super::Committer) is dropped and every write has its outcome.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let Some(replies) = self.replies.take() else {
            return;
        };
        let mut replies = replies.ready_chunks(REPLIES_AT_ONCE);
        let mut state = self.connection.state.clone();
        let mut wake_at = Instant::now() + IDLE;
        let mut timer = pin!(sleep_until(wake_at));
        let mut open = true;
        while open || self.has_work() {
            let room = open && self.queue.len() < self.config.max_group;
            tokio::select! {
                biased;
                replies = replies.next() => match replies {
                    Some(replies) => replies.iter().for_each(|reply| self.reply_received(reply)),
                    None => return,
                },
                Some((job, lookup)) = self.lookups.next() => self.looked_up(job, lookup),
                changed = state.changed() => match changed {
                    Ok(()) => self.connection_changed(state.borrow_and_update().clone()),
                    Err(_closed) => return,
                },
                job = jobs.recv(), if room => match job {
                    Some(job) => self.accept(job),
                    None => open = false,
                },
                // Reset at once: a timer that has fired would fire in every turn of this loop.
                () = &mut timer => {
                    wake_at = Instant::now() + IDLE;
                    timer.as_mut().reset(wake_at);
                }
            }
            while open && self.queue.len() < self.config.max_group {
                let Ok(job) = jobs.try_recv() else { break };
                self.accept(job);
            }
            self.process_due(Instant::now());
            self.send().await;
            // Setting a timer costs more than most turns of this loop, so it is only set to an earlier time.
            if let Some(wake) = self.next_wake().filter(|wake| *wake < wake_at) {
                wake_at = wake;
                timer.as_mut().reset(wake_at);
            }
        }
    }

    fn accept(&mut self, job: Job) {
        jetway_state::hop!("CommitterTask::accept");
        self.queue.push_back(job);
    }

    fn has_work(&self) -> bool {
        !(self.queue.is_empty()
            && self.in_flight.is_empty()
            && self.deferred.is_empty()
            && self.unresolved.is_empty()
            && self.lookups.is_empty())
    }

    pub(super) fn is_stalled(&self) -> bool {
        !self.state.connected || self.stalled_until.is_some()
    }

    fn connection_changed(&mut self, state: ConnectionState) {
        if state.connects != self.state.connects {
            self.in_flight.shorten_deadlines(Instant::now() + AFTER_RECONNECT);
        } else if !state.connected {
            self.in_flight.shorten_deadlines(Instant::now());
        }
        self.state = state;
    }

    fn reply_received(&mut self, message: &Message) {
        jetway_state::hop!("CommitterTask::reply_received");
        let token = message.subject.as_str().get(self.inbox.len()..).and_then(|token| token.parse().ok());
        let Some(awaited) = token.and_then(|token| self.in_flight.take(token)) else {
            tracing::debug!(subject = %message.subject, "a reply to a write came too late");
            return;
        };
        let Awaited { payload, sent, sample, .. } = awaited;
        for job in payload.jobs() {
            job.write.fail_point(FailPoint::SnapshotUnanswered);
        }
        let now = Instant::now();
        match (payload, PublishReply::parse(message)) {
            (Payload::Single(job), PublishReply::Stored { sequence, .. }) => {
                if let Some(Sample::Single(writes)) = sample {
                    self.policy.record_single(writes, now.duration_since(sent), now.into_std());
                }
                job.complete(Ok(sequence));
            }
            (Payload::Single(job), PublishReply::Refused(error)) => self.refused(job, error),
            (Payload::Single(job), PublishReply::NoResponders) => {
                self.connection.missing.notify_one();
                self.retry(job, "no stream has the subject at the moment");
            }
            (Payload::Batch(jobs), PublishReply::Stored { sequence, count }) if count == Some(jobs.len()) => {
                self.policy.record_batch_result(jobs.len(), true, now.into_std());
                if let Some(Sample::Batch(size)) = sample {
                    self.policy.record_batch(size, jobs.len(), now.duration_since(sent), now.into_std());
                }
                let first = sequence + 1 - jobs.len() as u64;
                for (sequence, job) in (first..).zip(jobs) {
                    job.complete(Ok(sequence));
                }
            }
            (Payload::Batch(jobs), PublishReply::Refused(error)) => {
                tracing::debug!(%error, writes = jobs.len(), "the server refused a batch; sending its writes one by one");
                self.policy.record_batch_result(jobs.len(), false, now.into_std());
                self.requeue_one_by_one(jobs);
            }
            (Payload::Batch(jobs), PublishReply::NoResponders) => {
                self.connection.missing.notify_one();
                self.requeue_one_by_one(jobs);
            }
            (payload, PublishReply::Malformed | PublishReply::Stored { .. }) => self.reply_lost(payload),
        }
    }

    /// Puts the writes of a batch at the front of the queue, to be sent one by one.
    pub(super) fn requeue_one_by_one(&mut self, jobs: Vec<Job>) {
        for mut job in jobs.into_iter().rev() {
            job.ungrouped = true;
            // If the disk fails in the middle of a batch, the first messages of the batch may be stored.
            job.uncertain = true;
            self.queue.push_front(job);
        }
    }

    fn reply_lost(&mut self, payload: Payload) {
        for mut job in payload.into_jobs() {
            job.uncertain = true;
            job.no_room = None;
            self.unresolved.push_back(job);
        }
    }

    fn looked_up(&mut self, mut job: Job, lookup: Lookup) {
        match lookup {
            Lookup::Stored(sequence) => job.complete(Ok(sequence)),
            Lookup::Replaced => job.complete(Err(NotStored::Conflict)),
            // The server has replied to the latest attempt, so none of them can arrive any more.
            Lookup::NotStored if job.no_room.is_some() => {
                job.uncertain = false;
                self.retry(job, "there is no room");
            }
            Lookup::NotStored => self.retry(job, "the connection is too slow for a reply in time"),
            Lookup::Unknown(reason) => self.retry_lookup(job, &reason),
        }
    }

    /// Handles deadlines, deferred writes and look-ups.
    fn process_due(&mut self, now: Instant) {
        while let Some(Awaited { payload, .. }) = self.in_flight.take_overdue(now) {
            self.reply_lost(payload);
        }
        self.requeue_deferred(now);
        while self.lookups.len() < LOOKUPS_AT_ONCE {
            let Some(job) = self.unresolved.pop_front() else {
                break;
            };
            self.lookups.push(self.start_lookup(job));
        }
        if self.stalled_until.is_some_and(|until| until <= now) {
            self.stalled_until = None;
        }
        if self.is_stalled() && self.queue.iter().any(|job| job.give_up <= now) {
            let (overdue, rest): (VecDeque<Job>, _) =
                self.queue.drain(..).partition(|job| job.give_up <= now);
            self.queue = rest;
            overdue.into_iter().for_each(|job| self.give_up(job, "there is no connection"));
        }
    }

    fn start_lookup(&self, job: Job) -> BoxFuture<'static, (Job, Lookup)> {
        let (connection, stream) = (Arc::clone(&self.connection), self.stream.clone());
        let look_up = async move {
            let lookup = match timeout_at(job.give_up, look_up(&connection, &stream, &job)).await {
                Ok(lookup) => lookup,
                Err(_elapsed) => Lookup::Unknown("the leader of the stream did not reply".to_owned()),
            };
            (job, lookup)
        };
        look_up.boxed()
    }

    fn next_wake(&self) -> Option<Instant> {
        let stalled = (self.is_stalled() && !self.queue.is_empty()).then(|| Instant::now() + STALLED_CHECK);
        let (deadline, deferred) = (self.in_flight.next_deadline(), self.deferred.next_due());
        [deadline, deferred, self.stalled_until, stalled].into_iter().flatten().min()
    }
}
