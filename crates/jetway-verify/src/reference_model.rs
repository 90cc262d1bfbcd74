//! The reference model: the expected result of a program. It executes the program in a loop, without an engine, a server or
//! chance.
//!
//! The model implements the rules of the engine from their description and shares no code with the engine: a step is named
//! after the one before it. A fan-out ends when its last branch has ended. Its gathering node then fires with the values
//! that arrived. It also fires if no value arrived, unless a join inside the fan-out has fired already. A wait changes
//! nothing of that, except that an output which is passed on later is a step of its own.

use crate::{
    interpreter::{Comparable, Entry},
    program::{self, Change, Fault, Frame, Join, NextStep, Op, Side, Wait},
};
use jetway::ItemId;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The expected result of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Expected {
    /// Every step that leaves an entry in the trail, by name.
    pub steps: BTreeMap<String, ExpectedStep>,
    /// The number of steps without an entry: those whose failure is handled, those that wait for a child run, and outputs that
    /// are passed on later.
    pub steps_without_entry: u64,
    /// The path and the digest of every output, sorted.
    pub outputs: Vec<(String, u64)>,
    /// The steps that fail the run. Without them, the run completes.
    pub failing_steps: BTreeSet<String>,
    /// The number of child runs that are started.
    pub children: u64,
    /// The mark of the run, which every frame carries.
    pub mark: u64,
}

/// A step that has to be committed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ExpectedStep {
    /// How often. More than once only for empty joins, which all have the same name.
    pub times: u64,
    /// Its work items; `None` if they depend on the order of commits.
    pub items: Option<BTreeSet<String>>,
    /// Its changes of the context.
    pub changes: Vec<Change>,
}

/// How a branch ends.
enum BranchEnd {
    /// It arrives with this frame at the join of its fan-out.
    Arrived(Box<Frame>),
    /// It ends with an output, or holds forever.
    Elsewhere,
    /// One of its steps fails the run, and no step follows.
    Failed,
}

impl Expected {
    /// The expected result of a run of [`Interpreter`](crate::interpreter::Interpreter) with this first frame.
    pub fn of(frame: Frame) -> Self {
        let mark = frame.mark;
        let (mut expected, _) = Self::run(frame);
        expected.outputs.sort_unstable();
        Self { mark, ..expected }
    }

    /// The number of steps of a completed run.
    pub fn total(&self) -> u64 {
        self.steps_without_entry + self.steps.values().map(|expected_step| expected_step.times).sum::<u64>()
    }

    /// The context after these committed steps.
    pub fn context(&self, trail: &[Entry]) -> Comparable {
        Comparable::of(trail.iter().flat_map(|entry| {
            let changes = self.steps.get(&entry.step).map(|expected_step| expected_step.changes.as_slice());
            changes.unwrap_or_default().iter().map(|change| (entry.step.as_str(), *change))
        }))
    }

