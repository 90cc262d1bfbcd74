//! The committer's task: what comes in, and what it means.

use super::{
    Job,
    answer::Answer,
    flights::{Flight, Flights, Flown, Measured},
    lost::{Fate, find_out},
    policy::{Choice, Policy},
};
use crate::{
    config::WriteConfig,
    error,
    link::{Link, LinkState},
    write::{IS_THERE, NotStored},
};
use async_nats::{Message, SubscribeError, Subscriber, jetstream, jetstream::ErrorCode};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use jetway_engine::fail_point::FailPoint;
use std::{
    collections::{BTreeMap, VecDeque},
    pin::pin,
    sync::Arc,
};
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, sleep_until, timeout_at},
};

/// How many answers are taken at once, at most.
const ANSWERS: usize = 512;
/// How many lost writes are looked up at once.
const LOOK_UPS: usize = 32;
/// Answers that were on their way when the connection broke do not come any more; those to what was sent over the new
/// one do, and soon.
const AFTER_RECONNECT: Duration = Duration::from_millis(250);
/// As good as never.
const NO_ALARM: Duration = Duration::from_secs(3600);
/// How often writes that cannot be sent are looked at for their deadline.
const STALLED: Duration = Duration::from_millis(200);
/// How often it is told that writes wait for room.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What the committer's task knows.
pub(super) struct Run {
    pub(super) link: Arc<Link>,
    stream: String,
    pub(super) config: WriteConfig,
    answers: Option<Subscriber>,
    /// What answers are sent to, up to the token.
    pub(super) inbox: String,
    /// What batches of this task are named by, up to their number.
    pub(super) batch_name: String,
    pub(super) batches: u64,
    pub(super) queue: VecDeque<Job>,
    pub(super) flights: Flights,
    /// What is put off, by the time when it is due.
    later: BTreeMap<(Instant, u64), (Job, Next)>,
    put_off: u64,
    unresolved: VecDeque<Job>,
    look_ups: FuturesUnordered<BoxFuture<'static, (Job, Fate)>>,
    pub(super) policy: Policy,
    /// A turn of a contest that waits for what is under way.
    pub(super) planned: Option<Choice>,
    /// Nothing can be sent before then.
    pub(super) stalled_until: Option<Instant>,
    seen: LinkState,
    /// When it was last told that there is no room.
    told_of_no_room: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Send,
    FindOut,
}

impl Run {
    pub(super) async fn new(
        link: Arc<Link>,
        stream: String,
        config: WriteConfig,
    ) -> Result<Self, SubscribeError> {
        let inbox = format!("{}.", link.client.new_inbox());
        let answers = link.client.subscribe(format!("{inbox}*")).await?;
        let seen = link.now();
        Ok(Self {
            link,
            stream,
            config,
            answers: Some(answers),
            inbox,
            batch_name: format!("{:x}-", rand::random::<u64>()),
            batches: 0,
            queue: VecDeque::new(),
            flights: Flights::default(),
            later: BTreeMap::new(),
            put_off: 0,
            unresolved: VecDeque::new(),
            look_ups: FuturesUnordered::new(),
            policy: Policy::default(),
            planned: None,
            stalled_until: None,
            seen,
            told_of_no_room: None,
        })
    }

