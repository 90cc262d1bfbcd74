//! The nodes that carry out instructions.

use super::{
    journal::Journal,
    ledger::{Entry, Ledger},
};
use crate::program::{self, Closing, Fault, Frame, Op, Touch, Turn};
use jetway::{Error, Failure, Transition, node, step};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Takes note of an execution, in the journal and, where it is committed, in the trail.
fn enter(ctx: &Ledger, step_name: &str) -> Result<(), Error> {
    Journal::note(step_name)
        .map_err(|error| Error::Generic(format!("the journal cannot be written: {error}")))?;
    let item = step().map_or_else(String::new, |step| step.item_id().to_string());
    ctx.trail.push(Entry { step: step_name.to_owned(), item });
    Ok(())
}

/// Enters the step of `node` that `frame` is at; returns the step's name.
fn stamp(ctx: &Ledger, frame: &mut Frame, node: &str) -> Result<String, Error> {
    let name = frame.stamp(node);
    enter(ctx, &name)?;
    Ok(name)
}

/// Whether a circle goes round again.
#[derive(Debug, Clone, PartialEq)]
pub enum Round {
    /// So many times more.
    Again(Frame, u8),
    /// No more.
    On(Frame),
}

/// What comes of a join.
#[derive(Debug, Clone, PartialEq)]
pub enum Joined {
    /// The run goes on behind it.
    On(Frame),
    /// Nothing has reached it, so nobody knows what is behind it.
    Nothing(Closing),
}

node! {
    /// Looks at what is to be done.
    pub struct Next;
    context = Ledger; input = Frame; output = Turn;
    |ctx, frame| {
        let mut frame = frame;
        stamp(ctx, &mut frame, "next")?;
        Ok(Transition::Next(frame.turn()))
    }
}

node! {
    /// Changes the context.
    pub struct Work;
    context = Ledger; input = (Frame, Vec<Touch>); output = Frame;
    |ctx, (frame, touches)| {
        let mut frame = frame;
        let name = stamp(ctx, &mut frame, "work")?;
        for touch in touches {
            ctx.touch(touch, &name).await;
        }
        Ok(Transition::Next(frame.done()))
    }
}

node! {
    /// Takes only so many items at a time.
    pub struct Narrow;
    context = Ledger; input = Frame; output = Frame;
    |ctx, frame| {
        let mut frame = frame;
        stamp(ctx, &mut frame, "narrow")?;
        Ok(Transition::Next(frame.done()))
    }
}

/// Fails once for each step, and then does not: what it remembers is lost with its host, which is one more failure.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<HashSet<String>>>);

impl Memory {
    fn is_first(&self, name: &str) -> bool {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !failed.remove(name) && failed.insert(name.to_owned())
    }
}

node! {
    /// Fails once within its step.
    #[derive(Default)]
    pub struct Shaky { failed: Memory };
    context = Ledger; input = Frame; output = Frame;
    |ctx, frame| {
        let mut frame = frame;
        let name = frame.stamp("shaky");
        let key = step().map_or_else(|| name.clone(), |step| step.idempotency_key());
        if self.failed.is_first(&key) {
            return Err(Error::Generic("shaky for once".to_owned()));
        }
        enter(ctx, &name)?;
        Ok(Transition::Next(frame.done()))
    }
}

node! {
    /// Takes its time.
    pub struct Linger;
    context = Ledger; input = (Frame, u16); output = Frame;
    |ctx, (frame, millis)| {
        let mut frame = frame;
        stamp(ctx, &mut frame, "linger")?;
        tokio::time::sleep(Duration::from_millis(millis.into())).await;
        Ok(Transition::Next(frame.done()))
    }
}

node! {
    /// Goes round in a circle.
    pub struct Again;
    context = Ledger; input = (Frame, u8); output = Round;
    |ctx, (frame, times)| {
        let mut frame = frame;
        stamp(ctx, &mut frame, &format!("again-{times}"))?;
        Ok(Transition::Next(match times {
            0 => Round::On(frame.done()),
            _ => Round::Again(frame, times - 1),
        }))
    }
}

