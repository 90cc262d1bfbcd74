//! Waiting for a condition with a deadline, in tests.

use std::panic::Location;
use std::time::Duration;

use jetway_server::{Finding, try_wait_until};

/// Waits until `condition` holds and returns what it found. `what` completes the sentence "waited until ...".
///
/// The condition is looked at again and again with short pauses. A look that itself takes longer than the deadline is cut
/// off.
///
/// # Panics
///
/// When the deadline has passed; the message says what was waited for, and where. Use [`try_wait_until`] to go on.
#[track_caller]
pub fn wait_until<O, F>(what: &str, deadline: Duration, condition: F) -> impl Future<Output = O::Value>
where
    O: Finding,
    F: AsyncFnMut() -> O,
{
    let caller = Location::caller();
    async move {
        match try_wait_until(what, deadline, condition).await {
            Ok(value) => value,
            Err(error) => panic!("{error} (at {caller})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "in vain until pigs fly (at ")]
    async fn the_panic_says_what_was_missed() {
        wait_until("pigs fly", Duration::from_millis(10), async || None::<()>).await;
    }
}
