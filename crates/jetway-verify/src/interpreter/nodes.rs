//! The nodes that execute instructions.

use super::{
    journal::Journal,
    ledger::{Entry, Ledger},
};
use crate::program::{self, BranchOutput, Change, Fault, Frame, Later, NextStep, Op, Side, Wait};
use jetway::{Error, Failure, Transition, node, step};
use std::time::{Duration, SystemTime};

/// Records an execution in the journal and, if the step is committed, in the trail. `mark` and `not_before` are those of the
/// frame.
pub(super) fn enter(ctx: &Ledger, step_name: &str, mark: u64, not_before: u64) -> Result<(), Error> {
    note(step_name, mark, not_before)?;
    let item = step().map_or_else(String::new, |step| step.item_id().to_string());
    ctx.trail.push(Entry { step: step_name.to_owned(), item, mark });
    Ok(())
}

/// Records an execution in the journal alone.
pub(super) fn note(step_name: &str, mark: u64, not_before: u64) -> Result<(), Error> {
    Journal::record(step_name, mark, not_before)
        .map_err(|error| Error::Generic(format!("the journal cannot be written: {error}")))
}

/// Records the step of `node` at the position of `frame`. Returns the name of the step.
pub(super) fn stamp(ctx: &Ledger, frame: &mut Frame, node: &str) -> Result<String, Error> {
    let name = frame.stamp(node);
    enter(ctx, &name, frame.mark, std::mem::take(&mut frame.not_before))?;
    Ok(name)
}

/// Whether a loop continues.
#[derive(Debug, Clone, PartialEq)]
pub enum Round {
    /// It continues this many times.
    Again(Frame, u8),
    /// It ends.
    Leave(Frame),
}

/// What follows after a join.
#[derive(Debug, Clone, PartialEq)]
pub enum Joined {
    /// The run continues after it.
    Next(Frame),
    /// No branch has reached it, so the frame after it is unknown.
    Empty(BranchOutput),
}

node! {
    /// Decides on the next instruction.
    pub struct Next;
    context = Ledger; input = Frame; output = NextStep;
    |ctx, frame| {
        let mut frame = frame;
        ctx.remember(std::mem::take(&mut frame.past));
        stamp(ctx, &mut frame, "next")?;
        Ok(Transition::Next(frame.next_step()))
    }
}

node! {
    /// Changes the context.
    pub struct Work;
    context = Ledger; input = (Frame, Vec<Change>); output = Frame;
    |ctx, (frame, changes)| {
        let mut frame = frame;
        let name = stamp(ctx, &mut frame, "work")?;
        for change in changes {
            ctx.apply(change, &name).await;
        }
        Ok(Transition::Next(frame.done()))
    }
}

node! {
    /// Has a limit of concurrent items.
    pub struct Bounded;
    context = Ledger; input = Frame; output = Frame;
    |ctx, frame| {
        let mut frame = frame;
        stamp(ctx, &mut frame, "bounded")?;
        Ok(Transition::Next(frame.done()))
    }
}

node! {
    /// Takes time.
    pub struct Slow;
    context = Ledger; input = (Frame, u16); output = Frame;
    |ctx, (frame, millis)| {
        let mut frame = frame;
        stamp(ctx, &mut frame, "slow")?;
        tokio::time::sleep(Duration::from_millis(millis.into())).await;
        Ok(Transition::Next(frame.done()))
    }
}

node! {
    /// Goes through a loop.
    pub struct Again;
    context = Ledger; input = (Frame, u8); output = Round;
    |ctx, (frame, times)| {
        let mut frame = frame;
        stamp(ctx, &mut frame, &format!("again-{times}"))?;
        Ok(Transition::Next(match times {
            0 => Round::Leave(frame.done()),
            _ => Round::Again(frame, times - 1),
        }))
    }
}

fn fails(fault: Fault, name: &str) -> Error {
    match fault {
        Fault::Error => Error::Generic(format!("{name} fails as planned")),
        Fault::Panic => std::panic::panic_any(format!("{name} panics as planned")),
    }
}

node! {
    /// Fails, and has a fallback.
    pub struct Risky;
    context = Ledger; input = (Frame, Fault); output = Frame;
    |ctx, (frame, fault)| {
        let mut frame = frame;
        let name = stamp(ctx, &mut frame, "risky")?;
        Err(fails(fault, &name))
    }
}

node! {
    /// The fallback of `risky`.
    pub struct Rescue;
    context = Ledger; input = Failure<(Frame, Fault)>; output = Frame;
    |ctx, failure| {
        let (mut frame, _) = failure.input;
        stamp(ctx, &mut frame, "rescue")?;
        Ok(Transition::Next(frame.done()))
    }
}

node! {
    /// Fails the run.
    pub struct Doomed;
    context = Ledger; input = (Frame, Fault); output = Frame;
    |ctx, (frame, fault)| {
        let mut frame = frame;
        let name = stamp(ctx, &mut frame, "doomed")?;
        Err(fails(fault, &name))
    }
}

