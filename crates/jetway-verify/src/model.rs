//! What must come of a program: found by carrying it out in a loop, without engine, server or chance.
//!
//! The model knows the rules of the engine from their description, not from its code: a step is named after the one
//! before it, a fan-out ends when its last branch has, a gathering node then fires with what arrived, and fires with
//! nothing where nothing did, unless a join inside has fired already.

use crate::{
    play::{Comparable, Entry},
    program::{self, Fault, Frame, Join, Op, Touch, Turn},
};
use jetway::ItemId;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What must come of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Expected {
    /// Every step that leaves an entry in the trail, by name.
    pub steps: BTreeMap<String, Planned>,
    /// How many steps leave none: those that fail and are caught, and those that wait for a child.
    pub silent: u64,
    /// The path and the value of every output, sorted.
    pub outputs: Vec<(String, u64)>,
    /// The steps that fail the run. It completes where there is none.
    pub doomed: BTreeSet<String>,
    /// How many child runs are started.
    pub children: u64,
}

/// A step that is to be committed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Planned {
    /// How often: more than once only for joins of nothing, which cannot be told apart.
    pub times: u64,
    /// Its work items; `None` where it depends on the order of commits which they are.
    pub items: Option<BTreeSet<String>>,
    /// What it does to the context.
    pub touches: Vec<Touch>,
}

/// How a branch ends.
enum End {
    /// It brings this frame to the join of its fan-out.
    Arrived(Box<Frame>),
    /// It leaves the run, or holds for ever.
    Elsewhere,
    /// A step of it fails the run: what would follow never comes.
    Failed,
}

/// What came of a fan-out.
struct Closed {
    /// Goes on behind the fan-out.
    on: Option<(Frame, Option<ItemId>)>,
    failed: bool,
}

impl Expected {
    /// What must come of a run of [`Play`](crate::play::Play) with this program.
    pub fn of(program: Vec<Op>) -> Self {
        let (mut expected, _) = Self::play(Frame::new(program));
        expected.outputs.sort_unstable();
        expected
    }

    /// How many steps a run that completes has committed.
    pub fn total(&self) -> u64 {
        self.silent + self.steps.values().map(|planned| planned.times).sum::<u64>()
    }

    /// What these committed steps must have made of the context.
    pub fn context(&self, trail: &[Entry]) -> Comparable {
        Comparable::of(trail.iter().flat_map(|entry| {
            let touches = self.steps.get(&entry.step).map(|planned| planned.touches.as_slice());
            touches.unwrap_or_default().iter().map(|touch| (entry.step.as_str(), *touch))
        }))
    }

