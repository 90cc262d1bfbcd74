//! When an actor that failed is rebuilt.

use crate::backoff;
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// When an actor that failed is rebuilt, and when no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartPolicy {
    /// So many restarts are tried within the window; one failure more is fatal. Default 5.
    pub limit: u32,
    /// How long a restart counts. An actor that lives for longer starts with a clean record. Default 60 s.
    pub window: Duration,
    /// The pause before the first restart; it doubles for each one within the window, and up to as much again is
    /// added at random. Default 200 ms.
    pub first_delay: Duration,
    /// Where the doubling stops. Default 10 s.
    pub max_delay: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            limit: 5,
            window: Duration::from_secs(60),
            first_delay: Duration::from_millis(200),
            max_delay: Duration::from_secs(10),
        }
    }
}

/// The restarts of one actor that still count.
#[derive(Debug)]
pub(super) struct RestartLog {
    policy: RestartPolicy,
    recent: VecDeque<Instant>,
}

impl RestartLog {
    pub(super) fn new(policy: RestartPolicy) -> Self {
        Self { policy, recent: VecDeque::new() }
    }

    /// The actor failed: how long to wait before it is rebuilt; `None` where it has failed too often.
    pub(super) fn failed(&mut self, now: Instant) -> Option<Duration> {
        let RestartPolicy { limit, window, first_delay, max_delay } = self.policy;
        while self.recent.front().is_some_and(|at| now.duration_since(*at) > window) {
            self.recent.pop_front();
        }
        if self.recent.len() >= limit as usize {
            return None;
        }
        let pause = backoff::exponential(first_delay, max_delay).nth(self.recent.len());
        self.recent.push_back(now);
        Some(pause.unwrap_or(max_delay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RestartPolicy {
        RestartPolicy { limit: 3, ..RestartPolicy::default() }
    }

    #[test]
    fn the_limit_is_for_the_window() {
        let (mut log, start) = (RestartLog::new(policy()), Instant::now());
        for second in [0, 10, 20] {
            assert!(log.failed(start + Duration::from_secs(second)).is_some());
        }
        assert_eq!(log.failed(start + Duration::from_secs(60)), None);
        assert!(log.failed(start + Duration::from_secs(61)).is_some(), "the first restart still counts");
        assert_eq!(log.failed(start + Duration::from_secs(62)), None);
    }

    #[test]
    fn pauses_double_while_failures_follow_each_other() {
        let (mut log, start) = (RestartLog::new(policy()), Instant::now());
        for expected in [200, 400, 800] {
            let pause = log.failed(start).unwrap().as_millis();
            assert!((expected..=2 * expected).contains(&pause), "{pause} ms instead of about {expected} ms");
        }
    }

    #[test]
    fn a_long_life_clears_the_record() {
        let (mut log, start) = (RestartLog::new(policy()), Instant::now());
        for life in 0..10 {
            let pause = log.failed(start + Duration::from_secs(61 * life)).unwrap();
            assert!(pause <= Duration::from_millis(400), "{pause:?}");
        }
    }
}
