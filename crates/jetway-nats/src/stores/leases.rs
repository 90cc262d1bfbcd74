//! The leases that this process holds: kept alive by a task, answered with the server's confirmation.

use crate::{link::Link, stores::bucket::Pauses};
use async_nats::{Subject, jetstream::AckKind};
use bytes::Bytes;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

/// How long the server may take to confirm an answer before it is sent again.
const CONFIRM_WITHIN: Duration = Duration::from_secs(2);
/// How many signs of life are given within the time after which a lease runs out.
const SIGNS: u32 = 3;

/// The leases of one process.
#[derive(Debug)]
pub(super) struct Leases {
    link: Arc<Link>,
    /// How long a lease lasts without a sign of life.
    lasts: Duration,
    /// How long an answer is tried.
    give_up_after: Duration,
    held: Mutex<Held>,
    abandoned: Notify,
}

#[derive(Debug, Default)]
struct Held {
    count: u64,
    leases: BTreeMap<u64, Lease>,
    /// Those whose holders left without a word.
    abandoned: Vec<Lease>,
}

#[derive(Debug, Clone)]
struct Lease {
    reply: Subject,
    /// The message's place in the stream.
    sequence: u64,
    /// No sign of life is given after that.
    until: Instant,
}

impl Leases {
    pub(super) fn new(link: Arc<Link>, lasts: Duration, give_up_after: Duration) -> Self {
        Self { link, lasts, give_up_after, held: Mutex::default(), abandoned: Notify::new() }
    }

    /// Begins a lease that is kept alive for `longest` at most. Returns its number, from 1.
    pub(super) fn begin(&self, reply: Subject, sequence: u64, longest: Duration) -> u64 {
        let now = Instant::now();
        let until = now.checked_add(longest).unwrap_or(now + Duration::from_secs(u32::MAX.into()));
        let mut held = self.held();
        // A message that is delivered again was held before by somebody who is gone.
        held.leases.retain(|_, lease| lease.sequence != sequence);
        held.count += 1;
        let number = held.count;
        held.leases.insert(number, Lease { reply, sequence, until });
        number
    }

    /// Ends a lease with an answer, and waits until the server has taken it. An unknown lease is nobody's any more: its
    /// message was taken again after its time.
    pub(super) async fn end(&self, number: u64, answer: AckKind) -> Result<(), BackendError> {
        let Some(lease) = self.held().leases.remove(&number) else {
            tracing::debug!(number, "a lease was answered that had run out");
            return Ok(());
        };
        self.say(&lease.reply, answer).await
    }

    /// Ends a lease without waiting: the task that keeps leases alive gives the item back, once. Where that is lost the
    /// lease runs out.
    pub(super) fn abandon(&self, number: u64) {
        let mut held = self.held();
        if let Some(lease) = held.leases.remove(&number) {
            held.abandoned.push(lease);
            drop(held);
            self.abandoned.notify_one();
        }
    }

    /// Answers a message, and waits until the server has taken the answer.
    pub(super) async fn say(&self, reply: &Subject, answer: AckKind) -> Result<(), BackendError> {
        let answer: Bytes = answer.into();
        let mut pauses = Pauses::until(self.give_up_after);
        loop {
            let sent = self.link.client.request(reply.clone(), answer.clone());
            let reason = match timeout(CONFIRM_WITHIN, sent).await {
                Ok(Ok(_taken)) => return Ok(()),
                Ok(Err(error)) => error.to_string(),
                Err(_late) => "no answer".to_owned(),
            };
            if !pauses.pause().await {
                let sentence = format!("the server did not confirm the answer to a work item: {reason}");
                return Err(BackendError::new(BackendErrorKind::Unavailable, sentence));
            }
        }
    }

    /// Keeps the leases alive for ever, and gives back those that were abandoned.
    pub(super) async fn keep_alive(self: Arc<Self>) {
        let every = self.lasts / SIGNS;
        // At its own pace: a sign for a lease that is about to end may overtake its end, and undo it.
        let mut signs = interval_at(Instant::now() + every, every);
        signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let answers: Vec<_> = tokio::select! {
                _now = signs.tick() => {
                    self.alive().into_iter().map(|reply| (reply, AckKind::Progress)).collect()
                }
                () = self.abandoned.notified() => {
                    let abandoned = mem::take(&mut self.held().abandoned);
                    abandoned.into_iter().map(|lease| (lease.reply, AckKind::Nak(None))).collect()
                }
            };
            for (reply, answer) in answers {
                if let Err(error) = self.link.client.publish(reply, answer.into()).await {
                    tracing::debug!(%error, "leases end with their connection");
                    return;
                }
            }
        }
    }

    fn alive(&self) -> Vec<Subject> {
        let now = Instant::now();
        let held = self.held();
        held.leases.values().filter(|lease| lease.until > now).map(|lease| lease.reply.clone()).collect()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
