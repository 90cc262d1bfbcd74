//! How long to wait before trying again.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use rand::RngExt;
use std::time::Duration;

/// The first pause after a call to the backend failed.
const FIRST_DELAY: Duration = Duration::from_millis(200);

/// The longest pause: a backend that comes back is noticed within about this time (twice, with the jitter).
const MAX_DELAY: Duration = Duration::from_secs(10);

/// The delays between calls to a backend that keeps failing: doubling, each with up to as much again at random, so
/// that the hosts of a fleet do not come back in step. They never end: what ends the trying is its owner.
pub(crate) fn delays() -> ExponentialBackoff {
    exponential(FIRST_DELAY, MAX_DELAY)
}

/// Pauses that double from `first` to `longest`, with jitter.
pub(crate) fn exponential(first: Duration, longest: Duration) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times()
        .build()
}

/// The next pause.
pub(crate) fn next_delay(delays: &mut ExponentialBackoff) -> Duration {
    delays.next().unwrap_or(MAX_DELAY)
}

/// `period`, a fifth shorter to a fifth longer, so that the hosts of a fleet do not act in step.
pub(crate) fn jittered(period: Duration) -> Duration {
    period.mul_f64(rand::rng().random_range(0.8..1.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let delays: Vec<_> = delays().take(50).collect();
        assert_eq!(delays.len(), 50, "the delays ended");
        assert!(delays[0] >= FIRST_DELAY && delays[0] <= FIRST_DELAY * 2, "{:?}", delays[0]);
        assert!(delays[49] >= MAX_DELAY && delays[49] <= MAX_DELAY * 2, "{:?}", delays[49]);
    }

    #[test]
    fn periods_differ_by_a_fifth_at_most() {
        let periods: Vec<_> = (0..100).map(|_| jittered(Duration::from_secs(10))).collect();
        assert!(periods.iter().all(|period| (8..=12).contains(&period.as_secs())), "{periods:?}");
        assert!(periods.iter().any(|period| *period != periods[0]), "no jitter");
    }
}
