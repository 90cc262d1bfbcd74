//! The dead letters of signals.

use super::{Finding, finding, number};
use crate::{
    check::{Kind::Wrong, Violation},
    program::Token,
    runs::Sent,
};
use jetway_engine::backend::BackendError;
use jetway_nats::{
    NatsBackend,
    faults::{FoundLetter, dead_letters},
};
use jetway_state::value;
use std::collections::{BTreeMap, BTreeSet};

/// Why a run had no use for a signal that it had accepted.
pub(super) const NEVER_TAKEN: &str = "never_taken";

/// Why a run did not take a signal.
pub(super) const RUN_ENDED: &str = "run_ended";

/// The dead letters of signals, by number.
#[derive(Debug, Default)]
pub(in crate::check) struct Letters {
    reasons: BTreeMap<u64, Vec<String>>,
    unknown: Vec<String>,
}

impl Letters {
    /// The reasons, as they are named in a summary.
    pub(super) const REASONS: [&'static str; 3] =
        ["signals refused: run_ended", "signals refused: bad_payload", "signals refused: unknown_signal"];

    /// Whether a kind of dead letter, `workflow.why`, is one of signals.
    pub(in crate::check) fn is_of_signals(key: &str) -> bool {
        let why = key.strip_prefix("interpreter.").unwrap_or_default();
        [NEVER_TAKEN, RUN_ENDED, "bad_payload", "unknown_signal"].contains(&why)
    }

    /// Reads all dead letters of signals.
    pub(super) async fn read(backend: &NatsBackend) -> Result<Self, BackendError> {
        let mut letters = Self::default();
        for FoundLetter { key, payload } in dead_letters(backend).await? {
            if !Self::is_of_signals(&key) {
                continue;
            }
            let why = key.rsplit('.').next().unwrap_or_default();
            let number = match why {
                NEVER_TAKEN => value::read::<Token>(&payload, &"a signal").ok().map(|token| token.number),
                _ => number(&payload),
            };
            match number {
                Some(number) => letters.reasons.entry(number).or_default().push(why.to_owned()),
                None => letters.unknown.push(format!("{key}: {}", String::from_utf8_lossy(&payload))),
            }
        }
        Ok(letters)
    }

    /// The reasons of the dead letters of a signal.
    pub(super) fn of(&self, number: u64) -> &[String] {
        self.reasons.get(&number).map_or(&[], Vec::as_slice)
    }

    /// Checks that each dead letter is that of a signal which was sent.
    pub(super) fn check_known(&self, sent: &[Sent]) -> Vec<Finding> {
        let known: BTreeSet<u64> = sent.iter().map(|sent| sent.number).collect();
        let others = self.reasons.keys().filter(|number| !known.contains(number));
        let others =
            others.map(|number| format!("a dead letter has the number {number}, which nobody has sent"));
        let unknown = self.unknown.iter().map(|letter| format!("a dead letter has no number: {letter}"));
        others.chain(unknown).map(|what| finding(None, Violation::new(Wrong, what))).collect()
    }

    /// How many there are of each reason.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let count = |why: &str| self.reasons.values().flatten().filter(|other| *other == why).count() as u64;
        let refused = Self::REASONS.map(|name| (name, count(name.rsplit(' ').next().unwrap_or_default())));
        refused.into_iter().chain([("signals never taken", count(NEVER_TAKEN))])
    }

    #[cfg(test)]
    pub(super) fn with(reasons: &[(u64, &str)]) -> Self {
        let mut letters = Self::default();
        for (number, why) in reasons {
            letters.reasons.entry(*number).or_default().push((*why).to_owned());
        }
        letters
    }
}
