//! Continuing as new.
//!
//! The paths of the first incarnation begin with nothing, those of the second with `1:`, and so on. So each step of a chain has a name of
//! its own, although the work items of all incarnations have the same names.

use super::Frame;

/// What stands between the number of an incarnation and the path in it.
const MARK: char = ':';

impl Frame {
    /// The first frame of the next incarnation. `past`: the contexts with which all incarnations before it ended.
    #[must_use]
    pub fn anew(self, past: Vec<String>) -> Self {
        let number = incarnation_of(&self.base) + 1;
        Self { base: format!("{number}{MARK}"), at: 0, not_before: 0, past, ..self }
    }
}

/// The number of the incarnation of a step, by its name; 0 for the first one.
pub(crate) fn incarnation_of(step: &str) -> u32 {
    let path = step.rsplit(' ').next().unwrap_or(step);
    path.split_once(MARK).and_then(|(number, _)| number.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{NextStep, Op};

    #[test]
    fn each_step_of_a_chain_has_a_name_of_its_own() {
        let program = vec![Op::Anew, Op::Bounded, Op::Anew, Op::Emit];
        let NextStep::Anew(first) = Frame::new(program, 1).next_step() else { panic!("it continues as new") };
        let mut second = first.anew(vec!["one".to_owned()]);
        assert_eq!((second.stamp("next").as_str(), second.past.len()), ("next 1:0", 1));
        let NextStep::Bounded(frame) = second.next_step() else { panic!("the rest follows") };
        let NextStep::Anew(frame) = frame.done().next_step() else { panic!("it continues once more") };
        assert_eq!(frame.anew(Vec::new()).path(), "2:0");
        assert_eq!(["next 0", "undo next 12:0/1.0", "nothing"].map(incarnation_of), [0, 12, 0]);
    }
}
