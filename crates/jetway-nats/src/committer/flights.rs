//! The writes that are under way.

use super::{Job, policy::Size};
use std::collections::BTreeMap;
use tokio::time::{Duration, Instant};

/// The writes that are under way, by the token that their answer comes with. Tokens grow, and so do the times at which
/// the answers are overdue.
#[derive(Debug, Default)]
pub(super) struct Flights {
    flights: BTreeMap<u64, Flight>,
    latest: u64,
    writes: usize,
    batches: usize,
}

/// What one answer decides about.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) jobs: Flown,
    pub(super) sent: Instant,
    /// What its answer is measured for.
    pub(super) measured: Option<Measured>,
    overdue: Instant,
}

/// What an answer is measured for: a turn of a contest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measured {
    /// So many single writes, of which this is the last.
    Single(usize),
    /// A batch.
    Batch(Size),
}

#[derive(Debug)]
pub(super) enum Flown {
    Single(Job),
    Batch(Vec<Job>),
}

impl Flown {
    fn len(&self) -> usize {
        self.all().len()
    }

    pub(super) fn all(&self) -> &[Job] {
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

impl Flights {
    /// How many writes are under way.
    pub(super) fn writes(&self) -> usize {
        self.writes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }

    /// Whether a batch is under way.
    pub(super) fn has_batch(&self) -> bool {
        self.batches > 0
    }

    /// The token of a new flight.
    pub(super) fn add(
        &mut self,
        jobs: Flown,
        sent: Instant,
        answer_within: Duration,
        measured: Option<Measured>,
    ) -> u64 {
        self.latest += 1;
        self.writes += jobs.len();
        self.batches += usize::from(matches!(jobs, Flown::Batch(_)));
        let flight = Flight { jobs, sent, measured, overdue: sent + answer_within };
        self.flights.insert(self.latest, flight);
        self.latest
    }

    /// Takes the flight of an answer; `None` where it is not awaited any more.
    pub(super) fn take(&mut self, token: u64) -> Option<Flight> {
        let flight = self.flights.remove(&token)?;
        self.writes -= flight.jobs.len();
        self.batches -= usize::from(matches!(flight.jobs, Flown::Batch(_)));
        Some(flight)
    }

    /// Takes a flight whose answer is overdue.
    pub(super) fn take_overdue(&mut self, now: Instant) -> Option<Flight> {
        let (token, flight) = self.flights.first_key_value()?;
        let token = *token;
        (flight.overdue <= now).then(|| self.take(token)).flatten()
    }

    /// When the next answer is overdue.
    pub(super) fn next_overdue(&self) -> Option<Instant> {
        self.flights.first_key_value().map(|(_, flight)| flight.overdue)
    }

    /// No answer is waited for longer than until `end`.
    pub(super) fn hurry(&mut self, end: Instant) {
        for flight in self.flights.values_mut() {
            flight.overdue = flight.overdue.min(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::{Body, Write};
    use bytes::Bytes;
    use tokio::sync::oneshot;

    fn job() -> Job {
        let write = Write { subject: "s".into(), payload: Bytes::new(), body: Body::Once(None) };
        Job {
            write,
            reply: oneshot::channel().0,
            give_up: Instant::now(),
            uncertain: false,
            alone: false,
            no_room: None,
            pauses: 0,
        }
    }

    #[test]
    fn writes_are_counted_in_and_out() {
        let (mut flights, now) = (Flights::default(), Instant::now());
        let second = Duration::from_secs(1);
        let single = flights.add(Flown::Single(job()), now, second, None);
        let batch = flights.add(Flown::Batch(vec![job(), job()]), now, second, None);
        assert_eq!((flights.writes(), flights.has_batch()), (3, true));
        assert_eq!(flights.take(batch).unwrap().jobs.into_jobs().len(), 2);
        assert_eq!((flights.writes(), flights.has_batch()), (1, false));
        assert!(flights.take(batch).is_none());
        assert_eq!(flights.take(single).unwrap().jobs.into_jobs().len(), 1);
        assert!(flights.is_empty());
    }

    #[test]
    fn overdue_answers_come_in_the_order_of_sending() {
        let (mut flights, now) = (Flights::default(), Instant::now());
        let second = Duration::from_secs(1);
        flights.add(Flown::Single(job()), now, second, None);
        flights.add(Flown::Single(job()), now + second, second, None);
        assert_eq!(flights.next_overdue(), Some(now + second));
        assert!(flights.take_overdue(now).is_none());
        assert_eq!(flights.take_overdue(now + second).unwrap().sent, now);
        assert!(flights.take_overdue(now + second).is_none());
        flights.hurry(now + second);
        assert!(flights.take_overdue(now + second).is_some());
    }
}
