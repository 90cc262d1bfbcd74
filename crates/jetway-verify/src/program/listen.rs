//! How a node waits for signals.

use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// The names of the signals that programs wait for.
pub const SIGNALS: [&str; 3] = ["red", "green", "blue"];

/// The payload of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Each signal of a phase has another number.
    pub number: u64,
}

/// A wait for signals.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listen {
    /// The positions of their names in [`SIGNALS`], each once.
    pub names: Vec<u8>,
    /// Whether it waits for one signal of each name. Otherwise the first signal is enough.
    pub all: bool,
    /// How long it waits; `None` for ever.
    pub deadline: Option<Deadline>,
}

/// The deadline of a wait for signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Deadline {
    /// This many milliseconds after the wait begins.
    Within(u16),
    /// At a time: this many milliseconds after the time that the step before sees.
    Until(u16),
}

impl Listen {
    /// The name of the step before the wait.
    pub fn step(&self) -> &'static str {
        match self {
            Self { names, .. } if names.len() == 1 => "listen-one",
            Self { all: true, .. } => "listen-all",
            Self { .. } => "listen-first",
        }
    }

    /// The names of the signals.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.names.iter().map(|name| SIGNALS[usize::from(*name) % SIGNALS.len()])
    }

    /// The deadline, as the step before the wait sees it. A wait within a time begins later, so its deadline is not before that.
    pub(crate) fn due(&self, now: SystemTime) -> Option<SystemTime> {
        self.deadline.map(|deadline| now + deadline.duration())
    }

    /// The names of the signals, if these can be an answer to the wait.
    pub(crate) fn is_answered_by<'a>(&self, answer: impl Iterator<Item = &'a str>) -> bool {
        let mut got: Vec<&str> = answer.collect();
        let mut wanted: Vec<&str> = self.names().collect();
        got.sort_unstable();
        wanted.sort_unstable();
        match self.all {
            true => got == wanted,
            false => got.len() == 1 && wanted.contains(&got[0]),
        }
    }
}

impl Deadline {
    pub(crate) fn duration(self) -> Duration {
        match self {
            Self::Within(millis) | Self::Until(millis) => Duration::from_millis(millis.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_one_signal_or_one_of_each_name() {
        let of = |all| Listen { names: vec![2, 0], all, deadline: None };
        let fits = |all, names: &[&str]| of(all).is_answered_by(names.iter().copied());
        assert!(fits(false, &["red"]) && fits(false, &["blue"]) && fits(true, &["red", "blue"]));
        assert!(!fits(false, &["red", "blue"]) && !fits(false, &["green"]) && !fits(false, &[]));
        assert!(!fits(true, &["red"]) && !fits(true, &["red", "red"]));
        assert_eq!([of(true).step(), of(false).step()], ["listen-all", "listen-first"]);
    }
}
