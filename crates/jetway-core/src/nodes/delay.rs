//! [`Delay`]: passes its input on after a time.

use crate::{Context, Node, Transition};
use async_trait::async_trait;
use jetway_state::Error;
use std::{fmt, marker::PhantomData, time::Duration};

/// Passes its input on after a time. The run waits without a worker, a slot or a lease, for milliseconds or for years.
///
/// ```
/// use jetway_core::{Delay, Node, Transition};
/// use std::time::Duration;
///
/// let tomorrow: Delay<String> = Delay::new(Duration::from_hours(24));
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
/// let answer = runtime.block_on(tomorrow.process(&(), "remind me".to_owned()));
/// assert_eq!(answer, Ok(Transition::NextAfter(Duration::from_hours(24), "remind me".to_owned())));
/// ```
pub struct Delay<T> {
    duration: Duration,
    value: PhantomData<fn(T) -> T>,
}

impl<T> Delay<T> {
    /// A node that passes its input on after `duration`.
    pub fn new(duration: Duration) -> Self {
        Self { duration, value: PhantomData }
    }
}

impl<T> Clone for Delay<T> {
    fn clone(&self) -> Self {
        Self::new(self.duration)
    }
}

impl<T> fmt::Debug for Delay<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Delay").field(&self.duration).finish()
    }
}

#[async_trait]
impl<C: Context, T: Send + Sync + 'static> Node<C> for Delay<T> {
    type Input = T;
    type Output = T;

    async fn process(&self, _ctx: &C, input: T) -> Result<Transition<T>, Error> {
        Ok(Transition::NextAfter(self.duration, input))
    }
}