    /// Runs until every handle is gone and every write has its verdict.
    pub(super) async fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        let Some(answers) = self.answers.take() else {
            return;
        };
        let mut answers = answers.ready_chunks(ANSWERS);
        let mut link = self.link.state.clone();
        let mut armed = Instant::now() + NO_ALARM;
        let mut alarm = pin!(sleep_until(armed));
        let mut open = true;
        while open || self.has_work() {
            let room = open && self.queue.len() < self.config.max_group;
            tokio::select! {
                biased;
                answers = answers.next() => match answers {
                    Some(answers) => answers.iter().for_each(|answer| self.answered(answer)),
                    None => return,
                },
                Some((job, fate)) = self.look_ups.next() => self.found_out(job, fate),
                changed = link.changed() => match changed {
                    Ok(()) => self.link_changed(link.borrow_and_update().clone()),
                    Err(_closed) => return,
                },
                job = waiting.recv(), if room => match job {
                    Some(job) => self.queue.push_back(job),
                    None => open = false,
                },
                // Set anew at once: an alarm that has gone off would go off at every turn from now on.
                () = &mut alarm => {
                    armed = Instant::now() + NO_ALARM;
                    alarm.as_mut().reset(armed);
                }
            }
            while open && self.queue.len() < self.config.max_group {
                let Ok(job) = waiting.try_recv() else { break };
                self.queue.push_back(job);
            }
            self.due(Instant::now());
            self.send().await;
            // Setting a timer costs more than most turns of this loop, so it is only ever set to an earlier time.
            if let Some(wake) = self.next_wake().filter(|wake| *wake < armed) {
                armed = wake;
                alarm.as_mut().reset(armed);
            }
        }
    }

    fn has_work(&self) -> bool {
        !(self.queue.is_empty()
            && self.flights.is_empty()
            && self.later.is_empty()
            && self.unresolved.is_empty()
            && self.look_ups.is_empty())
    }

    pub(super) fn is_connected(&self) -> bool {
        self.seen.connected
    }

    fn link_changed(&mut self, state: LinkState) {
        if state.connects != self.seen.connects {
            self.flights.hurry(Instant::now() + AFTER_RECONNECT);
        } else if !state.connected {
            self.flights.hurry(Instant::now());
        }
        self.seen = state;
    }

    fn answered(&mut self, message: &Message) {
        let token = message.subject.as_str().get(self.inbox.len()..).and_then(|token| token.parse().ok());
        let Some(flight) = token.and_then(|token| self.flights.take(token)) else {
            tracing::debug!(subject = %message.subject, "an answer came when it was not awaited any more");
            return;
        };
        for job in flight.jobs.all() {
            job.write.fail_point(FailPoint::SnapshotUnanswered);
        }
        let now = Instant::now();
        match (flight.jobs, Answer::read(message)) {
            (Flown::Single(job), Answer::Stored { sequence, .. }) => {
                if let Some(Measured::Single(writes)) = flight.measured {
                    self.policy.single(writes, now.duration_since(flight.sent), now.into_std());
                }
                job.settle(Ok(sequence));
            }
            (Flown::Single(job), Answer::Refused(refusal)) => self.refused(job, refusal),
            (Flown::Single(job), Answer::Nobody) => self.pause(job, Next::Send, "nobody listens there"),
            (Flown::Batch(jobs), Answer::Stored { sequence, count }) if count == Some(jobs.len()) => {
                self.policy.batched(jobs.len(), true, now.into_std());
                if let Some(Measured::Batch(size)) = flight.measured {
                    let took = now.duration_since(flight.sent);
                    self.policy.batch(size, jobs.len(), took, now.into_std());
                }
                let first = sequence + 1 - jobs.len() as u64;
                for (sequence, job) in (first..).zip(jobs) {
                    job.settle(Ok(sequence));
                }
            }
            (Flown::Batch(jobs), Answer::Refused(refusal)) => {
                tracing::debug!(%refusal, writes = jobs.len(), "a batch was refused, its writes go one by one");
                self.policy.batched(jobs.len(), false, now.into_std());
                self.apart(jobs);
            }
            (Flown::Batch(jobs), Answer::Nobody) => self.apart(jobs),
            (jobs, Answer::Unreadable | Answer::Stored { .. }) => self.lost(jobs),
        }
    }

    /// Sends the writes of a batch again, each by itself and before all others.
    pub(super) fn apart(&mut self, jobs: Vec<Job>) {
        for mut job in jobs.into_iter().rev() {
            job.alone = true;
            // A disk that fails in the middle of a batch may have kept its beginning.
            job.uncertain = true;
            self.queue.push_front(job);
        }
    }

    fn refused(&mut self, job: Job, refusal: jetstream::Error) {
        match refusal.error_code() {
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE if job.write.is_once() => job.settle(Ok(IS_THERE)),
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE if job.uncertain => self.unresolved.push_back(job),
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE => job.settle(Err(NotStored::Conflict)),
            ErrorCode::STREAM_STORE_FAILED if job.write.is_once() && is_second(&refusal) => {
                job.settle(Ok(IS_THERE));
            }
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => self.pause_briefly(job),
            _ if error::no_room(&refusal) => self.no_room(job, refusal),
            _ if refusal.code() == 503 => {
                let reason = refusal.to_string();
                self.pause(job, Next::Send, &reason);
            }
            _ => job.settle(Err(NotStored::Refused(refusal))),
        }
    }

    /// There may be room again in a while.
    fn no_room(&mut self, mut job: Job, refusal: jetstream::Error) {
        let now = Instant::now();
        if self.told_of_no_room.is_none_or(|told| now.duration_since(told) >= TELL_EVERY) {
            self.told_of_no_room = Some(now);
            tracing::warn!(
                stream = self.stream, %refusal,
                "writes wait for want of room: raise the limit, or remove what is not needed"
            );
        }
        let first = job.no_room.replace(refusal).is_none();
        if first && job.uncertain {
            return self.unresolved.push_back(job);
        }
        let delay = (100_u64 << job.pauses.min(5)).min(2000);
        self.put_off(job, Next::Send, delay, "there is no room");
    }

    fn lost(&mut self, jobs: Flown) {
        for mut job in jobs.into_jobs() {
            job.uncertain = true;
            job.no_room = None;
            self.unresolved.push_back(job);
        }
    }

    fn found_out(&mut self, mut job: Job, fate: Fate) {
        match fate {
            Fate::Stored(sequence) => job.settle(Ok(sequence)),
            Fate::Overtaken => job.settle(Err(NotStored::Conflict)),
            // The server has answered the latest sending of it: nothing of it is on its way.
            Fate::NotYet if job.no_room.is_some() => {
                job.uncertain = false;
                self.pause(job, Next::Send, "there is no room");
            }
            Fate::NotYet => self.pause(job, Next::Send, "the connection is not good enough for an answer"),
            Fate::Unknown(reason) => self.pause(job, Next::FindOut, &reason),
        }
    }

    fn pause(&mut self, job: Job, next: Next, reason: &str) {
        let delay = (20_u64 << job.pauses.min(5)).min(500);
        self.put_off(job, next, delay, reason);
    }

    /// The previous write of the subject is still being applied.
    fn pause_briefly(&mut self, job: Job) {
        let delay = (1_u64 << job.pauses.min(5)).min(20);
        self.put_off(job, Next::Send, delay, "the previous write of the subject is still being applied");
    }

    fn put_off(&mut self, mut job: Job, next: Next, delay: u64, reason: &str) {
        let micros = delay * 1000;
        let due = Instant::now() + Duration::from_micros(micros + rand::random_range(0..=micros / 2));
        if due >= job.give_up {
            return self.give_up(job, reason);
        }
        job.pauses += 1;
        self.put_off += 1;
        self.later.insert((due, self.put_off), (job, next));
    }

    pub(super) fn give_up(&self, mut job: Job, reason: &str) {
        if let (false, Some(refusal)) = (job.uncertain, job.no_room.take()) {
            return job.settle(Err(NotStored::Refused(refusal)));
        }
        let within = self.config.give_up_after;
        let reason =
            format!("no verdict of the nats-server within {within:?}, {reason}{}", self.seen.refused());
        job.settle(Err(NotStored::Unknown(reason)));
    }

    /// Sees to what has become due.
    fn due(&mut self, now: Instant) {
        while let Some(Flight { jobs, .. }) = self.flights.take_overdue(now) {
            self.lost(jobs);
        }
        while self.later.first_key_value().is_some_and(|((due, _), _)| *due <= now) {
            match self.later.pop_first() {
                Some((_, (job, Next::Send))) => self.queue.push_front(job),
                Some((_, (job, Next::FindOut))) => self.unresolved.push_back(job),
                None => break,
            }
        }
        while self.look_ups.len() < LOOK_UPS {
            let Some(job) = self.unresolved.pop_front() else {
                break;
            };
            let (link, stream) = (Arc::clone(&self.link), self.stream.clone());
            let look_up = async move {
                let fate = match timeout_at(job.give_up, find_out(&link, &stream, &job)).await {
                    Ok(fate) => fate,
                    Err(_elapsed) => Fate::Unknown("the leader of the stream cannot be asked".to_owned()),
                };
                (job, fate)
            };
            self.look_ups.push(look_up.boxed());
        }
        if self.stalled_until.is_some_and(|until| until <= now) {
            self.stalled_until = None;
        }
        if self.is_stalled() && self.queue.iter().any(|job| job.give_up <= now) {
            let (over, rest) = self.queue.drain(..).partition(|job| job.give_up <= now);
            self.queue = rest;
            let over: VecDeque<Job> = over;
            over.into_iter().for_each(|job| self.give_up(job, "there is no connection"));
        }
    }

    pub(super) fn is_stalled(&self) -> bool {
        !self.is_connected() || self.stalled_until.is_some()
    }

    fn next_wake(&self) -> Option<Instant> {
        let later = self.later.first_key_value().map(|((due, _), _)| *due);
        let stalled = (self.is_stalled() && !self.queue.is_empty()).then(|| Instant::now() + STALLED);
        [self.flights.next_overdue(), later, self.stalled_until, stalled].into_iter().flatten().min()
    }
}

/// Whether a message was refused because its subject has one already.
fn is_second(refusal: &jetstream::Error) -> bool {
    refusal.to_string().contains("per subject")
}
