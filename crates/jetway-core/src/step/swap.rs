//! Compare-and-swap in a loop, for commits, commands and steps over stores.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use jetway_state::Error;
use std::time::Duration;

/// The most conflicts in a row. An ordinary fan-in has far fewer; more mean that a client misbehaves.
pub const MAX_CONFLICTS: usize = 256;

/// How many conflicts are retried without a delay. Each retry is a read and a write, so it is no busy loop. A writer that
/// waits longer than that loses again to one that never conflicts: two hosts would not share the work of one run.
const RETRIES_WITHOUT_DELAY: usize = 32;

/// The longest delay, before jitter is added. Short, for the same reason.
const MAX_DELAY: Duration = Duration::from_millis(8);

/// The result of one swap.
#[derive(Debug)]
pub enum Swapped<T> {
    /// The new state is written, or there is nothing to write.
    Done(T),
    /// Another writer was first.
    Conflict,
}

/// State that is loaded and replaced by compare-and-swap.
pub trait Swap: Send {
    /// The loaded state, with its revision.
    type State: Send;
    /// The result of a swap that succeeds.
    type Output: Send;
    /// The error of loading and swapping.
    type Error: Send;

    /// Loads the latest state.
    fn load(&mut self) -> impl Future<Output = Result<Self::State, Self::Error>> + Send;

    /// Decides what replaces `state` and writes it, if nobody has written since the load.
    fn swap(
        &mut self,
        state: Self::State,
    ) -> impl Future<Output = Result<Swapped<Self::Output>, Self::Error>> + Send;

    /// The error after this many conflicts in a row.
    fn contended(&self, conflicts: usize) -> Self::Error;
}

/// Loads and swaps until a swap succeeds, at most [`MAX_CONFLICTS`] times, with exponential backoff.
///
/// # Errors
/// The error of loading or swapping, or [`Swap::contended`].
pub async fn swap_until<S: Swap>(mut target: S) -> Result<S::Output, S::Error> {
    jetway_state::hop!("swap_until");
    // Most swaps succeed at once and need no delays.
    let mut delays = None;
    for conflicts in 1..=MAX_CONFLICTS {
        let state = target.load().await?;
        match target.swap(state).await? {
            Swapped::Done(output) => return Ok(output),
            Swapped::Conflict if conflicts <= RETRIES_WITHOUT_DELAY => {}
            // With jitter, so that writers that conflicted once do not conflict again.
            Swapped::Conflict => {
                let delay = delays.get_or_insert_with(backoff).next();
                tokio::time::sleep(delay.unwrap_or_default()).await;
            }
        }
    }
    Err(target.contended(MAX_CONFLICTS))
}

fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(1))
        .with_max_delay(MAX_DELAY)
        .with_max_times(MAX_CONFLICTS)
        .with_jitter()
        .build()
}

/// The error of a run whose snapshot could not be swapped because of conflicts.
pub(crate) fn contended(run: &str, conflicts: usize) -> Error {
    Error::Storage(format!("run {run:?}: {conflicts} write conflicts in a row; try again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loses the first `conflicts` races.
    struct Race {
        conflicts: usize,
        loads: usize,
    }

    impl Swap for Race {
        type State = usize;
        type Output = usize;
        type Error = String;

        async fn load(&mut self) -> Result<usize, String> {
            self.loads += 1;
            Ok(self.loads)
        }

        async fn swap(&mut self, state: usize) -> Result<Swapped<usize>, String> {
            Ok(if state > self.conflicts { Swapped::Done(state) } else { Swapped::Conflict })
        }

        fn contended(&self, conflicts: usize) -> String {
            format!("{conflicts} conflicts")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_conflict_is_retried_on_the_latest_state() {
        assert_eq!(swap_until(Race { conflicts: 99, loads: 0 }).await, Ok(100));
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_conflicts_is_limited() {
        let endless = swap_until(Race { conflicts: usize::MAX, loads: 0 }).await;
        assert_eq!(endless, Err("256 conflicts".to_owned()));
    }
}
