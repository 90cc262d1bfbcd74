//! [`RetryPolicy`]: which failed attempts are made again, and after which delay.

mod check;
mod decide;
mod names;

#[cfg(test)]
mod tests;

pub use check::BadPolicy;
pub(crate) use decide::{Decision, FailedAttempt, NoMore, decide};

use jetway_state::Error;
use std::time::Duration;

/// How delays grow from attempt to attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackoffStrategy {
    /// Once, twice, three times the first delay.
    Linear,
    /// Once, twice, four times the first delay; or as the coefficient of the policy says.
    Exponential,
}

/// What happens to an item when no attempt is left, and no `on_failure` edge handles the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Exhausted {
    /// The run fails.
    #[default]
    Fail,
    /// The item waits for a person, who asks for another attempt (`jetway retry`). The other items of its run go on. On hosts alone:
    /// elsewhere the run fails.
    Pause,
}

/// Which errors are retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryError {
    /// All errors but [`Error::Terminal`] and [`Error::NotDoneWithin`].
    All,
    /// [`Error::Cancelled`].
    Cancelled,
    /// [`Error::Timeout`].
    Timeout,
    /// Errors of the node itself: all but [`Error::Cancelled`], [`Error::Timeout`], [`Error::NotStarted`],
    /// [`Error::AlreadyCompleted`] and [`Error::Terminal`].
    Generic,
}

impl RetryError {
    fn covers(self, error: &Error) -> bool {
        // What would fail again, and what has no time for another attempt.
        if matches!(error, Error::Terminal(_) | Error::NotDoneWithin { .. }) {
            return false;
        }
        match self {
            Self::All => true,
            Self::Cancelled => matches!(error, Error::Cancelled),
            Self::Timeout => matches!(error, Error::Timeout(_)),
            Self::Generic => !matches!(
                error,
                Error::Cancelled | Error::Timeout(_) | Error::NotStarted | Error::AlreadyCompleted
            ),
        }
    }
}

/// Which failed attempts are retried, and after which delay.
///
/// ```
/// use jetway_core::{Error, retry::{BackoffStrategy, RetryError, RetryPolicy}};
/// use std::time::Duration;
///
/// let ms = Duration::from_millis;
/// let policy = RetryPolicy::new(4, ms(100), ms(300), BackoffStrategy::Exponential, RetryError::Generic);
/// let delays: Vec<_> = (1..=3).map(|attempt| policy.backoff_duration(attempt)).collect();
/// assert_eq!(delays, [ms(100), ms(200), ms(300)]);
/// assert!(policy.should_retry(&Error::Generic("busy".to_owned()), 3));
/// assert!(!policy.should_retry(&Error::Generic("busy".to_owned()), 4));
/// assert!(!policy.should_retry(&Error::Timeout(ms(1)), 1));
/// ```
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// The most attempts, including the first one.
    pub max_attempts: usize,
    /// The delay after the first attempt.
    pub initial_backoff: Duration,
    /// The longest delay, including jitter. A node that says when to try again may ask for a longer one.
    pub max_backoff: Duration,
    /// How delays grow.
    pub strategy: BackoffStrategy,
    /// The most that is added to a delay at random, so that nodes that failed together are not retried together.
    pub jitter: Option<Duration>,
    /// Which errors are retried.
    pub retry_error: RetryError,
    /// How many times longer each delay is than the one before it, if it is not twice. At least 1. See
    /// [`coefficient`](Self::coefficient).
    pub coefficient: Option<f64>,
    /// The longest time from the begin of the first attempt to the begin of the last one.
    pub total_time: Option<Duration>,
    /// Names of errors that are never retried. See [`never`](Self::never).
    pub never: Vec<String>,
    /// What happens when no attempt is left.
    pub exhausted: Exhausted,
}

