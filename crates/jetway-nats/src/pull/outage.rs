//! How long a consumer has not answered, and when to say so.

use std::time::Duration;
use tokio::time::Instant;

/// What disappears is usually made again before this.
const SAID_AFTER: Duration = Duration::from_secs(10);
/// The time between two log lines about the same outage.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// The time since a consumer stopped answering.
#[derive(Debug, Default)]
pub(super) struct Outage {
    since: Option<Instant>,
    said: Option<Instant>,
}

impl Outage {
    /// It does not answer. Returns for how long, if it is time to say so.
    pub(super) fn overdue(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let waited = now.duration_since(*self.since.get_or_insert(now));
        let is_said = self.said.is_some_and(|said| now.duration_since(said) < SAID_EVERY);
        if waited < SAID_AFTER || is_said {
            return None;
        }
        self.said = Some(now);
        Some(waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn f12_an_outage_is_said_once_a_minute() {
        let mut outage = Outage::default();
        assert_eq!(outage.overdue(), None);
        advance(SAID_AFTER).await;
        assert_eq!(outage.overdue(), Some(SAID_AFTER));
        advance(SAID_EVERY / 2).await;
        assert_eq!(outage.overdue(), None);
        advance(SAID_EVERY / 2).await;
        assert_eq!(outage.overdue(), Some(SAID_AFTER + SAID_EVERY));
    }
}
