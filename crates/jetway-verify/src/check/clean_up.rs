//! Checks the clean-up of cancelled runs: once for each item that was open, and nothing else afterwards.
//!
//! The committed steps say which items were open, by the order that the model knows. There is one more rule for what a step opens that
//! was committed after the first clean-up: the run was cancelled by then, so it may not even begin.

use super::{
    Kind::{Doubled, Lost, Wrong},
    Observed, Violation,
    order::{is_clean_up, places},
};
use crate::{
    interpreter::{Entry, UNDO, WIPE},
    program::BranchOutput,
    reference_model::{Expected, Opening},
};
use jetway::client::Status;
use jetway_state::run::CancelReason;
use std::collections::{BTreeMap, BTreeSet};

/// The clean-up of a run, and what it cleaned up after.
struct CleanUp<'a> {
    expected: &'a Expected,
    /// How often each step was cleaned up after.
    undone: BTreeMap<&'a str, u64>,
    /// How often the clean-up after each step was completed.
    wiped: BTreeMap<&'a str, u64>,
    /// The steps of the program.
    committed: BTreeSet<&'a str>,
}

/// Checks the clean-up of a run.
pub(super) fn check(expected: &Expected, observed: &Observed) -> Vec<Violation> {
    let trail = &observed.ledger.trail;
    let ends_late = observed.status == Status::Failed && observed.is_past_deadline();
    if !matches!(observed.status, Status::Cancelling | Status::Cancelled) && !ends_late {
        let first = trail.iter().find(|entry| is_clean_up(entry));
        let what = |entry: &Entry| {
            format!("the run is {}, and has the clean-up step {:?}", observed.status, entry.step)
        };
        return first.map(|entry| Violation::new(Wrong, what(entry))).into_iter().collect();
    }
    let clean_up = CleanUp {
        expected,
        undone: count(trail, UNDO),
        wiped: count(trail, WIPE),
        committed: places(trail).into_keys().collect(),
    };
    let is_complete = match observed.status {
        Status::Cancelled => observed.cancel == Some(CancelReason::Requested),
        Status::Failed => observed.cancel == Some(CancelReason::Deadline),
        _ => false,
    };
    let mut found = clean_up.check_names();
    found.extend(check_items(trail));
    for opening in &expected.openings {
        found.extend(clean_up.check_opening(opening, is_complete));
    }
    if is_complete {
        let half = clean_up.undone.keys().filter(|step| !clean_up.wiped.contains_key(*step));
        found.extend(
            half.map(|step| Violation::new(Lost, format!("the clean-up after {step:?} was not completed"))),
        );
    }
    found
}

/// How often the clean-up after each step has got so far.
fn count<'a>(trail: &'a [Entry], prefix: &str) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    for step in trail.iter().filter_map(|entry| entry.step.strip_prefix(prefix)) {
        *counts.entry(step).or_default() += 1;
    }
    counts
}

/// Checks that no item was cleaned up twice.
fn check_items(trail: &[Entry]) -> Vec<Violation> {
    let mut seen = BTreeSet::new();
    let twice = trail.iter().filter(|entry| is_clean_up(entry)).filter(|entry| !seen.insert(&entry.item));
    twice
        .map(|entry| {
            Violation::new(Doubled, format!("item {:?} of a clean-up was committed twice", entry.item))
        })
        .collect()
}

impl CleanUp<'_> {
    fn check_names(&self) -> Vec<Violation> {
        // All joins without a branch have one name.
        let nothing = BranchOutput::of_empty_join().path;
        let known: BTreeSet<&str> =
            self.expected.openings.iter().flat_map(|opening| &opening.steps).map(String::as_str).collect();
        let mut found = Vec::new();
        for (step, times) in self.undone.iter().filter(|(step, _)| **step != nothing) {
            if !known.contains(step) {
                found.push(Violation::new(
                    Wrong,
                    format!("{step:?} was cleaned up and is not in the program"),
                ));
            }
            if *times > 1 {
                found.push(Violation::new(Doubled, format!("{step:?} was cleaned up {times} times")));
            }
        }
        for (step, times) in &self.wiped {
            let undone = self.undone.get(step).copied().unwrap_or_default();
            if *times > undone {
                let what =
                    format!("the clean-up after {step:?} began {undone} times and ended {times} times");
                found.push(Violation::new(Doubled, what));
            }
        }
        found
    }

    /// `is_complete`: the clean-up had the time that it needed.
    fn check_opening(&self, opening: &Opening, is_complete: bool) -> Option<Violation> {
        let Opening { after, steps, arrivals } = opening;
        let name = steps.last()?;
        let is_committed = |step: &String| self.committed.contains(step.as_str());
        let undone: u64 = steps.iter().filter_map(|step| self.undone.get(step.as_str())).sum();
        // A join is open when the other branches have ended, and its values with it.
        let was_open = match arrivals {
            Some(arrivals) => arrivals.iter().any(is_committed),
            None => after.iter().all(is_committed),
        };
        match (is_committed(name), undone) {
            (true, 1..) => {
                Some(Violation::new(Wrong, format!("{name:?} was committed, and cleaned up after")))
            }
            (false, 1..) if !was_open => {
                Some(Violation::new(Wrong, format!("{name:?} was cleaned up after, but was not open")))
            }
            (false, 0) if was_open && is_complete => Some(Violation::new(
                Lost,
                format!("{name:?} was open when the run was cancelled, and was not cleaned up"),
            )),
            _ => None,
        }
    }
}

