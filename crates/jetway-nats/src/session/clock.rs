//! The server's time: its last stamp, and the monotonic time of this machine since then.
//!
//! The clocks of two machines differ, by milliseconds or by hours. The server stamps every message and many of its answers, so
//! the hosts of a server agree about its time. The clock of the machine is read once, as a first guess, and never again.
//!
//! An answer with a stamp was made between the request and the arrival of the answer. This bounds the server's time from
//! both sides, as closely as the round trip was short. A delivered message bounds it from below: it was stored before.

use chrono::DateTime;
use jetway_core::clock::Clock;
use jetway_state::Timestamp;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

const NANOS_PER_MILLI: i128 = 1_000_000;

/// The time of the server that a connection goes to. It never goes back.
#[derive(Debug)]
pub(crate) struct ServerClock {
    origin: Instant,
    estimate: Mutex<Estimate>,
}

impl ServerClock {
    /// A clock that has heard nothing of the server yet. `guess` is the time now by the clock of this machine.
    pub(crate) fn new(guess: Timestamp) -> Self {
        Self { origin: Instant::now(), estimate: Mutex::new(Estimate::new(guess)) }
    }

    /// The server's time, for a comparison with its stamps. It is not later than the time at the server, and it goes back
    /// if the clock of the server does.
    pub(crate) fn server_time(&self) -> Timestamp {
        timestamp(self.estimate().server_time(self.origin.elapsed()))
    }

    /// The server answered a request with a stamp in RFC 3339. An answer without one says nothing.
    pub(super) fn answered(&self, sent: Instant, stamp: Option<&str>) {
        let stamp = stamp.and_then(|stamp| DateTime::parse_from_rfc3339(stamp).ok()?.timestamp_nanos_opt());
        if let Some(stamp) = stamp {
            let sent = sent.saturating_duration_since(self.origin);
            self.estimate().answered(sent, self.origin.elapsed(), i128::from(stamp));
        }
    }

    /// A message arrived that the server stored at this time, in nanoseconds since 1970.
    pub(crate) fn delivered(&self, stored: u64) {
        self.estimate().delivered(self.origin.elapsed(), i128::from(stored));
    }

    /// How long ago the server last sent its time. `None` if it never did.
    pub(super) fn age(&self) -> Option<Duration> {
        let answered = self.estimate().answered_at?;
        Some(self.origin.elapsed().saturating_sub(answered))
    }

    fn estimate(&self) -> MutexGuard<'_, Estimate> {
        // No code that holds the lock can panic half-way through a change.
        self.estimate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ServerClock {
    fn now(&self) -> Timestamp {
        // Read under the lock, so that no later call sees an earlier time.
        let mut estimate = self.estimate();
        timestamp(estimate.now(self.origin.elapsed()))
    }

    fn exact(&self) -> SystemTime {
        let mut estimate = self.estimate();
        let nanos = estimate.now(self.origin.elapsed());
        SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }
}

/// What is known of the server's time. Monotonic times are passed in, as the time since the clock was made. All numbers are
/// nanoseconds.
#[derive(Debug)]
struct Estimate {
    /// The server's time less the monotonic time.
    offset: i128,
    /// When the server last answered with a stamp. Until then the offset is a guess.
    answered_at: Option<Duration>,
    /// The time that was returned last, and when.
    returned: i128,
    returned_at: Duration,
}

impl Estimate {
    fn new(guess: Timestamp) -> Self {
        let offset = i128::from(guess.0) * NANOS_PER_MILLI;
        Self { offset, answered_at: None, returned: i128::MIN, returned_at: Duration::ZERO }
    }

    fn server_time(&self, at: Duration) -> i128 {
        nanos(at) + self.offset
    }

    /// The server's time, unless an earlier call returned a later one: after the server's clock was set back, this one runs at
    /// half its speed until both agree. So no time is before an earlier one, and no wait takes more than twice as long.
    fn now(&mut self, at: Duration) -> i128 {
        let since = nanos(at.saturating_sub(self.returned_at));
        let now = self.server_time(at).max(self.returned.saturating_add(since / 2));
        (self.returned, self.returned_at) = (now, at);
        now
    }

    fn answered(&mut self, sent: Duration, received: Duration, stamp: i128) {
        let (earliest, latest) = (stamp - nanos(received), stamp - nanos(sent.min(received)));
        self.offset = self.offset.clamp(earliest, latest);
        if self.answered_at.replace(received).is_none() {
            // What was returned until now was the clock of this machine, which may be years ahead.
            self.offset = earliest;
            self.returned = i128::MIN;
        }
    }