fn fails(fault: Fault, name: &str) -> Error {
    match fault {
        Fault::Error => Error::Generic(format!("{name} fails as told")),
        Fault::Panic => std::panic::panic_any(format!("{name} panics as told")),
    }
}

node! {
    /// Fails, with a fallback.
    pub struct Risky;
    context = Ledger; input = (Frame, Fault); output = Frame;
    |ctx, (frame, fault)| {
        let mut frame = frame;
        let name = stamp(ctx, &mut frame, "risky")?;
        Err(fails(fault, &name))
    }
}

node! {
    /// Goes on where `risky` failed.
    pub struct Rescue;
    context = Ledger; input = Failure<(Frame, Fault)>; output = Frame;
    |ctx, failure| {
        let (mut frame, _) = failure.input;
        stamp(ctx, &mut frame, "rescue")?;
        Ok(Transition::Next(frame.done()))
    }
}

node! {
    /// Fails, and the run with it.
    pub struct Doomed;
    context = Ledger; input = (Frame, Fault); output = Frame;
    |ctx, (frame, fault)| {
        let mut frame = frame;
        let name = stamp(ctx, &mut frame, "doomed")?;
        Err(fails(fault, &name))
    }
}

node! {
    /// Goes on in branches.
    pub struct Fan;
    context = Ledger; input = (Frame, Vec<Vec<Op>>, program::Join); output = Frame;
    |ctx, (frame, branches, join)| {
        let mut frame = frame;
        stamp(ctx, &mut frame, "fan")?;
        Ok(Transition::NextAll(frame.branches(branches, join)))
    }
}

node! {
    /// Brings branches together.
    pub struct Join;
    context = Ledger; input = Vec<Frame>; output = Joined;
    |ctx, frames| {
        Ok(Transition::Next(match Frame::gather(frames) {
            Some(mut frame) => {
                stamp(ctx, &mut frame, "join")?;
                Joined::On(frame.done())
            }
            None => {
                let closing = Closing::of_nothing();
                enter(ctx, &closing.path)?;
                Joined::Nothing(closing)
            }
        }))
    }
}

node! {
    /// Brings branches together by the context.
    pub struct Held;
    context = Ledger; input = Frame; output = Frame;
    |ctx, frame| {
        let mut frame = frame;
        stamp(ctx, &mut frame, "held")?;
        let Some(then) = frame.then.last().cloned() else {
            return Err(Error::Generic(format!("nothing is held at {}", frame.path())));
        };
        let mut held = ctx.held.get().await;
        let noted = held.entry(format!("{}{}", then.base, then.at)).or_default();
        noted.insert(then.branch, frame.value);
        if noted.len() < usize::from(then.branches) {
            return Ok(Transition::Hold);
        }
        let value = program::held(noted.values().copied());
        Ok(Transition::Next(frame.leave(value).done()))
    }
}

node! {
    /// Goes on with the output of a child run.
    pub struct Adopt;
    context = Ledger; input = Closing; output = Frame;
    |ctx, closing| {
        let Some(parent) = closing.parent else {
            return Err(Error::Generic(format!("the child that ended at {} has no parent", closing.path)));
        };
        let mut frame = parent.adopt(Some(closing.value));
        stamp(ctx, &mut frame, "adopt")?;
        Ok(Transition::Next(frame.done()))
    }
}

node! {
    /// Goes on where a child run failed.
    pub struct Bereft;
    context = Ledger; input = Failure<Frame>; output = Frame;
    |ctx, failure| {
        let Some(parent) = failure.input.parent else {
            return Err(Error::Generic(format!("a child without a parent: {}", failure.message)));
        };
        let mut frame = parent.adopt(None);
        stamp(ctx, &mut frame, "bereft")?;
        Ok(Transition::Next(frame.done()))
    }
}

node! {
    /// Stands where a child run would start another.
    pub struct NoChild;
    context = Ledger; input = Frame; output = Frame;
    |_ctx, frame| { Err(Error::Generic(format!("the child run is asked for another at {}", frame.path()))) }
}
