//! When a message is delivered again because this build cannot read the data that it is about: another build may.

use crate::backend::BackendErrorKind;
use std::time::Duration;

/// How often a message is delivered before something is recorded about it. The delays between add up to one and a half leases.
pub(crate) const DELIVERIES: u32 = 5;

/// How often a message is delivered if it is known that other builds can read the data. There may be few hosts of such a build.
pub(crate) const DELIVERIES_TO_OTHERS: u32 = 30;

/// Whether an error is about the data, and not about the backend: trying again does not help, unless another build does.
pub(crate) fn is_about_data(kind: BackendErrorKind) -> bool {
    matches!(kind, BackendErrorKind::Corrupt | BackendErrorKind::Newer)
}

/// The delay before the next delivery; `None` if the message was delivered `deliveries` times.
pub(crate) fn delay_before_next(delivered: u32, deliveries: u32, lease: Duration) -> Option<Duration> {
    let delay = || delay_after(delivered, lease).mul_f64(rand::random_range(0.8..1.0));
    (delivered < deliveries).then(delay)
}

fn delay_after(delivered: u32, lease: Duration) -> Duration {
    let doubled =
        (lease / 10).saturating_mul(1_u32.checked_shl(delivered.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(lease / 5 * 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u7_nothing_is_recorded_within_one_and_a_half_leases() {
        let lease = Duration::from_secs(10);
        let delays: Vec<_> = (1..DELIVERIES).map(|delivered| delay_after(delivered, lease)).collect();
        assert_eq!(delays, [1, 2, 4, 8].map(Duration::from_secs));
        for delivered in [5, 33, 200, u32::MAX] {
            assert_eq!(delay_after(delivered, lease), Duration::from_secs(8));
        }
    }

    #[test]
    fn the_last_delivery_has_no_next() {
        let lease = Duration::from_secs(10);
        assert!(delay_before_next(DELIVERIES - 1, DELIVERIES, lease).is_some());
        assert_eq!(delay_before_next(DELIVERIES, DELIVERIES, lease), None);
    }

    #[test]
    fn h6_only_errors_of_the_data_are_recorded() {
        use BackendErrorKind::{Closed, Conflict, Corrupt, Newer, NoRoom, Refused, TooLarge, Unavailable};
        for kind in [Closed, Conflict, NoRoom, Refused, TooLarge, Unavailable] {
            assert!(!is_about_data(kind), "{kind:?}");
        }
        assert!(is_about_data(Corrupt) && is_about_data(Newer));
    }
}