    /// The step that was the last one of these to write the register; empty where none was.
    pub fn mark<'a>(&self, trail: &'a [Entry]) -> &'a str {
        let writes = |entry: &&Entry| {
            self.steps.get(&entry.step).is_some_and(|planned| planned.touches.contains(&Touch::Mark))
        };
        trail.iter().rev().find(writes).map_or("", |entry| &entry.step)
    }

    fn play(frame: Frame) -> (Self, bool) {
        let mut world = Self::default();
        let mut fired = false;
        let end = world.branch(frame, Some(ItemId::start()), &mut fired);
        (world, matches!(end, End::Failed))
    }

    fn commit(&mut self, step: String, item: Option<&ItemId>, touches: Vec<Touch>) {
        let planned = self
            .steps
            .entry(step)
            .or_insert_with(|| Planned { items: Some(BTreeSet::new()), ..Planned::default() });
        planned.times += 1;
        planned.touches = touches;
        planned.items = match (planned.items.take(), item) {
            (Some(mut items), Some(item)) => {
                items.insert(item.to_string());
                Some(items)
            }
            _ => None,
        };
    }

    fn step(&mut self, frame: &mut Frame, node: &str, item: &mut Option<ItemId>, touches: Vec<Touch>) {
        let name = frame.stamp(node);
        self.commit(name, item.as_ref(), touches);
        *item = successor(item.as_ref());
    }

    fn silently(&mut self, item: &mut Option<ItemId>) {
        self.silent += 1;
        *item = successor(item.as_ref());
    }

    /// Goes on with a frame until its branch ends. `fired`: whether a join inside of its fan-out has.
    fn branch(&mut self, mut frame: Frame, mut item: Option<ItemId>, fired: &mut bool) -> End {
        loop {
            self.step(&mut frame, "next", &mut item, Vec::new());
            frame = match frame.turn() {
                Turn::Work(frame, touches) => self.simple(frame, "work", &mut item, touches),
                Turn::Narrow(frame) => self.simple(frame, "narrow", &mut item, Vec::new()),
                Turn::Shaky(frame) => self.simple(frame, "shaky", &mut item, Vec::new()),
                Turn::Linger(frame, _) => self.simple(frame, "linger", &mut item, Vec::new()),
                Turn::Again(frame, times) => self.again(frame, times, &mut item),
                Turn::Caught(frame, fault) => self.caught(frame, fault, &mut item),
                Turn::Uncaught(mut frame, _) => {
                    self.doomed.insert(frame.stamp("doomed"));
                    return End::Failed;
                }
                Turn::Child(child) => match self.child(child, &mut item) {
                    Some(frame) => frame,
                    None => return End::Failed,
                },
                Turn::Fan(frame, branches, join) => {
                    let closed = self.fan(frame, branches, join, item, fired);
                    if closed.failed {
                        return End::Failed;
                    }
                    let Some((frame, next)) = closed.on else {
                        return End::Elsewhere;
                    };
                    item = next;
                    frame
                }
                Turn::Arrive(frame) => return End::Arrived(Box::new(frame)),
                Turn::Hold(mut frame) => {
                    self.step(&mut frame, "held", &mut item, Vec::new());
                    return End::Arrived(Box::new(frame));
                }
                Turn::Done(closing) => {
                    self.outputs.push((closing.path, closing.value));
                    return End::Elsewhere;
                }
            };
        }
    }

    fn simple(
        &mut self,
        mut frame: Frame,
        node: &str,
        item: &mut Option<ItemId>,
        touches: Vec<Touch>,
    ) -> Frame {
        self.step(&mut frame, node, item, touches);
        frame.done()
    }

    fn again(&mut self, mut frame: Frame, times: u8, item: &mut Option<ItemId>) -> Frame {
        for left in (0..=times).rev() {
            self.step(&mut frame, &format!("again-{left}"), item, Vec::new());
        }
        frame.done()
    }

    fn caught(&mut self, mut frame: Frame, _fault: Fault, item: &mut Option<ItemId>) -> Frame {
        self.silently(item);
        self.step(&mut frame, "rescue", item, Vec::new());
        frame.done()
    }

    /// `None` where nothing follows.
    fn child(&mut self, child: Frame, item: &mut Option<ItemId>) -> Option<Frame> {
        self.children += 1;
        let parent = *child.parent.clone()?;
        let (run, _) = Self::play(child);
        let output = run.outputs.first().filter(|_| run.doomed.is_empty()).map(|(_, value)| *value);
        let mut frame = parent.adopt(output);
        self.silently(item);
        self.step(&mut frame, if output.is_some() { "adopt" } else { "bereft" }, item, Vec::new());
        Some(frame.done())
    }

    fn fan(
        &mut self,
        mut frame: Frame,
        branches: Vec<Vec<Op>>,
        join: Join,
        item: Option<ItemId>,
        fired: &mut bool,
    ) -> Closed {
        let opener = item;
        let mut unused = opener.clone();
        self.step(&mut frame, "fan", &mut unused, Vec::new());
        let count = branches.len();
        let (mut arrived, mut failed, mut inside) = (Vec::new(), false, false);
        for (branch, position) in frame.branches(branches, join).into_iter().zip(0..) {
            let id = opener.as_ref().map(|opener| ItemId::branch(opener, position));
            match self.branch(branch, id, &mut inside) {
                End::Arrived(frame) => arrived.push(*frame),
                End::Elsewhere => {}
                End::Failed => failed = true,
            }
        }
        let gathered = opener.as_ref().map(|opener| ItemId::gathered(opener, "join"));
        let on = match join {
            Join::Gathered => self.gather(arrived, gathered, failed, inside),
            Join::Held => self.hold(arrived, count, gathered, &mut failed, inside),
            Join::Loose => self.gather(Vec::new(), gathered, failed, inside),
        };
        *fired = true;
        Closed { on, failed }
    }

    /// The gathering node behind a fan-out fires.
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
            let closing = program::Closing::of_nothing();
            self.commit(closing.path.clone(), item.as_ref(), Vec::new());
            self.outputs.push((closing.path, closing.value));
        }
        None
    }

    /// The last branch of a held fan-out goes on, within the fan-out: which one that is, nobody knows.
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
                let end = self.branch(last.leave(value).done(), None, &mut inside);
                *failed |= matches!(end, End::Failed);
            }
        }
        self.gather(Vec::new(), gathered, *failed, inside)
    }
}

fn successor(item: Option<&ItemId>) -> Option<ItemId> {
    item.map(|item| ItemId::successor(item.as_str(), 0))
}
