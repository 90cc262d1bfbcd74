//! Checks that no step is committed before the steps that open it.

use super::{Kind::Wrong, Violation};
use crate::{
    interpreter::{Entry, UNDO, WIPE},
    reference_model::{Expected, Opening},
};
use std::collections::BTreeMap;

/// Whether a step belongs to the clean-up of a cancelled run.
pub(super) fn is_clean_up(entry: &Entry) -> bool {
    entry.step.starts_with(UNDO) || entry.step.starts_with(WIPE)
}

/// The places of the steps of a program in the order of their commits.
pub(super) fn places(trail: &[Entry]) -> BTreeMap<&str, usize> {
    let steps = trail.iter().enumerate().filter(|(_, entry)| !is_clean_up(entry));
    // Of empty joins, which have one name, the last.
    steps.map(|(place, entry)| (entry.step.as_str(), place)).collect()
}

/// Checks the order of the commits of a run.
pub(super) fn check(expected: &Expected, trail: &[Entry]) -> Vec<Violation> {
    let places = places(trail);
    expected.openings.iter().filter_map(|opening| check_one(opening, &places)).collect()
}

fn check_one(opening: &Opening, places: &BTreeMap<&str, usize>) -> Option<Violation> {
    let (step, place) = opening.steps.iter().find_map(|step| Some((step, *places.get(step.as_str())?)))?;
    let is_before = |before: &String| places.get(before.as_str()).is_some_and(|before| *before < place);
    let late = opening.after.iter().find(|before| !is_before(before))?;
    Some(Violation::new(Wrong, format!("step {step:?} was committed before {late:?}, which opens it")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Frame, Op};

    #[test]
    fn a_step_that_comes_before_the_one_that_opens_it_is_found() {
        let expected = Expected::of(Frame::new(vec![Op::Bounded], 1));
        let trail = |steps: &[&str]| -> Vec<Entry> {
            steps
                .iter()
                .map(|step| Entry { step: (*step).to_owned(), item: "i".to_owned(), mark: 1 })
                .collect()
        };
        assert!(check(&expected, &trail(&["next 0", "bounded 0", "next 1"])).is_empty());
        assert!(check(&expected, &trail(&["next 0", "undo bounded 0"])).is_empty());
        assert_eq!(check(&expected, &trail(&["next 0", "next 1", "bounded 0"])).len(), 1);
        assert_eq!(check(&expected, &trail(&["next 0", "next 1"])).len(), 1);
    }
}