    fn delivered(&mut self, at: Duration, stored: i128) {
        self.offset = self.offset.max(stored - nanos(at));
    }
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

fn timestamp(nanos: i128) -> Timestamp {
    Timestamp(u64::try_from((nanos / NANOS_PER_MILLI).max(0)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    /// The time of the server when the clock of a test is made, in milliseconds.
    const SERVER: u64 = 1_790_000_000_000;

    fn after(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn stamp(millis: u64) -> i128 {
        i128::from(millis) * NANOS_PER_MILLI
    }

    fn returned(estimate: &mut Estimate, at: u64) -> u64 {
        timestamp(estimate.now(after(at))).0
    }

    /// The clocks of machines that are an hour behind to an hour ahead.
    fn skewed() -> impl Iterator<Item = Estimate> {
        [SERVER - HOUR, SERVER - 60_000, SERVER, SERVER + 50, SERVER + 90_000, SERVER + HOUR, 0, u64::MAX]
            .map(|guess| Estimate::new(Timestamp(guess)))
            .into_iter()
    }

    #[test]
    fn f1_an_answer_replaces_the_clock_of_the_machine() {
        for mut estimate in skewed() {
            returned(&mut estimate, 5);
            estimate.answered(after(10), after(30), stamp(SERVER + 20));
            // The answer is 10 milliseconds old, which this side cannot know. It is never ahead.
            assert_eq!(returned(&mut estimate, 30), SERVER + 20);
            assert_eq!(returned(&mut estimate, 1_030), SERVER + 1_020);
        }
    }

    #[test]
    fn f1_a_shorter_round_trip_makes_it_more_exact() {
        for mut estimate in skewed() {
            estimate.answered(after(0), after(400), stamp(SERVER + 10));
            assert_eq!(returned(&mut estimate, 400), SERVER + 10);
            estimate.answered(after(500), after(502), stamp(SERVER + 501));
            assert_eq!(returned(&mut estimate, 502), SERVER + 501);
            estimate.answered(after(600), after(1_000), stamp(SERVER + 610));
            assert_eq!(returned(&mut estimate, 1_000), SERVER + 999, "a long round trip says less");
        }
    }

    #[test]
    fn f1_it_is_never_behind_a_message_that_arrived() {
        for mut estimate in skewed() {
            estimate.answered(after(0), after(400), stamp(SERVER));
            estimate.delivered(after(500), stamp(SERVER + 495));
            assert_eq!(returned(&mut estimate, 500), SERVER + 495);
            estimate.delivered(after(600), stamp(SERVER - HOUR));
            assert_eq!(returned(&mut estimate, 600), SERVER + 595, "an old message says nothing");
        }
    }

    #[test]
    fn f1_it_follows_a_monotonic_clock_that_is_too_fast() {
        let mut estimate = Estimate::new(Timestamp(SERVER));
        // One second of the server takes 1.1 here.
        for second in 0..100 {
            let at = second * 1_100;
            estimate.answered(after(at), after(at + 1), stamp(SERVER + second * 1_000));
            let now = returned(&mut estimate, at + 1);
            assert!(now <= SERVER + second * 1_000 + 110, "second {second}: {now}");
        }
    }

    #[test]
    fn f1_it_does_not_go_back_when_the_server_does() {
        let mut estimate = Estimate::new(Timestamp(SERVER));
        estimate.answered(after(0), after(0), stamp(SERVER));
        assert_eq!(returned(&mut estimate, 1_000), SERVER + 1_000);
        estimate.answered(after(1_000), after(1_000), stamp(SERVER - 9_000));
        assert_eq!(timestamp(estimate.server_time(after(1_000))).0, SERVER - 9_000);
        let mut last = SERVER + 1_000;
        for at in (1_000..=41_000).step_by(1_000) {
            let now = returned(&mut estimate, at);
            let (server, half) = (SERVER - 10_000 + at, SERVER + 1_000 + (at - 1_000) / 2);
            assert_eq!(now, server.max(half), "after {at} ms");
            assert!(now >= last);
            last = now;
        }
        assert_eq!(last, SERVER + 31_000, "both agree again");
    }

    #[test]
    fn an_answer_without_a_stamp_says_nothing() {
        let clock = ServerClock::new(Timestamp(SERVER));
        for stamp in [None, Some(""), Some("yesterday"), Some("9999-01-01T00:00:00Z")] {
            clock.answered(Instant::now(), stamp);
            assert_eq!(clock.age(), None, "{stamp:?}");
        }
        clock.answered(Instant::now(), Some("2026-09-01T09:34:30.084404123Z"));
        assert!(clock.age().is_some());
        let now = clock.now();
        assert!(now.since(Timestamp::parse("2026-09-01T09:34:30.084Z").unwrap()) < Duration::from_secs(60));
        assert!(now < Timestamp(SERVER));
    }
}
