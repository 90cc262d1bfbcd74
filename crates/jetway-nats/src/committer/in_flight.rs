//! The writes that are in flight.

use super::{Job, policy::Size};
use std::collections::BTreeMap;
use tokio::time::{Duration, Instant};

/// The writes that are in flight, by the token in the subject of their reply. Tokens are in the order of the deadlines.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    awaited: BTreeMap<u64, Awaited>,
    latest_token: u64,
    writes: usize,
    batches: usize,
}

/// The writes that wait for one reply.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) payload: Payload,
    pub(super) sent: Instant,
    /// The sample of a benchmark that the reply completes.
    pub(super) sample: Option<Sample>,
    deadline: Instant,
}

/// A sample of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sample {
    /// This number of single writes. The reply to the last one completes it.
    Single(usize),
    /// A batch.
    Batch(Size),
}

/// One write, or the writes of one batch.
#[derive(Debug)]
pub(super) enum Payload {
    Single(Job),
    Batch(Vec<Job>),
}

impl Payload {
    fn len(&self) -> usize {
        self.jobs().len()
    }

    pub(super) fn jobs(&self) -> &[Job] {
        match self {
            Self::Single(job) => std::slice::from_ref(job),
            Self::Batch(jobs) => jobs,
        }
    }

    pub(super) fn into_jobs(self) -> Vec<Job> {
        match self {
            Self::Single(job) => vec![job],
            Self::Batch(jobs) => jobs,
        }
    }
}

impl InFlight {
    /// How many writes are in flight.
    pub(super) fn writes(&self) -> usize {
        self.writes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.awaited.is_empty()
    }

    /// Whether a batch is in flight.
    pub(super) fn has_batch(&self) -> bool {
        self.batches > 0
    }

    /// Adds writes that are about to be sent. Returns the token of their reply.
    pub(super) fn add(
        &mut self,
        payload: Payload,
        sent: Instant,
        reply_within: Duration,
        sample: Option<Sample>,
    ) -> u64 {
        self.latest_token += 1;
        self.writes += payload.len();
        self.batches += usize::from(matches!(payload, Payload::Batch(_)));
        let awaited = Awaited { payload, sent, sample, deadline: sent + reply_within };
        self.awaited.insert(self.latest_token, awaited);
        self.latest_token
    }

    /// Takes the writes that wait for a reply. `None` if the reply came too late.
    pub(super) fn take(&mut self, token: u64) -> Option<Awaited> {
        let awaited = self.awaited.remove(&token)?;
        self.writes -= awaited.payload.len();
        self.batches -= usize::from(matches!(awaited.payload, Payload::Batch(_)));
        Some(awaited)
    }

    /// Takes the oldest writes, if their deadline has passed.
    pub(super) fn take_overdue(&mut self, now: Instant) -> Option<Awaited> {
        let (token, awaited) = self.awaited.first_key_value()?;
        let token = *token;
        (awaited.deadline <= now).then(|| self.take(token)).flatten()
    }

    /// The next deadline.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.awaited.first_key_value().map(|(_, awaited)| awaited.deadline)
    }

    /// Moves all deadlines to `latest`, where they are later.
    pub(super) fn shorten_deadlines(&mut self, latest: Instant) {
        for awaited in self.awaited.values_mut() {
            awaited.deadline = awaited.deadline.min(latest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::committer::{Condition, PendingWrite, Write};
    use bytes::Bytes;
    use tokio::sync::oneshot;

    fn job() -> Job {
        let write = Write { subject: "s".into(), payload: Bytes::new(), condition: Condition::Unique(None) };
        Box::new(PendingWrite {
            write,
            outcome: oneshot::channel().0,
            give_up: Instant::now(),
            uncertain: false,
            ungrouped: false,
            no_room: None,
            deferrals: 0,
        })
    }

    #[test]
    fn writes_are_counted_in_and_out() {
        let (mut in_flight, now) = (InFlight::default(), Instant::now());
        let second = Duration::from_secs(1);
        let single = in_flight.add(Payload::Single(job()), now, second, None);
        let batch = in_flight.add(Payload::Batch(vec![job(), job()]), now, second, None);
        assert_eq!((in_flight.writes(), in_flight.has_batch()), (3, true));
        assert_eq!(in_flight.take(batch).unwrap().payload.into_jobs().len(), 2);
        assert_eq!((in_flight.writes(), in_flight.has_batch()), (1, false));
        assert!(in_flight.take(batch).is_none());
        assert_eq!(in_flight.take(single).unwrap().payload.into_jobs().len(), 1);
        assert!(in_flight.is_empty());
    }

    #[test]
    fn overdue_writes_are_taken_in_the_order_of_sending() {
        let (mut in_flight, now) = (InFlight::default(), Instant::now());
        let second = Duration::from_secs(1);
        in_flight.add(Payload::Single(job()), now, second, None);
        in_flight.add(Payload::Single(job()), now + second, second, None);
        assert_eq!(in_flight.next_deadline(), Some(now + second));
        assert!(in_flight.take_overdue(now).is_none());
        assert_eq!(in_flight.take_overdue(now + second).unwrap().sent, now);
        assert!(in_flight.take_overdue(now + second).is_none());
        in_flight.shorten_deadlines(now + second);
        assert!(in_flight.take_overdue(now + second).is_some());
    }
}
