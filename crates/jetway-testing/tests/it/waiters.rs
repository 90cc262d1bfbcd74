//! Those who wait for a time of the test's clock.

use super::DEADLINE;
use jetway_core::clock::Clock as _;
use jetway_testing::TestClock;
use std::time::Duration;
use tokio::time::timeout;

/// Waits until somebody waits for the time that is so far away, and for none before it.
pub(super) async fn waits_for(clock: &TestClock, wait: Duration) {
    let waits = async {
        while clock.next_waiter().await.since(clock.now()) != wait {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, waits).await.unwrap();
}
