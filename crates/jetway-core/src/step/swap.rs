//! Compare-and-swap until it succeeds: the one loop under commits, commands and steps over stores.

use backon::{BackoffBuilder, ExponentialBuilder};
use std::time::Duration;

/// A run that loses more races than this in a row is under attack or broken; an ordinary fan-in never comes near.
pub const MAX_CONFLICTS: usize = 256;

/// So many conflicts are answered at once: the writer that won is done, and loading again takes a round trip anyway.
const WITHOUT_PAUSE: usize = 3;

/// What came of one turn.
#[derive(Debug)]
pub enum Swapped<T> {
    /// It is written, or there is nothing to write.
    Done(T),
    /// Somebody else wrote first.
    Conflict,
}

/// Something that is loaded, decided about and written by compare-and-swap.
pub trait Swap: Send {
    /// What is loaded.
    type State: Send;
    /// What the whole leads to.
    type Output: Send;
    /// What goes wrong.
    type Error: Send;

    /// Loads the latest state.
    fn load(&mut self) -> impl Future<Output = Result<Self::State, Self::Error>> + Send;

    /// Decides what is to be written over `state`, and writes it once.
    fn swap(
        &mut self,
        state: Self::State,
    ) -> impl Future<Output = Result<Swapped<Self::Output>, Self::Error>> + Send;

    /// The error after so many conflicts in a row.
    fn contended(&self, conflicts: usize) -> Self::Error;
}

/// Loads, decides and swaps until a swap succeeds, at most [`MAX_CONFLICTS`] times.
///
/// # Errors
/// What loading or swapping failed with, or [`Swap::contended`].
pub async fn swap_until<S: Swap>(mut this: S) -> Result<S::Output, S::Error> {
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(1))
        .with_max_delay(Duration::from_millis(50))
        .with_max_times(MAX_CONFLICTS)
        .with_jitter()
        .build();
    for conflicts in 1..=MAX_CONFLICTS {
        let state = this.load().await?;
        match this.swap(state).await? {
            Swapped::Done(output) => return Ok(output),
            Swapped::Conflict if conflicts <= WITHOUT_PAUSE => {}
            // Writers that lost together shall not come back together.
            Swapped::Conflict => tokio::time::sleep(pauses.next().unwrap_or_default()).await,
        }
    }
    Err(this.contended(MAX_CONFLICTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loses the first `conflicts` races.
    struct Race {
        conflicts: usize,
        turns: usize,
    }

    impl Swap for Race {
        type State = usize;
        type Output = usize;
        type Error = String;

        async fn load(&mut self) -> Result<usize, String> {
            self.turns += 1;
            Ok(self.turns)
        }

        async fn swap(&mut self, state: usize) -> Result<Swapped<usize>, String> {
            Ok(if state > self.conflicts { Swapped::Done(state) } else { Swapped::Conflict })
        }

        fn contended(&self, conflicts: usize) -> String {
            format!("{conflicts} conflicts")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_race_is_run_again_on_the_latest_state() {
        assert_eq!(swap_until(Race { conflicts: 9, turns: 0 }).await, Ok(10));
    }

    #[tokio::test(start_paused = true)]
    async fn the_races_have_an_end() {
        let endless = swap_until(Race { conflicts: usize::MAX, turns: 0 }).await;
        assert_eq!(endless, Err("256 conflicts".to_owned()));
    }
}
