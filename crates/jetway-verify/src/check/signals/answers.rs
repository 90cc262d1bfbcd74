//! The answers that nodes got, and their order.

use super::taken::Places;
use crate::{
    check::{
        Kind::{EarlierRun, Wrong},
        Violation,
    },
    interpreter::Answered,
    runs::{Fate, Sent},
};
use jetway::client::Status;
use std::collections::BTreeMap;

/// Checks that each answer fits its wait, and has signals that were sent to this run under these names.
pub(super) fn check_answers(places: &Places, calls: &[&Sent]) -> Vec<Violation> {
    let sent: BTreeMap<u64, &str> = calls.iter().map(|call| (call.number, call.name.as_str())).collect();
    let mut found = Vec::new();
    for Answered { step, listen, signals } in &places.answers {
        let fits = match signals {
            None => listen.deadline.is_some(),
            Some(signals) => listen.is_answered_by(signals.iter().map(|(name, _)| name.as_str())),
        };
        if !fits {
            found.push(Violation::new(
                Wrong,
                format!("step {step:?} waited for {listen:?} and got {signals:?}"),
            ));
        }
        for (name, number) in signals.iter().flatten() {
            if sent.get(number) != Some(&name.as_str()) {
                let what =
                    format!("step {step:?} got signal {number} ({name}), which was not sent to this run");
                found.push(Violation::new(EarlierRun, what));
            }
        }
    }
    found
}

/// Checks that signals of one name are taken in the order in which they were stored: of two signals, where the first was applied
/// before the second was sent.
///
/// Only of runs that have completed, and in which no wait for several signals has given some of them back.
pub(super) fn check_order(places: &Places, by_number: &BTreeMap<u64, Vec<&Sent>>) -> Vec<Violation> {
    let gave_back = |answer: &Answered| answer.listen.all && answer.signals.is_none();
    if places.status != Status::Completed || places.answers.iter().any(gave_back) {
        return Vec::new();
    }
    let taken: BTreeMap<u64, &Answered> =
        by_number.keys().filter_map(|number| Some((*number, places.takers(*number).next()?.0))).collect();
    let mut found = Vec::new();
    for (second, later) in &taken {
        let (Some(second_calls), Some(taken_at)) = (by_number.get(second), places.place_of(&later.step))
        else {
            continue;
        };
        let began = second_calls.iter().map(|call| call.began).min().unwrap_or_default();
        let name = second_calls.first().map(|call| &call.name);
        let earlier = by_number.iter().filter(|(first, calls)| {
            *first != second
                && calls.first().map(|call| &call.name) == name
                && applied(calls).is_some_and(|at| at < began)
        });
        for (first, _) in earlier {
            let waited_later = match taken.get(first) {
                // It was left over.
                None => true,
                Some(earlier) => places.began_at(&earlier.step).is_some_and(|began| began > taken_at),
            };
            if waited_later {
                let what =
                    format!("step {:?} got signal {second}, and signal {first} had come before", later.step);
                found.push(Violation::new(Wrong, what));
            }
        }
    }
    found
}

/// When a signal was certainly applied.
fn applied(calls: &[&Sent]) -> Option<u64> {
    calls.iter().filter(|call| call.fate == Fate::Accepted).filter_map(|call| call.answered).min()
}

impl Places {
    /// The place of a step in the order of commits.
    fn place_of(&self, step: &str) -> Option<usize> {
        self.trail.iter().position(|entry| entry.step == step)
    }

    /// The place of the step before that of a wait.
    fn began_at(&self, step: &str) -> Option<usize> {
        let path = step.split_once(' ')?.1;
        let is_before = |step: &str| {
            step.split_once(' ').is_some_and(|(node, at)| node.starts_with("listen-") && at == path)
        };
        self.trail.iter().position(|entry| is_before(&entry.step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        interpreter::Entry,
        program::Listen,
        runs::{Moment, Way},
    };

    fn sent(number: u64, began: u64) -> Sent {
        Sent {
            run: "w/r".to_owned(),
            number,
            name: "red".to_owned(),
            way: Way::Request,
            flaw: None,
            moment: Moment::During,
            began,
            answered: Some(began + 1),
            fate: Fate::Accepted,
        }
    }

    /// A run that waits twice, and gets these signals.
    fn places(numbers: [Option<u64>; 2]) -> Places {
        let steps = ["listen-one 0", "hear 0", "answered 0", "listen-one 1", "hear 1"];
        let trail = steps.map(|step| Entry { step: step.to_owned(), item: step.to_owned(), mark: 1 }).into();
        let listen = Listen { names: vec![0], all: false, deadline: None };
        let answer = |(place, number): (usize, Option<u64>)| {
            let signals = Some(vec![("red".to_owned(), number?)]);
            Some(Answered { step: format!("hear {place}"), listen: listen.clone(), signals })
        };
        let answers = numbers.into_iter().enumerate().filter_map(answer).collect();
        Places { status: Status::Completed, trail, answers, left: Vec::new(), is_whole: true }
    }

    #[test]
    fn a_signal_that_overtakes_another_one_is_found() {
        let calls = [sent(1, 0), sent(2, 5)];
        let by_number = BTreeMap::from([(1, vec![&calls[0]]), (2, vec![&calls[1]])]);
        assert!(check_order(&places([Some(1), Some(2)]), &by_number).is_empty());
        assert_eq!(check_order(&places([Some(2), Some(1)]), &by_number).len(), 1);
        assert_eq!(check_order(&places([Some(2), None]), &by_number).len(), 1, "the first was left over");
        let calls = [sent(1, 0), sent(2, 0)];
        let by_number = BTreeMap::from([(1, vec![&calls[0]]), (2, vec![&calls[1]])]);
        assert!(check_order(&places([Some(2), Some(1)]), &by_number).is_empty(), "they were sent at once");
    }

    #[test]
    fn an_answer_that_does_not_fit_is_found() {
        let call = sent(1, 0);
        let kinds = |places: &Places| -> Vec<_> {
            check_answers(places, &[&call]).into_iter().map(|violation| violation.kind).collect()
        };
        let mut places = places([Some(1), None]);
        assert_eq!(kinds(&places), []);
        places.answers[0].signals = Some(vec![("red".to_owned(), 2)]);
        assert_eq!(kinds(&places), [EarlierRun]);
        places.answers[0].signals = None;
        assert_eq!(kinds(&places), [Wrong], "there is no deadline");
    }
}
