//! The reference model: the expected result of a program. It executes the program in a loop, without an engine, a server or
//! chance.
//!
//! The model implements the rules of the engine from their description and shares no code with the engine: a step is named
//! after the one before it. A fan-out ends when its last branch has ended. Its gathering node then fires with the values
//! that arrived. It also fires if no value arrived, unless a join inside the fan-out has fired already. A wait changes
//! nothing of that, except that an output which is passed on later is a step of its own.

mod fan_outs;
mod openings;

pub use openings::Opening;

use crate::{
    interpreter::{Comparable, Entry},
    program::{Change, Fault, Frame, Haste, Listen, NextStep, Wait},
};
use jetway::ItemId;
use openings::Openings;
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
    /// The steps that have to exceed their time limits. Others may, on a slow machine.
    pub overruns: BTreeSet<String>,
    /// In which order steps are committed.
    pub openings: Vec<Opening>,
    /// The number of child runs that are started.
    pub children: u64,
    /// How often the run continues as new.
    pub continues: u32,
    /// The mark of the run, which every frame carries.
    pub mark: u64,
    #[serde(skip)]
    recorded: Openings,
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
        let openings = std::mem::take(&mut expected.recorded.all);
        Self { mark, openings, ..expected }
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
        self.recorded.step(&name);
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
                NextStep::Listen(frame, listen) => self.listen(frame, &listen, &mut item),
                NextStep::Limited(frame, _, haste) => self.limited(frame, haste, &mut item),
                NextStep::Anew(frame) => self.anew(frame, &mut item, fired),
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
                let name = frame.stamp("doomed");
                self.recorded.dead_end(&name);
                self.failing_steps.insert(name);
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

    /// The run begins anew, with what follows. Of the fan-out that may be around it, no join fires any more.
    fn anew(&mut self, mut frame: Frame, item: &mut Option<ItemId>, fired: &mut bool) -> Frame {
        self.step(&mut frame, "renew", item, Vec::new());
        *item = Some(ItemId::start());
        *fired = true;
        self.continues += 1;
        frame.anew(Vec::new())
    }

    fn again(&mut self, mut frame: Frame, times: u8, item: &mut Option<ItemId>) -> Frame {
        for left in (0..=times).rev() {
            self.step(&mut frame, &format!("again-{left}"), item, Vec::new());
        }
        frame.done()
    }

    /// A wait for signals: whichever way it ends, the same steps are committed.
    fn listen(&mut self, mut frame: Frame, listen: &Listen, item: &mut Option<ItemId>) -> Frame {
        for node in [listen.step(), "hear", "answered"] {
            self.step(&mut frame, node, item, Vec::new());
        }
        frame.done()
    }

    /// A step with a time limit. If it is exceeded, a fallback is committed under the same name, with the next item.
    fn limited(&mut self, mut frame: Frame, haste: Haste, item: &mut Option<ItemId>) -> Frame {
        self.step(&mut frame, "begin", item, Vec::new());
        let name = frame.stamp("limited");
        self.recorded.step(&name);
        self.commit(name.clone(), None, Vec::new());
        if haste != Haste::InTime {
            self.overruns.insert(name);
        }
        *item = None;
        frame.done()
    }

    fn caught(&mut self, mut frame: Frame, _fault: Fault, item: &mut Option<ItemId>) -> Frame {
        self.recorded.silent(format!("risky {}", frame.path()));
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
        self.recorded.silent(format!("child {}", frame.path()));
        self.step(
            &mut frame,
            if output.is_some() { "child_completed" } else { "child_failed" },
            item,
            Vec::new(),
        );
        Some(frame.done())
    }
}

fn successor(item: Option<&ItemId>) -> Option<ItemId> {
    item.map(|item| ItemId::successor(item.as_str(), 0))
}
