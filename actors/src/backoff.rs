//! The delays between retries.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use rand::RngExt;
use std::time::Duration;

/// The first delay after a call to the backend failed.
const FIRST_DELAY: Duration = Duration::from_millis(200);

/// The longest delay, without jitter. Jitter can double it.
const MAX_DELAY: Duration = Duration::from_secs(10);

/// The delays between calls to a backend that keeps failing. They double, each with up to 100 % jitter, so that many
/// hosts do not retry at the same time. They never end: the owner of the task decides when to stop.
pub(crate) fn delays() -> ExponentialBackoff {
    exponential(FIRST_DELAY, MAX_DELAY)
}

/// Delays that double from `first` to `longest`, with jitter.
pub(crate) fn exponential(first: Duration, longest: Duration) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times()
        .build()
}

/// The next delay.
pub(crate) fn next_delay(delays: &mut ExponentialBackoff) -> Duration {
    delays.next().unwrap_or(MAX_DELAY)
}

/// `period` with a jitter of 20 % in both directions, so that many hosts do not act at the same time.
pub(crate) fn jittered(period: Duration) -> Duration {
    period.mul_f64(rand::rng().random_range(0.8..1.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_up_to_the_limit() {
        let delays: Vec<_> = delays().take(50).collect();
        assert_eq!(delays.len(), 50, "the delays ended");
        assert!(delays[0] >= FIRST_DELAY && delays[0] <= FIRST_DELAY * 2, "{:?}", delays[0]);
        assert!(delays[49] >= MAX_DELAY && delays[49] <= MAX_DELAY * 2, "{:?}", delays[49]);
    }

    #[test]
    fn the_jitter_is_20_percent_at_most() {
        let periods: Vec<_> = (0..100).map(|_| jittered(Duration::from_secs(10))).collect();
        assert!(periods.iter().all(|period| (8..=12).contains(&period.as_secs())), "{periods:?}");
        assert!(periods.iter().any(|period| *period != periods[0]), "no jitter");
    }
}
