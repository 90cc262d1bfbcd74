//! Checks the time limits of nodes: no step fails before its limit, each fails that exceeds it, and with the right kind.

use super::{
    Kind::{Early, Wrong},
    Observed, Violation,
};
use crate::{interpreter::Late, program::Limit, reference_model::Expected};
use jetway::client::Status;
use std::{collections::BTreeSet, time::Duration};

/// The kind of the error of a step that has exceeded its limit.
const TIMEOUT: &str = "timeout";

/// By how much two clocks that count milliseconds may differ.
const TICKS: Duration = Duration::from_millis(5);

/// How far a host may be behind the time of the server: one whose connection is slow learns it late. A step is ready at the time of
/// one host, and another one looks for how long.
const BEHIND: Duration = Duration::from_millis(400);

/// Checks the steps with limits. `exact_clocks`: the machines of the hosts have one clock.
pub(super) fn check(expected: &Expected, observed: &Observed, exact_clocks: bool) -> Vec<Violation> {
    let ledger = &observed.ledger;
    let mut found: Vec<Violation> =
        ledger.late.iter().filter_map(|late| check_late(late, exact_clocks)).collect();
    // Nodes of a run that is cancelled are asked to stop, and succeed then.
    if matches!(observed.status, Status::Completed | Status::Running | Status::Paused) {
        let late: BTreeSet<&str> = ledger.late.iter().map(|late| late.step.as_str()).collect();
        let in_time = ledger.trail.iter().map(|entry| &entry.step);
        let in_time =
            in_time.filter(|step| expected.overruns.contains(*step) && !late.contains(step.as_str()));
        let what =
            |step| format!("step {step:?} has exceeded its time limit, and was committed as if it had not");
        found.extend(in_time.map(|step| Violation::new(Wrong, what(step))));
    }
    found
}

fn check_late(late: &Late, exact_clocks: bool) -> Option<Violation> {
    let Late { step, limit, kind, message, took, .. } = late;
    if kind != TIMEOUT {
        return Some(Violation::new(Wrong, format!("step {step:?} failed with {kind:?}: {message}")));
    }
    let tolerance = match limit {
        Limit::Timeout | Limit::Heartbeat => TICKS,
        Limit::Within => BEHIND,
    };
    let took = Duration::from_millis(*took);
    let what =
        || format!("step {step:?} failed after {took:?}, and its limit is {:?}: {message}", limit.duration());
    (exact_clocks && took + tolerance < limit.duration()).then(|| Violation::new(Early, what()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        interpreter::{Entry, PlainLedger},
        program::{Frame, Haste, Op},
    };

    fn late(kind: &str, took: u64) -> Late {
        let (step, message) = ("limited 0".to_owned(), String::new());
        Late { step, limit: Limit::Timeout, haste: Haste::Never, kind: kind.to_owned(), message, took }
    }

    #[test]
    fn a_step_that_fails_early_or_otherwise_is_found() {
        assert!(
            check_late(&late(TIMEOUT, 150), true).is_none() && check_late(&late(TIMEOUT, 9), false).is_none()
        );
        assert_eq!(check_late(&late(TIMEOUT, 100), true).map(|violation| violation.kind), Some(Early));
        assert_eq!(check_late(&late("error", 150), true).map(|violation| violation.kind), Some(Wrong));
    }

    #[test]
    fn a_step_that_nobody_stops_is_found() {
        let expected = Expected::of(Frame::new(vec![Op::Limited(Limit::Timeout, Haste::Never)], 1));
        let trail = vec![Entry { step: "limited 0".to_owned(), item: "i".to_owned(), mark: 1 }];
        let found = |late, status| {
            let ledger = PlainLedger::of(trail.clone(), Vec::new(), late);
            let observed = Observed::with(status, ledger);
            check(&expected, &observed, true).len()
        };
        assert_eq!(found(vec![late(TIMEOUT, 150)], Status::Completed), 0);
        assert_eq!(found(Vec::new(), Status::Completed), 1);
        assert_eq!(found(Vec::new(), Status::Cancelled), 0);
    }
}
