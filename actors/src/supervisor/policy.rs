//! When a failed actor is restarted.

use crate::backoff;
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// When a failed actor is restarted, and when it stays down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartPolicy {
    /// The number of restarts within the window; one failure more is fatal. Default 5.
    pub limit: u32,
    /// How long a restart counts. Default 60 s.
    pub window: Duration,
    /// The delay before the first restart. It doubles with each restart within the window, plus up to 100 % jitter.
    /// Default 200 ms.
    pub first_delay: Duration,
    /// The longest delay, without jitter. Default 10 s.
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

    /// How many restarts counted at the last failure.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.recent.len()).unwrap_or(u32::MAX)
    }

    /// Records a failure. Returns the delay before the restart, or `None` if the actor has failed too often.
    pub(super) fn failed(&mut self, now: Instant) -> Option<Duration> {
        let RestartPolicy { limit, window, first_delay, max_delay } = self.policy;
        while self.recent.front().is_some_and(|at| now.duration_since(*at) > window) {
            self.recent.pop_front();
        }
        if self.recent.len() >= limit as usize {
            return None;
        }
        let delay = backoff::exponential(first_delay, max_delay).nth(self.recent.len());
        self.recent.push_back(now);
        Some(delay.unwrap_or(max_delay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RestartPolicy {
        RestartPolicy { limit: 3, ..RestartPolicy::default() }
    }

    #[test]
    fn the_limit_applies_within_the_window() {
        let (mut log, start) = (RestartLog::new(policy()), Instant::now());
        for second in [0, 10, 20] {
            assert!(log.failed(start + Duration::from_secs(second)).is_some());
        }
        assert_eq!(log.failed(start + Duration::from_secs(60)), None);
        assert!(log.failed(start + Duration::from_secs(61)).is_some(), "the first restart still counts");
        assert_eq!(log.failed(start + Duration::from_secs(62)), None);
    }

    #[test]
    fn delays_double_with_recent_restarts() {
        let (mut log, start) = (RestartLog::new(policy()), Instant::now());
        for expected in [200, 400, 800] {
            let delay = log.failed(start).unwrap().as_millis();
            assert!((expected..=2 * expected).contains(&delay), "{delay} ms instead of about {expected} ms");
        }
    }

    #[test]
    fn old_restarts_do_not_count() {
        let (mut log, start) = (RestartLog::new(policy()), Instant::now());
        for restart in 0..10 {
            let delay = log.failed(start + Duration::from_secs(61 * restart)).unwrap();
            assert!(delay <= Duration::from_millis(400), "{delay:?}");
        }
    }
}
