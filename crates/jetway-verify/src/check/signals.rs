//! Checks the signals: each that a run has accepted is taken once, or is left over when the run ends, and then it is a dead letter.
//! Each that is refused is a dead letter, with the right reason.

mod answers;
mod letters;
mod taken;

pub(super) use letters::Letters;

use super::{Finding, Kind::Wrong, Report, Violation, report::Evidence};
use crate::{
    program::Token,
    runs::{Flaw, Moment, Sent, Way},
};
use answers::{check_answers, check_order};
use jetway_engine::backend::BackendError;
use jetway_state::run::Snapshot;
use std::collections::BTreeMap;
use taken::{Places, check_signal};

/// The ways to send signals, in a summary.
const SIGNALS: [&str; 8] = [
    "signals sent as messages",
    "signals sent as requests",
    "signals sent twice with one id",
    "signals sent before the run existed",
    "signals sent after the run ended",
    "signals with a wrong payload",
    "signals with an unknown name",
    "signals never taken",
];

/// The counters of signals, all zero.
pub(super) fn counters() -> impl Iterator<Item = &'static str> {
    SIGNALS.into_iter().chain(Letters::REASONS)
}

impl Report {
    /// Checks the signals of all runs, when none is left over that hosts have not processed.
    pub(super) async fn check_signals(
        &mut self,
        evidence: &Evidence<'_>,
        snapshots: &BTreeMap<String, Snapshot>,
    ) -> Result<(), BackendError> {
        let letters = Letters::read(evidence.backend).await?;
        let sent = evidence.runs.sent.all();
        self.count_signals(&sent, &letters);
        self.findings.extend(letters.check_known(&sent));
        let mut by_run: BTreeMap<&str, Vec<&Sent>> = BTreeMap::new();
        for call in &sent {
            by_run.entry(&call.run).or_default().push(call);
        }
        for run in evidence.runs.started().keys() {
            // One that does not exist is reported by another check.
            let Some(snapshot) = snapshots.get(run) else { continue };
            let calls = by_run.remove(run.as_str()).unwrap_or_default();
            match Places::of(snapshot) {
                // A run that ended just after it had continued as new does not say what it has taken before.
                Ok(places) if !places.is_whole => {}
                Ok(places) => self.add_all(run, check_run(&places, &calls, &letters)),
                Err(what) => self.add(Some(run), Wrong, what),
            }
        }
        Ok(())
    }

    fn count_signals(&mut self, sent: &[Sent], letters: &Letters) {
        let mut times: BTreeMap<u64, u64> = BTreeMap::new();
        for call in sent {
            let way = match call.way {
                Way::Message => SIGNALS[0],
                Way::Request => SIGNALS[1],
            };
            let moment = match call.moment {
                Moment::Before => Some(SIGNALS[3]),
                Moment::During => None,
                Moment::After => Some(SIGNALS[4]),
            };
            let flaw = call.flaw.map(|flaw| match flaw {
                Flaw::Payload => SIGNALS[5],
                Flaw::Name => SIGNALS[6],
            });
            let calls = times.entry(call.number).or_default();
            *calls += 1;
            let twice = (*calls == 2).then_some(SIGNALS[2]);
            for name in [Some(way), moment, flaw, twice].into_iter().flatten() {
                self.count(name, 1);
            }
        }
        for (reason, count) in letters.counts() {
            self.count(reason, count);
        }
    }
}

/// The violations of one run.
fn check_run(places: &Places, calls: &[&Sent], letters: &Letters) -> Vec<Violation> {
    let mut found = check_answers(places, calls);
    let mut by_number: BTreeMap<u64, Vec<&Sent>> = BTreeMap::new();
    for call in calls {
        by_number.entry(call.number).or_default().push(call);
    }
    for (number, calls) in &by_number {
        found.extend(check_signal(*number, calls, places, letters));
    }
    found.extend(check_order(places, &by_number));
    found
}

/// The number in a payload; `None` if it is no token.
fn number(json: &[u8]) -> Option<u64> {
    let token = || serde_json::from_slice::<Token>(json).ok().map(|token| token.number);
    // That of another type has its number as a text.
    let flawed = || serde_json::from_slice::<serde_json::Value>(json).ok()?["number"].as_str()?.parse().ok();
    token().or_else(flawed)
}

fn finding(run: Option<&str>, violation: Violation) -> Finding {
    Finding { run: run.map(str::to_owned), violation }
}