node! {
    /// Fans out into branches.
    pub struct Fan;
    context = Ledger; input = (Frame, Vec<Vec<Op>>, program::Join); output = Frame;
    |ctx, (frame, branches, join)| {
        let mut frame = frame;
        stamp(ctx, &mut frame, "fan")?;
        Ok(Transition::NextAll(frame.branches(branches, join)))
    }
}

node! {
    /// Passes the frame to the next instruction later.
    pub struct Doze;
    context = Ledger; input = (Frame, Wait); output = NextStep;
    |ctx, (frame, wait)| {
        let mut frame = frame;
        stamp(ctx, &mut frame, wait.step())?;
        let now = step().map_or_else(SystemTime::now, |step| step.now());
        let is_last = matches!(frame.clone().done().next_step(), NextStep::Done(_));
        let (later, not_before) = wait.at(now, is_last);
        let next = Frame { not_before, ..frame.done() }.next_step();
        Ok(match later {
            Later::After(duration) => Transition::NextAfter(duration, next),
            Later::At(time) => Transition::NextAt(time, next),
        })
    }
}

/// Begins a branch of a split.
fn begin(
    ctx: &Ledger,
    mut frame: Frame,
    branches: [Vec<Op>; 2],
    side: Side,
) -> Result<Transition<Frame>, Error> {
    stamp(ctx, &mut frame, side.node())?;
    let path = frame.path();
    let frame = frame.side(branches, side);
    Ok(Transition::Next(
        frame.ok_or_else(|| Error::Generic(format!("the split at {path} has no such branch")))?,
    ))
}

node! {
    /// Begins the first branch of a split.
    pub struct Left;
    context = Ledger; input = (Frame, [Vec<Op>; 2]); output = Frame;
    |ctx, (frame, branches)| { begin(ctx, frame, branches, Side::Left) }
}

node! {
    /// Begins the second branch of a split, and has a limit of concurrent items.
    pub struct Right;
    context = Ledger; input = (Frame, [Vec<Op>; 2]); output = Frame;
    |ctx, (frame, branches)| { begin(ctx, frame, branches, Side::Right) }
}

node! {
    /// Joins branches.
    pub struct Join;
    context = Ledger; input = Vec<Frame>; output = Joined;
    |ctx, frames| {
        Ok(Transition::Next(match Frame::gather(frames) {
            Some(mut frame) => {
                stamp(ctx, &mut frame, "join")?;
                Joined::Next(frame.done())
            }
            None => {
                let output = BranchOutput::of_empty_join();
                enter(ctx, &output.path, 0, 0)?;
                Joined::Empty(output)
            }
        }))
    }
}

node! {
    /// Joins branches in the context.
    pub struct Held;
    context = Ledger; input = Frame; output = Frame;
    |ctx, frame| {
        let mut frame = frame;
        stamp(ctx, &mut frame, "held")?;
        let Some(fan_out) = frame.continuations.last().cloned() else {
            return Err(Error::Generic(format!("there is no fan-out to join at {}", frame.path())));
        };
        let mut held = ctx.held.get().await;
        let noted = held.entry(format!("{}{}", fan_out.base, fan_out.at)).or_default();
        noted.insert(fan_out.branch, frame.value);
        if noted.len() < usize::from(fan_out.branches) {
            return Ok(Transition::Hold);
        }
        let value = program::held(noted.values().copied());
        Ok(Transition::Next(frame.leave_fan_out(value).done()))
    }
}

node! {
    /// Continues with the output of a child run.
    pub struct ChildCompleted;
    context = Ledger; input = BranchOutput; output = Frame;
    |ctx, output| {
        let Some(parent) = output.parent else {
            return Err(Error::Generic(format!("the child run that ended at {} has no parent", output.path)));
        };
        let mut frame = parent.with_child_output(Some(output.value));
        frame.not_before = frame.not_before.max(output.not_before);
        stamp(ctx, &mut frame, "child_completed")?;
        Ok(Transition::Next(frame.done()))
    }
}

node! {
    /// Continues after the failure of a child run.
    pub struct ChildFailed;
    context = Ledger; input = Failure<Frame>; output = Frame;
    |ctx, failure| {
        let Some(parent) = failure.input.parent else {
            return Err(Error::Generic(format!("a child run without a parent failed: {}", failure.message)));
        };
        let mut frame = parent.with_child_output(None);
        stamp(ctx, &mut frame, "child_failed")?;
        Ok(Transition::Next(frame.done()))
    }
}

node! {
    /// Takes the place of the child run in a child run, which starts none.
    pub struct NoChild;
    context = Ledger; input = Frame; output = Frame;
    |_ctx, frame| { Err(Error::Generic(format!("a child run has to start a child run at {}", frame.path()))) }
}
