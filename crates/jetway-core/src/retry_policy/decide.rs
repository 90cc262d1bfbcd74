//! The rule that decides about a failed attempt. It is pure: time and chance are passed in.

use super::{Exhausted, RetryPolicy};
use jetway_state::{Error, Rounded, Timestamp, run::MAX_WAIT};
use std::{fmt, time::Duration};

/// A failed attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailedAttempt<'a> {
    /// Its error.
    pub(crate) error: &'a Error,
    /// How many attempts have failed, with this one.
    pub(crate) failures: u32,
    /// When the first of them began.
    pub(crate) first_at: Timestamp,
    /// The time.
    pub(crate) now: Timestamp,
    /// The time by which the step has to be done, if there is one.
    pub(crate) until: Option<Timestamp>,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Another attempt, after this delay.
    Again(Duration),
    /// None: the step fails.
    Fail(NoMore),
    /// None, unless a person asks for another one. Where an `on_failure` edge handles the error, it is taken in place of that.
    Pause(NoMore),
}

/// Why there is no other attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoMore {
    /// The error is not retried, or all attempts are made.
    Attempts,
    /// The next attempt would begin later than the total time of the policy allows.
    NoTime {
        /// When it would begin, from the begin of the first one.
        next: Duration,
        /// The total time.
        limit: Duration,
    },
    /// The step would not be done in time (`within`).
    TooLate,
    /// The next attempt would begin in more than 100 years. The step fails, whatever the policy says about its end.
    OutOfRange,
}

/// Decides about a failed attempt. `chance` is a number from 0 to 1, for the jitter.
pub(crate) fn decide(policy: Option<&RetryPolicy>, failed: &FailedAttempt<'_>, chance: f64) -> Decision {
    let FailedAttempt { error, failures, first_at, now, until } = *failed;
    let ended = |why| match policy.map(|policy| policy.exhausted) {
        Some(Exhausted::Pause) => Decision::Pause(why),
        Some(Exhausted::Fail) | None => Decision::Fail(why),
    };
    if matches!(error, Error::NotDoneWithin { .. }) {
        return ended(NoMore::TooLate);
    }
    let Some(policy) = policy.filter(|policy| policy.covers(error)) else {
        return Decision::Fail(NoMore::Attempts);
    };
    let number = usize::try_from(failures).unwrap_or(usize::MAX).max(1);
    if number >= policy.max_attempts {
        return ended(NoMore::Attempts);
    }
    let delay = policy.delay_by(error, number, chance);
    let next = now.since(first_at).saturating_add(delay);
    if let Some(limit) = policy.total_time.filter(|limit| next > *limit) {
        return ended(NoMore::NoTime { next, limit });
    }
    if until.is_some_and(|until| now.after(delay) >= until) {
        return ended(NoMore::TooLate);
    }
    if delay > MAX_WAIT {
        return Decision::Fail(NoMore::OutOfRange);
    }
    Decision::Again(delay)
}

/// The sentence that follows the error of the step.
impl fmt::Display for NoMore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempts => f.write_str("no attempt is left"),
            Self::NoTime { next, limit } => {
                let (next, limit) = (Seconds(*next), Seconds(*limit));
                write!(f, "no_time_for_retry: next attempt at {next}, limit {limit}")
            }
            Self::OutOfRange => Error::TimeOutOfRange.fmt(f),
            Self::TooLate => f.write_str("no_time_for_retry: the step would not be done in time"),
        }
    }
}

/// Whole seconds as such, other times as usual.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.subsec_nanos() {
            0 => write!(f, "{} s", self.0.as_secs()),
            _ => Rounded(self.0).fmt(f),
        }
    }
}
