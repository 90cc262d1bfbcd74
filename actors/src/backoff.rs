//! How long to wait before trying again.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use rand::RngExt;
use std::time::Duration;

/// The first pause after a call to the backend failed.
const FIRST: Duration = Duration::from_millis(200);

/// The longest pause: a backend that comes back is noticed within about this time (twice, with the jitter).
const LONGEST: Duration = Duration::from_secs(10);

/// The pauses between calls to a backend that keeps failing: doubling, each with up to as much again at random, so
/// that the hosts of a fleet do not come back in step. They never end: what ends the trying is its owner.
pub(crate) fn pauses() -> ExponentialBackoff {
    exponential(FIRST, LONGEST)
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
pub(crate) fn next(pauses: &mut ExponentialBackoff) -> Duration {
    pauses.next().unwrap_or(LONGEST)
}

/// `period`, a fifth shorter to a fifth longer, so that the hosts of a fleet do not act in step.
pub(crate) fn around(period: Duration) -> Duration {
    period.mul_f64(rand::rng().random_range(0.8..1.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let pauses: Vec<_> = pauses().take(50).collect();
        assert_eq!(pauses.len(), 50, "the pauses ended");
        assert!(pauses[0] >= FIRST && pauses[0] <= FIRST * 2, "{:?}", pauses[0]);
        assert!(pauses[49] >= LONGEST && pauses[49] <= LONGEST * 2, "{:?}", pauses[49]);
    }

    #[test]
    fn periods_differ_by_a_fifth_at_most() {
        let periods: Vec<_> = (0..100).map(|_| around(Duration::from_secs(10))).collect();
        assert!(periods.iter().all(|period| (8..=12).contains(&period.as_secs())), "{periods:?}");
        assert!(periods.iter().any(|period| *period != periods[0]), "no jitter");
    }
}
