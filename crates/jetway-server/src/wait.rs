//! Waiting for a condition with a deadline: the only place that lets time pass.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// The first pause between two looks at a condition; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// A condition did not hold within its deadline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("waited {deadline:?} in vain until {what}")]
pub struct WaitError {
    /// What was waited for.
    pub what: String,
    /// How long.
    pub deadline: Duration,
}

/// What one look at a condition finds: `bool`, or an `Option` with the value that was waited for.
pub trait Finding {
    /// What the wait returns.
    type Value;

    /// The value, once the condition holds.
    fn met(self) -> Option<Self::Value>;
}

impl Finding for bool {
    type Value = ();

    fn met(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Finding for Option<T> {
    type Value = T;

    fn met(self) -> Self {
        self
    }
}

/// Waits until `condition` holds and returns what it found. `what` completes the sentence "waited until ...".
///
/// The condition is looked at again and again with short pauses. A look that itself takes longer than the deadline is cut
/// off.
///
/// # Errors
/// The deadline has passed.
pub async fn try_wait_until<O, F>(
    what: &str,
    deadline: Duration,
    mut condition: F,
) -> Result<O::Value, WaitError>
where
    O: Finding,
    F: AsyncFnMut() -> O,
{
    let end = Instant::now() + deadline;
    let looks = async {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(value) = condition().await.met() {
                return value;
            }
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    };
    timeout_at(end, looks).await.map_err(|_elapsed| WaitError { what: what.to_owned(), deadline })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_value_that_was_waited_for_is_returned() {
        let mut looks = 0;
        let value = try_wait_until("three looks were taken", Duration::from_secs(5), async || {
            looks += 1;
            (looks == 3).then_some("found")
        })
        .await
        .unwrap();
        assert_eq!((value, looks), ("found", 3));
    }

    #[tokio::test]
    async fn a_condition_that_holds_at_once_does_not_wait() {
        try_wait_until("nothing", Duration::ZERO, async || true).await.unwrap();
    }

    #[tokio::test]
    async fn the_deadline_is_an_error_that_says_what_was_missed() {
        let deadline = Duration::from_millis(30);
        let error = try_wait_until("pigs fly", deadline, async || false).await.unwrap_err();
        assert_eq!(error, WaitError { what: "pigs fly".to_owned(), deadline });
        assert_eq!(error.to_string(), "waited 30ms in vain until pigs fly");
    }

    #[tokio::test]
    async fn a_look_that_hangs_is_cut_off() {
        let hanging = async || std::future::pending::<bool>().await;
        assert!(try_wait_until("the end", Duration::from_millis(30), hanging).await.is_err());
    }
}