    /// The last of these steps that wrote the register; empty if none did.
    pub fn mark<'a>(&self, trail: &'a [Entry]) -> &'a str {
        let writes = |entry: &&Entry| {
            self.steps
                .get(&entry.step)
                .is_some_and(|expected_step| expected_step.changes.contains(&Change::Mark))
        };
        trail.iter().rev().find(writes).map_or("", |entry| &entry.step)
    }

    fn run(frame: Frame) -> (Self, bool) {
        let mut expected = Self::default();
        let mut fired = false;
        let end = expected.branch(frame, Some(ItemId::start()), &mut fired);
        (expected, matches!(end, BranchEnd::Failed))
    }

    fn commit(&mut self, step: String, item: Option<&ItemId>, changes: Vec<Change>) {
        let expected_step = self
            .steps
            .entry(step)
            .or_insert_with(|| ExpectedStep { items: Some(BTreeSet::new()), ..ExpectedStep::default() });
        expected_step.times += 1;
        expected_step.changes = changes;
        expected_step.items = match (expected_step.items.take(), item) {
            (Some(mut items), Some(item)) => {
                items.insert(item.to_string());
                Some(items)
            }
            _ => None,
        };
    }

    fn step(&mut self, frame: &mut Frame, node: &str, item: &mut Option<ItemId>, changes: Vec<Change>) {
        let name = frame.stamp(node);
        self.commit(name, item.as_ref(), changes);
        *item = successor(item.as_ref());
    }

    /// The step of a node that decides on the next instruction. Returns its item, which opens the branches of a split.
    fn decide(&mut self, frame: &mut Frame, node: &str, item: &mut Option<ItemId>) -> Option<ItemId> {
        let opener = item.clone();
        self.step(frame, node, item, Vec::new());
        opener
    }

    fn step_without_entry(&mut self, item: &mut Option<ItemId>) {
        self.steps_without_entry += 1;
        *item = successor(item.as_ref());
    }

    /// Executes a frame until its branch ends. `fired` becomes true if a join inside of its fan-out fires.
    fn branch(&mut self, mut frame: Frame, mut item: Option<ItemId>, fired: &mut bool) -> BranchEnd {
        loop {
            let mut opener = self.decide(&mut frame, "next", &mut item);
            let mut next = frame.next_step();
            let mut wait = None;
            while let NextStep::Wait(mut waiting, how) = next {
                opener = self.decide(&mut waiting, how.step(), &mut item);
                next = waiting.done().next_step();
                wait = Some(how);
            }
            frame = match next {
                NextStep::Work(frame, changes) => self.simple(frame, "work", &mut item, changes),
                NextStep::Bounded(frame) => self.simple(frame, "bounded", &mut item, Vec::new()),
                NextStep::Flaky(frame) => self.simple(frame, "flaky", &mut item, Vec::new()),
                NextStep::Slow(frame, _) => self.simple(frame, "slow", &mut item, Vec::new()),
                NextStep::Again(frame, times) => self.again(frame, times, &mut item),
                NextStep::Caught(frame, fault) => self.caught(frame, fault, &mut item),
                NextStep::Child(child) => match self.child(child, &mut item) {
                    Some(frame) => frame,
                    None => return BranchEnd::Failed,
                },
                NextStep::Fan(frame, branches, join) => {
                    match self.fan(frame, branches, join, &mut item, fired) {
                        Ok(frame) => frame,
                        Err(end) => return end,
                    }
                }
                NextStep::Split(frame, branches) => {
                    item = opener;
                    match self.split(&frame, &branches, &mut item, fired) {
                        Ok(frame) => frame,
                        Err(end) => return end,
                    }
                }
                end => return self.end(end, wait, &mut item),
            };
        }
    }

    /// The last step of a branch, which may come after a wait.
    fn end(&mut self, end: NextStep, wait: Option<Wait>, item: &mut Option<ItemId>) -> BranchEnd {
        match end {
            NextStep::Uncaught(mut frame, _) => {
                self.failing_steps.insert(frame.stamp("doomed"));
                BranchEnd::Failed
            }
            NextStep::Arrive(frame) => BranchEnd::Arrived(Box::new(frame)),
            NextStep::Hold(mut frame) => {
                self.step(&mut frame, "held", item, Vec::new());
                BranchEnd::Arrived(Box::new(frame))
            }
            NextStep::Done(output) => {
                if wait.is_some_and(|wait| !wait.is_none()) {
                    self.step_without_entry(item);
                }
                self.outputs.push((output.path, output.value));
                BranchEnd::Elsewhere
            }
            // The branch continues.
            _ => BranchEnd::Elsewhere,
        }
    }

    fn simple(
        &mut self,
        mut frame: Frame,
        node: &str,
        item: &mut Option<ItemId>,
        changes: Vec<Change>,
    ) -> Frame {
        self.step(&mut frame, node, item, changes);
        frame.done()
    }

    fn again(&mut self, mut frame: Frame, times: u8, item: &mut Option<ItemId>) -> Frame {
        for left in (0..=times).rev() {
            self.step(&mut frame, &format!("again-{left}"), item, Vec::new());
        }
        frame.done()
    }

    fn caught(&mut self, mut frame: Frame, _fault: Fault, item: &mut Option<ItemId>) -> Frame {
        self.step_without_entry(item);
        self.step(&mut frame, "rescue", item, Vec::new());
        frame.done()
    }

    /// `None` if the child fails and no step follows.
    fn child(&mut self, child: Frame, item: &mut Option<ItemId>) -> Option<Frame> {
        self.children += 1;
        let parent = *child.parent.clone()?;
        let (run, _) = Self::run(child);
        let output = run.outputs.first().filter(|_| run.failing_steps.is_empty()).map(|(_, value)| *value);
        let mut frame = parent.with_child_output(output);
        self.step_without_entry(item);
        self.step(
            &mut frame,
            if output.is_some() { "child_completed" } else { "child_failed" },
            item,
            Vec::new(),
        );
        Some(frame.done())
    }

    /// A node opens branches. Returns the frame after them, or how the branch around them ends.
    fn fan(
        &mut self,
        mut frame: Frame,
        branches: Vec<Vec<Op>>,
        join: Join,
        item: &mut Option<ItemId>,
        fired: &mut bool,
    ) -> Result<Frame, BranchEnd> {
        let fan_out = item.as_ref().map(ItemId::fan_out);
        self.step(&mut frame, "fan", item, Vec::new());
        let branches = frame.branches(branches, join).into_iter().zip(0..).map(|(branch, position)| {
            (branch, fan_out.as_ref().map(|fan_out| ItemId::branch(fan_out, position)))
        });
        self.fan_out(branches.collect(), fan_out.as_ref(), join, item, fired)
    }

    /// The edges of the step with this item open two branches, each with a first step.
    fn split(
        &mut self,
        frame: &Frame,
        programs: &[Vec<Op>; 2],
        item: &mut Option<ItemId>,
        fired: &mut bool,
    ) -> Result<Frame, BranchEnd> {
        let fan_out = item.as_ref().map(ItemId::fan_out);
        let mut branches = Vec::new();
        for (side, position) in Side::BOTH.into_iter().zip(0..) {
            let mut first = frame.clone();
            let mut of_side = fan_out.as_ref().map(|fan_out| ItemId::branch(fan_out, position));
            self.step(&mut first, side.node(), &mut of_side, Vec::new());
            branches.extend(first.side(programs.clone(), side).map(|branch| (branch, of_side)));
        }
        self.fan_out(branches, fan_out.as_ref(), Join::Gathered, item, fired)
    }

    /// The branches of a fan-out, each with its first item, and what follows after them.
    fn fan_out(
        &mut self,
        branches: Vec<(Frame, Option<ItemId>)>,
        fan_out: Option<&ItemId>,
        join: Join,
        item: &mut Option<ItemId>,
        fired: &mut bool,
    ) -> Result<Frame, BranchEnd> {
        let count = branches.len();
        let (mut arrived, mut failed, mut inside) = (Vec::new(), false, false);
        for (branch, id) in branches {
            match self.branch(branch, id, &mut inside) {
                BranchEnd::Arrived(frame) => arrived.push(*frame),
                BranchEnd::Elsewhere => {}
                BranchEnd::Failed => failed = true,
            }
        }
        let gathered = fan_out.map(|fan_out| ItemId::gathered(fan_out, "join"));
        let on = match join {
            Join::Gathered => self.gather(arrived, gathered, failed, inside),
            Join::Held => self.hold(arrived, count, gathered, &mut failed, inside),
            Join::Loose => self.gather(Vec::new(), gathered, failed, inside),
        };
        *fired = true;
        if failed {
            return Err(BranchEnd::Failed);
        }
        let (frame, next) = on.ok_or(BranchEnd::Elsewhere)?;
        *item = next;
        Ok(frame)
    }

    /// The gathering node after a fan-out fires.
    fn gather(
        &mut self,
        arrived: Vec<Frame>,
        mut item: Option<ItemId>,
        failed: bool,
        inside: bool,
    ) -> Option<(Frame, Option<ItemId>)> {
        if failed {
            return None;
        }
        if let Some(mut frame) = Frame::gather(arrived) {
            self.step(&mut frame, "join", &mut item, Vec::new());
            return Some((frame.done(), item));
        }
        if !inside {
            let output = program::BranchOutput::of_empty_join();
            self.commit(output.path.clone(), item.as_ref(), Vec::new());
            self.outputs.push((output.path, output.value));
        }
        None
    }

    /// The last branch of a held fan-out continues inside the fan-out. Which branch that is depends on the order of commits.
    fn hold(
        &mut self,
        arrived: Vec<Frame>,
        count: usize,
        gathered: Option<ItemId>,
        failed: &mut bool,
        mut inside: bool,
    ) -> Option<(Frame, Option<ItemId>)> {
        if arrived.len() == count {
            let value = program::held(arrived.iter().map(|frame| frame.value));
            if let Some(last) = arrived.into_iter().next() {
                let end = self.branch(last.leave_fan_out(value).done(), None, &mut inside);
                *failed |= matches!(end, BranchEnd::Failed);
            }
        }
        self.gather(Vec::new(), gathered, *failed, inside)
    }
}

fn successor(item: Option<&ItemId>) -> Option<ItemId> {
    item.map(|item| ItemId::successor(item.as_str(), 0))
}
