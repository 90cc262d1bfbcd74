//! Tickets that a newer version of Jetway wrote. A host of that version may be starting, so they are given back, with a growing
//! delay. `jetway doctor` counts them.

use crate::pull::LeasedMessage;
use jetway_engine::backend::Lease as _;
use jetway_state::codec::EnvelopeError;
use std::{collections::BTreeSet, time::Duration};

/// The longest delay: so long a newer host may wait for the ticket.
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// How many tickets are remembered. The lowest sequences, which are the oldest tickets, are forgotten first.
const MAX_LOGGED: usize = 1024;

/// Those that this host has met.
#[derive(Debug, Default)]
pub(in crate::backend) struct NewerTickets {
    /// Their sequences: each is logged once.
    logged: BTreeSet<u64>,
}

impl NewerTickets {
    pub(in crate::backend) async fn give_back(&mut self, leased: &LeasedMessage, error: &EnvelopeError) {
        let LeasedMessage { message, delivery, lease, .. } = leased;
        let subject = &message.subject;
        if self.is_first(delivery.sequence) {
            tracing::warn!(
                %subject, %error,
                "a newer version of Jetway wrote this ticket: it is given back again and again; update this host"
            );
        }
        let delay = delay_after(delivery.delivered, lease.duration());
        if let Err(error) = lease.nak_later(delay.mul_f64(rand::random_range(0.8..1.0))).await {
            tracing::debug!(%subject, %error, "a ticket is delivered again when its lease ends");
        }
    }

    /// Whether this host meets the ticket for the first time.
    fn is_first(&mut self, sequence: u64) -> bool {
        let is_first = self.logged.insert(sequence);
        if self.logged.len() > MAX_LOGGED {
            self.logged.pop_first();
        }
        is_first
    }
}

/// The delay before the next delivery after this one. It doubles from a tenth of a lease.
fn delay_after(delivered: u32, lease: Duration) -> Duration {
    let factor = 1_u32.checked_shl(delivered.saturating_sub(1)).unwrap_or(u32::MAX);
    (lease / 10).saturating_mul(factor).min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a10_the_delay_doubles_up_to_a_minute() {
        let delays = [1, 2, 3, 6, 7, 40, u32::MAX].map(|n| delay_after(n, Duration::from_secs(10)).as_secs());
        assert_eq!(delays, [1, 2, 4, 32, 60, 60, 60]);
    }

    #[test]
    fn a10_each_ticket_is_logged_once() {
        let mut newer = NewerTickets::default();
        assert!(newer.is_first(7) && !newer.is_first(7));
        assert!((8..8 + MAX_LOGGED as u64).all(|sequence| newer.is_first(sequence)));
        assert_eq!(newer.logged.len(), MAX_LOGGED);
    }
}