impl RetryPolicy {
    /// A policy for most calls of other systems: all errors are retried, after 1, 2, 4 seconds, and so on, up to an hour.
    ///
    /// ```
    /// use jetway_core::{Exhausted, retry::RetryPolicy};
    /// use std::time::Duration;
    ///
    /// let policy = RetryPolicy::attempts(10)
    ///     .first(Duration::from_millis(200))
    ///     .coefficient(1.5)
    ///     .total_time(Duration::from_secs(600))
    ///     .never(["BadCard"])
    ///     .exhausted(Exhausted::Pause);
    /// assert_eq!(policy.backoff_duration(3), Duration::from_millis(450));
    /// ```
    pub fn attempts(attempts: usize) -> Self {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(3600));
        Self::new(attempts, first, longest, BackoffStrategy::Exponential, RetryError::All)
    }

    /// A policy without jitter.
    pub fn new(
        max_attempts: usize,
        initial_backoff: Duration,
        max_backoff: Duration,
        strategy: BackoffStrategy,
        retry_error: RetryError,
    ) -> Self {
        Self {
            max_attempts,
            initial_backoff,
            max_backoff,
            strategy,
            jitter: None,
            retry_error,
            coefficient: None,
            total_time: None,
            never: Vec::new(),
            exhausted: Exhausted::Fail,
        }
    }

    /// The same policy, with up to `jitter` added to each delay at random.
    #[must_use]
    pub fn with_jitter(mut self, jitter: Duration) -> Self {
        self.jitter = Some(jitter);
        self
    }

    /// The same policy, with this delay after the first attempt.
    #[must_use]
    pub fn first(mut self, delay: Duration) -> Self {
        self.initial_backoff = delay;
        self
    }

    /// The same policy, with delays of at most this.
    #[must_use]
    pub fn longest(mut self, delay: Duration) -> Self {
        self.max_backoff = delay;
        self
    }

    /// The same policy, with delays that grow by this factor. Below 1, or not a number, it is refused where the host is built, and
    /// where a run in memory begins.
    #[must_use]
    pub fn coefficient(mut self, coefficient: f64) -> Self {
        (self.strategy, self.coefficient) = (BackoffStrategy::Exponential, Some(coefficient));
        self
    }

    /// The same policy, with no attempt that begins later than this after the first one. A step whose next attempt would begin later
    /// fails at once, with its own error.
    #[must_use]
    pub fn total_time(mut self, limit: Duration) -> Self {
        self.total_time = Some(limit);
        self
    }

    /// The same policy, which never retries these errors. A name is the [kind](Error::kind) of an error, or the type of the error that
    /// a node passes to [`Error::caused_by`]: its full path, such as `shop::card::BadCard`, or the last parts of it.
    /// [`never_of`](Self::never_of) has the compiler check the name.
    #[must_use]
    pub fn never<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.never.extend(names.into_iter().map(Into::into));
        self
    }

    /// The same policy, which never retries an error of this type. See [`never`](Self::never).
    #[must_use]
    pub fn never_of<E: std::error::Error>(self) -> Self {
        self.never([std::any::type_name::<E>()])
    }

    /// The same policy, with another end when no attempt is left.
    #[must_use]
    pub fn exhausted(mut self, exhausted: Exhausted) -> Self {
        self.exhausted = exhausted;
        self
    }

    /// Whether to retry after attempt number `attempt` (from 1) failed with `error`.
    pub fn should_retry(&self, error: &Error, attempt: usize) -> bool {
        attempt < self.max_attempts && self.covers(error)
    }

    /// Whether the policy retries the error at all.
    fn covers(&self, error: &Error) -> bool {
        self.retry_error.covers(error) && !self.never.iter().any(|name| names::names(name, error))
    }

    /// The delay after attempt number `attempt` (from 1) failed with `error`; `None` if it is not retried. A node that says when to
    /// try again is not tried earlier.
    pub fn delay(&self, error: &Error, attempt: usize) -> Option<Duration> {
        self.should_retry(error, attempt).then(|| self.delay_by(error, attempt, rand::random()))
    }

    /// The delay after attempt number `attempt` (from 1).
    pub fn backoff_duration(&self, attempt: usize) -> Duration {
        self.backoff_by(attempt, rand::random())
    }

    /// The delay, with a share of the jitter from 0 to 1. What the node asks for is the least, however long it is, and those that
    /// asked for the same are not retried together.
    fn delay_by(&self, error: &Error, attempt: usize, chance: f64) -> Duration {
        let backoff = self.backoff_by(attempt, chance);
        match error.retry_after() {
            Some(asked) if asked > backoff => asked.saturating_add(self.jitter_by(chance)),
            _ => backoff,
        }
    }

    fn backoff_by(&self, attempt: usize, chance: f64) -> Duration {
        let times = attempt.max(1);
        let grown = match (self.strategy, self.coefficient) {
            (BackoffStrategy::Linear, _) => {
                self.initial_backoff.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX))
            }
            (BackoffStrategy::Exponential, coefficient) => {
                grown(self.initial_backoff, coefficient.unwrap_or(2.0), times - 1)
            }
        };
        grown.saturating_add(self.jitter_by(chance)).min(self.max_backoff)
    }

    fn jitter_by(&self, chance: f64) -> Duration {
        self.jitter.map_or(Duration::ZERO, |most| scaled(most, chance))
    }
}

/// The first delay, `times` times multiplied. It saturates.
fn grown(first: Duration, coefficient: f64, times: usize) -> Duration {
    scaled(first, coefficient.powi(i32::try_from(times).unwrap_or(i32::MAX)))
}

/// A multiple that saturates.
fn scaled(duration: Duration, factor: f64) -> Duration {
    if duration.is_zero() {
        return Duration::ZERO;
    }
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}
