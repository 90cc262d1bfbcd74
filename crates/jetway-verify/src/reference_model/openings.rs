//! Which steps open which: the order in which the steps of a run have to be committed.
//!
//! A step opens the next one, a fan-out opens the first steps of its branches, and all branches together open the join. So the
//! committed steps of a run say which of its items were open when it was cancelled, whatever its record says.

use serde::Serialize;
use std::collections::BTreeSet;

/// An item of a program: it is open when the steps before it are committed, until it is committed itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Opening {
    /// The steps that have to be committed before.
    pub after: BTreeSet<String>,
    /// The names that its step may have. One of them is committed; the others are those of attempts that leave no entry.
    pub steps: Vec<String>,
    /// The steps that bring values to it, if it is a join.
    pub arrivals: Option<BTreeSet<String>>,
}

/// Records openings, while the model executes a program.
#[derive(Debug, Clone, Default)]
pub(super) struct Openings {
    /// What is recorded.
    pub(super) all: Vec<Opening>,
    /// The last steps of the branch that is executed.
    pub(super) last: BTreeSet<String>,
    /// The names of attempts at the next step that leave no entry.
    silent: Vec<String>,
}

impl Openings {
    /// The next step of the branch.
    pub(super) fn step(&mut self, name: &str) {
        self.open(name, None);
        self.last = BTreeSet::from([name.to_owned()]);
    }

    /// A join of these arrivals.
    pub(super) fn join(&mut self, name: &str, arrivals: BTreeSet<String>) {
        self.open(name, Some(arrivals));
        self.last = BTreeSet::from([name.to_owned()]);
    }

    /// A step that is never committed.
    pub(super) fn dead_end(&mut self, name: &str) {
        self.open(name, None);
    }

    /// An attempt at the next step that leaves no entry.
    pub(super) fn silent(&mut self, name: String) {
        self.silent.push(name);
    }

    fn open(&mut self, name: &str, arrivals: Option<BTreeSet<String>>) {
        let mut steps = std::mem::take(&mut self.silent);
        steps.push(name.to_owned());
        self.all.push(Opening { after: self.last.clone(), steps, arrivals });
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        program::{Fault, Frame, Join, Op},
        reference_model::Expected,
    };

    /// The names of the steps, and of those before them.
    fn openings(program: Vec<Op>) -> Vec<(Vec<String>, Vec<String>)> {
        let expected = Expected::of(Frame::new(program, 1));
        expected
            .openings
            .into_iter()
            .map(|opening| (opening.after.into_iter().collect(), opening.steps))
            .collect()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_step_opens_the_next_one() {
        let found = openings(vec![Op::Caught(Fault::Error), Op::Uncaught(Fault::Error)]);
        let must = [
            (names(&[]), names(&["next 0"])),
            (names(&["next 0"]), names(&["risky 0", "rescue 0"])),
            (names(&["rescue 0"]), names(&["next 1"])),
            (names(&["next 1"]), names(&["doomed 1"])),
        ];
        assert_eq!(found, must);
    }

    #[test]
    fn all_branches_open_the_join() {
        let found = openings(vec![Op::Fan(vec![vec![Op::Bounded], vec![Op::Emit]], Join::Gathered)]);
        let of = |step: &str| found.iter().find(|(_, steps)| steps[0] == step).unwrap().0.clone();
        assert_eq!(of("next 0/1.0"), names(&["fan 0"]));
        assert_eq!(of("join 0"), names(&["next 0/0.1", "next 0/1.0"]));
        assert_eq!(of("next 1"), names(&["join 0"]));
    }
}
