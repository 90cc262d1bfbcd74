//! Checks runs that continue as new: every incarnation ends with the step that continues, and nothing of one is in another.
//!
//! The context begins anew with each incarnation, so the programs carry the former ones along, see
//! [`Interpreter`](crate::interpreter::Interpreter). The first step of an incarnation puts them into its context. Before that step, they
//! are nowhere.

use super::{
    Kind::{Doubled, Lost, Wrong},
    Observed, Violation,
    order::is_clean_up,
};
use crate::{interpreter::Entry, program::incarnation_of, reference_model::Expected};
use jetway::client::Status;

/// The begin of the name of the step that continues as new.
const RENEW: &str = "renew ";

/// Checks a run that the model knows.
pub(super) fn check(expected: &Expected, observed: &Observed) -> Vec<Violation> {
    let mut found = check_record(observed);
    let (continued, most) = (observed.continued, expected.continues);
    if continued > most || (observed.status == Status::Completed && continued < most) {
        let kind = if continued > most { Doubled } else { Lost };
        found.push(Violation::new(
            kind,
            format!("the run has continued as new {continued} times, expected {most}"),
        ));
    }
    found
}

/// Checks what holds for each run that has continued as new.
pub(super) fn check_record(observed: &Observed) -> Vec<Violation> {
    let mut found = Vec::new();
    if !observed.is_whole() && !observed.has_just_continued() {
        let (continued, known) = (observed.continued, observed.chain.len() - 1);
        let what =
            format!("the run has continued as new {continued} times, and its context knows of {known}");
        found.push(Violation::new(Wrong, what));
    }
    let Some((present, past)) = observed.chain.split_last() else { return found };
    for (number, ledger) in (0..).zip(past) {
        let renews = ledger.trail.iter().filter(|entry| entry.step.starts_with(RENEW)).count();
        let is_last = ledger.trail.last().is_some_and(|entry| entry.step.starts_with(RENEW));
        if renews != 1 || !is_last {
            let what =
                format!("incarnation {number} continues as new {renews} times, and not as its only end");
            found.push(Violation::new(Wrong, what));
        }
        if let Some(entry) = ledger.trail.iter().find(|entry| is_clean_up(entry)) {
            let what =
                format!("incarnation {number} has continued as new after the clean-up step {:?}", entry.step);
            found.push(Violation::new(Wrong, what));
        }
        found.extend(check_steps(number, &ledger.trail));
    }
    if observed.is_whole() {
        found.extend(check_steps(observed.continued, &present.trail));
    }
    found
}

/// Checks that all steps of an incarnation are its own.
fn check_steps(number: u32, trail: &[Entry]) -> Vec<Violation> {
    let is_of_another = |entry: &&Entry| entry.mark != 0 && incarnation_of(&entry.step) != number;
    let what = |entry: &Entry| format!("step {:?} was committed in incarnation {number}", entry.step);
    trail.iter().filter(is_of_another).map(|entry| Violation::new(Wrong, what(entry))).collect()
}

impl Observed {
    /// Whether the contexts of all incarnations are known.
    pub(super) fn is_whole(&self) -> bool {
        self.chain.len() as u64 == u64::from(self.continued) + 1
    }

    /// Whether the present incarnation has committed no step.
    fn has_just_continued(&self) -> bool {
        let is_empty = self.chain.last().is_some_and(|ledger| ledger.trail.is_empty());
        is_empty && self.chain.len() == 1 && self.status != Status::Completed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        interpreter::PlainLedger,
        program::{Frame, Op},
    };

    /// A run whose incarnations have committed these steps.
    fn observed(status: Status, continued: u32, steps: &[&[&str]]) -> Observed {
        let entry = |step: &&str| Entry { step: (*step).to_owned(), item: (*step).to_owned(), mark: 1 };
        let ledger =
            |steps: &&[&str]| PlainLedger::of(steps.iter().map(entry).collect(), Vec::new(), Vec::new());
        let chain: Vec<_> = steps.iter().map(ledger).collect();
        let ledger = PlainLedger::joined(&chain);
        Observed { continued, chain, ..Observed::with(status, ledger) }
    }

    fn kinds(status: Status, continued: u32, steps: &[&[&str]]) -> Vec<super::super::Kind> {
        let expected = Expected::of(Frame::new(vec![Op::Anew, Op::Bounded], 1));
        check(&expected, &observed(status, continued, steps))
            .into_iter()
            .map(|violation| violation.kind)
            .collect()
    }

    #[test]
    fn a_chain_with_a_wrong_end_is_found() {
        let first: &[&str] = &["next 0", "renew 0"];
        let second: &[&str] = &["next 1:0", "bounded 1:0", "next 1:1"];
        assert_eq!(kinds(Status::Completed, 1, &[first, second]), []);
        assert_eq!(kinds(Status::Completed, 0, &[first]), [Lost]);
        assert_eq!(kinds(Status::Running, 2, &[first, &["next 1:0", "renew 1:0"], &["next 2:0"]]), [Doubled]);
        assert_eq!(kinds(Status::Completed, 1, &[&["next 0"], second]), [Wrong]);
        assert_eq!(kinds(Status::Completed, 1, &[first, &["next 0", "next 1:1"]]), [Wrong]);
        let undone: &[&str] = &["next 0", "undo renew 0", "renew 0"];
        assert_eq!(kinds(Status::Completed, 1, &[undone, second]), [Wrong]);
    }

    #[test]
    fn a_run_that_has_just_continued_knows_nothing_of_the_past() {
        assert_eq!(kinds(Status::Cancelled, 1, &[&[]]), []);
        assert_eq!(kinds(Status::Completed, 1, &[&[]]), [Wrong]);
        assert_eq!(kinds(Status::Cancelled, 1, &[&["next 1:0"]]), [Wrong]);
    }
}
