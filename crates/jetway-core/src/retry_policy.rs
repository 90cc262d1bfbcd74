//! [`RetryPolicy`]: which failed attempts are made again, and after which delay.

use jetway_state::Error;
use std::time::Duration;

/// How delays grow from attempt to attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackoffStrategy {
    /// Once, twice, three times the first delay.
    Linear,
    /// Once, twice, four times the first delay.
    Exponential,
}

/// Which errors are retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryError {
    /// All errors but [`Error::Terminal`].
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
        if matches!(error, Error::Terminal(_)) {
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
    /// The longest delay, including jitter.
    pub max_backoff: Duration,
    /// How delays grow.
    pub strategy: BackoffStrategy,
    /// The most that is added to a delay at random, so that nodes that failed together are not retried together.
    pub jitter: Option<Duration>,
    /// Which errors are retried.
    pub retry_error: RetryError,
}

impl RetryPolicy {
    /// A policy without jitter.
    pub fn new(
        max_attempts: usize,
        initial_backoff: Duration,
        max_backoff: Duration,
        strategy: BackoffStrategy,
        retry_error: RetryError,
    ) -> Self {
        Self { max_attempts, initial_backoff, max_backoff, strategy, jitter: None, retry_error }
    }

    /// The same policy, with up to `jitter` added to each delay at random.
    #[must_use]
    pub fn with_jitter(mut self, jitter: Duration) -> Self {
        self.jitter = Some(jitter);
        self
    }

    /// Whether to retry after attempt number `attempt` (from 1) failed with `error`.
    pub fn should_retry(&self, error: &Error, attempt: usize) -> bool {
        attempt < self.max_attempts && self.retry_error.covers(error)
    }

    /// The delay after attempt number `attempt` (from 1) failed with `error`; `None` if it is not retried. A node that says when to
    /// try again is not tried earlier.
    pub fn delay(&self, error: &Error, attempt: usize) -> Option<Duration> {
        let delay = self.should_retry(error, attempt).then(|| self.backoff_duration(attempt))?;
        Some(delay.max(error.retry_after().unwrap_or_default()))
    }

    /// The delay after attempt number `attempt` (from 1).
    pub fn backoff_duration(&self, attempt: usize) -> Duration {
        let factor = match self.strategy {
            BackoffStrategy::Linear => u32::try_from(attempt).unwrap_or(u32::MAX).max(1),
            BackoffStrategy::Exponential => {
                let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
                1_u32.checked_shl(doublings).unwrap_or(u32::MAX)
            }
        };
        let jitter = self.jitter.map_or(Duration::ZERO, |most| most.mul_f64(rand::random()));
        self.initial_backoff.saturating_mul(factor).saturating_add(jitter).min(self.max_backoff)
    }
}
