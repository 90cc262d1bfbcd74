//! Growing delays between attempts, with jitter and a deadline.

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Duration, Instant, sleep};

/// The delays of a compare-and-swap loop, and of requests that the server did not answer.
const FIRST_DELAY: Duration = Duration::from_millis(1);
const LONGEST_DELAY: Duration = Duration::from_millis(50);

/// The delays between the attempts of one operation. They double, and jitter adds up to as much again.
#[derive(Debug)]
pub(crate) struct Backoff {
    builder: ExponentialBuilder,
    delays: ExponentialBackoff,
    used: bool,
    longest: Duration,
    deadline: Option<Instant>,
}

impl Backoff {
    /// Delays that start at `first` and stop growing at `longest`. There is no deadline.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        let builder = ExponentialBuilder::new()
            .with_min_delay(first)
            .with_max_delay(longest)
            .without_max_times()
            .with_jitter();
        Self { builder, delays: builder.build(), used: false, longest, deadline: None }
    }

    /// The same, for at most `within` from now on.
    pub(crate) fn until(first: Duration, longest: Duration, within: Duration) -> Self {
        Self { deadline: Some(Instant::now() + within), ..Self::new(first, longest) }
    }

    /// Short delays, for at most `within` from now on.
    pub(crate) fn within(within: Duration) -> Self {
        let deadline = Some(Instant::now() + within);
        Self { deadline, ..Self::new(FIRST_DELAY, LONGEST_DELAY) }
    }

    /// The delay before the next attempt.
    pub(crate) fn next_delay(&mut self) -> Duration {
        self.used = true;
        self.delays.next().unwrap_or(self.longest)
    }

    /// Starts again with the first delay. Costs nothing if there was no delay yet.
    pub(crate) fn reset(&mut self) {
        if self.used {
            self.used = false;
            self.delays = self.builder.build();
        }
    }

    /// Waits before the next attempt. Returns false, and does not wait, if the deadline would pass.
    pub(crate) async fn wait(&mut self) -> bool {
        let delay = self.next_delay();
        if self.deadline.is_some_and(|deadline| Instant::now() + delay >= deadline) {
            return false;
        }
        sleep(delay).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_longest_and_no_further() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(50), ms(200));
        for base in [50, 100, 200, 200, 200] {
            let delay = backoff.next_delay();
            assert!((ms(base)..=ms(2 * base)).contains(&delay), "{base}: {delay:?}");
        }
        backoff.reset();
        assert!(backoff.next_delay() <= ms(100));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_stops_at_the_deadline() {
        let start = Instant::now();
        let mut backoff = Backoff::within(Duration::from_secs(1));
        let mut waits = 0;
        while backoff.wait().await {
            waits += 1;
        }
        assert!(waits >= 10, "{waits}");
        assert!(start.elapsed() <= Duration::from_secs(1));
    }
}