/// Checks that nothing has begun that was opened after the cancel. `executed`: the steps that hosts have begun.
pub(super) fn check_executed(
    expected: &Expected,
    trail: &[Entry],
    executed: &BTreeSet<&str>,
) -> Vec<Violation> {
    let Some(first) = trail.iter().position(is_clean_up) else { return Vec::new() };
    let late: BTreeSet<&str> =
        trail[first..].iter().filter(|entry| !is_clean_up(entry)).map(|entry| entry.step.as_str()).collect();
    let opened_late = |opening: &&Opening| opening.after.iter().any(|step| late.contains(step.as_str()));
    let begun = expected.openings.iter().filter(opened_late).flat_map(|opening| &opening.steps);
    begun
        .filter(|step| executed.contains(step.as_str()))
        .map(|step| {
            Violation::new(
                Wrong,
                format!("{step:?} began, although the run was cancelled before it was open"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        interpreter::PlainLedger,
        program::{Frame, Join, Op},
    };

    fn observed(status: Status, steps: &[&str]) -> Observed {
        let entry = |(item, step): (usize, &&str)| Entry {
            step: (*step).to_owned(),
            item: item.to_string(),
            mark: 1,
        };
        let trail = steps.iter().enumerate().map(entry).collect();
        Observed {
            cancel: Some(CancelReason::Requested),
            ..Observed::with(status, PlainLedger::of(trail, Vec::new(), Vec::new()))
        }
    }

    fn kinds(steps: &[&str]) -> Vec<super::super::Kind> {
        let branches = vec![vec![Op::Bounded], vec![Op::Bounded]];
        let expected = Expected::of(Frame::new(vec![Op::Fan(branches, Join::Gathered)], 1));
        check(&expected, &observed(Status::Cancelled, steps))
            .into_iter()
            .map(|violation| violation.kind)
            .collect()
    }

    #[test]
    fn each_open_item_is_cleaned_up_once() {
        let open = ["next 0", "fan 0", "next 0/0.0"];
        let whole = ["undo bounded 0/0.0", "undo next 0/1.0", "wipe bounded 0/0.0", "wipe next 0/1.0"];
        assert_eq!(kinds(&[&open[..], &whole].concat()), []);
        assert_eq!(kinds(&[&open[..], &whole[..3]].concat()), [Lost]);
        assert_eq!(kinds(&[&open[..], &["undo next 0/1.0", "wipe next 0/1.0"]].concat()), [Lost]);
        assert_eq!(kinds(&[&open[..], &whole, &["undo next 0/1.0"]].concat()), [Doubled]);
        assert_eq!(kinds(&[&open[..], &whole, &["wipe next 0/1.0"]].concat()), [Doubled]);
        assert_eq!(kinds(&[&open[..], &whole, &["undo fan 0", "wipe fan 0"]].concat()), [Wrong]);
        assert_eq!(kinds(&[&open[..], &whole, &["undo next 0/0.1", "wipe next 0/0.1"]].concat()), [Wrong]);
        assert_eq!(kinds(&[&open[..], &whole, &["undo x", "wipe x"]].concat()), [Wrong]);
    }

    #[test]
    fn a_join_is_cleaned_up_if_a_value_has_arrived() {
        let open = [
            "next 0",
            "fan 0",
            "next 0/0.0",
            "bounded 0/0.0",
            "next 0/0.1",
            "undo next 0/1.0",
            "wipe next 0/1.0",
        ];
        assert_eq!(kinds(&open), [Lost]);
        assert_eq!(kinds(&[&open[..], &["undo join 0", "wipe join 0"]].concat()), []);
    }

    #[test]
    fn a_run_that_was_not_cancelled_has_no_clean_up() {
        let expected = Expected::of(Frame::new(vec![Op::Bounded], 1));
        assert_eq!(check(&expected, &observed(Status::Completed, &["next 0", "undo bounded 0"])).len(), 1);
        assert!(check(&expected, &observed(Status::Completed, &["next 0"])).is_empty());
    }

    #[test]
    fn what_a_cancelled_step_opens_may_not_begin() {
        let expected = Expected::of(Frame::new(vec![Op::Bounded, Op::Bounded], 1));
        let ledger = observed(Status::Cancelled, &["next 0", "undo x", "bounded 0", "undo next 1"]).ledger;
        let found = |executed: &[&str]| {
            check_executed(&expected, &ledger.trail, &executed.iter().copied().collect()).len()
        };
        assert_eq!((found(&["next 0", "bounded 0"]), found(&["bounded 0", "next 1"])), (0, 1));
    }
}
