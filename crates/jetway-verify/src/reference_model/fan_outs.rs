//! Fan-outs and joins of the reference model.

use super::{BranchEnd, Expected, successor};
use crate::program::{self, Frame, Join, Op, Side};
use jetway::ItemId;
use std::collections::BTreeSet;

impl Expected {
    /// A node opens branches. Returns the frame after them, or how the branch around them ends.
    pub(super) fn fan(
        &mut self,
        mut frame: Frame,
        branches: Vec<Vec<Op>>,
        join: Join,
        item: &mut Option<ItemId>,
        fired: &mut bool,
    ) -> Result<Frame, BranchEnd> {
        let fan_out = item.as_ref().map(ItemId::fan_out);
        self.step(&mut frame, "fan", item, Vec::new());
        let last = self.recorded.last.clone();
        let branches = frame.branches(branches, join).into_iter().zip(0..).map(|(branch, position)| {
            (branch, fan_out.as_ref().map(|fan_out| ItemId::branch(fan_out, position)), last.clone())
        });
        self.fan_out(branches.collect(), fan_out.as_ref(), join, item, fired)
    }

    /// The edges of the step with this item open two branches, each with a first step.
    pub(super) fn split(
        &mut self,
        frame: &Frame,
        programs: &[Vec<Op>; 2],
        item: &mut Option<ItemId>,
        fired: &mut bool,
    ) -> Result<Frame, BranchEnd> {
        let fan_out = item.as_ref().map(ItemId::fan_out);
        let mut branches = Vec::new();
        let opener = self.recorded.last.clone();
        for (side, position) in Side::BOTH.into_iter().zip(0..) {
            let mut first = frame.clone();
            self.recorded.last.clone_from(&opener);
            let mut of_side = fan_out.as_ref().map(|fan_out| ItemId::branch(fan_out, position));
            self.step(&mut first, side.node(), &mut of_side, Vec::new());
            let last = self.recorded.last.clone();
            branches.extend(first.side(programs.clone(), side).map(|branch| (branch, of_side, last)));
        }
        self.fan_out(branches, fan_out.as_ref(), Join::Gathered, item, fired)
    }

    /// The branches of a fan-out, each with its first item and the steps that open it, and what follows after them.
    fn fan_out(
        &mut self,
        branches: Vec<(Frame, Option<ItemId>, BTreeSet<String>)>,
        fan_out: Option<&ItemId>,
        join: Join,
        item: &mut Option<ItemId>,
        fired: &mut bool,
    ) -> Result<Frame, BranchEnd> {
        let count = branches.len();
        let (mut arrived, mut failed, mut inside) = (Vec::new(), false, false);
        let (mut ends, mut arrivals) = (BTreeSet::new(), BTreeSet::new());
        let opener = self.recorded.last.clone();
        for (branch, id, last) in branches {
            self.recorded.last = last;
            match self.branch(branch, id, &mut inside) {
                BranchEnd::Arrived(frame) => {
                    arrivals.extend(self.recorded.last.iter().cloned());
                    arrived.push(*frame);
                }
                BranchEnd::Elsewhere => {}
                BranchEnd::Failed => failed = true,
            }
            ends.extend(self.recorded.last.iter().cloned());
        }
        self.recorded.last = if count == 0 { opener } else { ends };
        let gathered = fan_out.map(|fan_out| ItemId::gathered(fan_out, "join"));
        let on = match join {
            Join::Gathered => self.gather(arrived, arrivals, gathered, failed, inside),
            Join::Held => self.hold(arrived, count, gathered, &mut failed, inside),
            Join::Loose => self.gather(Vec::new(), BTreeSet::new(), gathered, failed, inside),
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
        arrivals: BTreeSet<String>,
        mut item: Option<ItemId>,
        failed: bool,
        inside: bool,
    ) -> Option<(Frame, Option<ItemId>)> {
        if failed {
            if let Some(mut frame) = Frame::gather(arrived) {
                self.recorded.join(&frame.stamp("join"), arrivals);
            }
            return None;
        }
        if let Some(mut frame) = Frame::gather(arrived) {
            let name = frame.stamp("join");
            self.recorded.join(&name, arrivals);
            self.commit(name, item.as_ref(), Vec::new());
            item = successor(item.as_ref());
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
        if arrived.len() == count && count > 0 {
            let ends = self.recorded.last.clone();
            let value = program::held(arrived.iter().map(|frame| frame.value));
            if let Some(last) = arrived.into_iter().next() {
                let end = self.branch(last.leave_fan_out(value).done(), None, &mut inside);
                *failed |= matches!(end, BranchEnd::Failed);
            }
            self.recorded.last.extend(ends);
        }
        self.gather(Vec::new(), BTreeSet::new(), gathered, *failed, inside)
    }
}
