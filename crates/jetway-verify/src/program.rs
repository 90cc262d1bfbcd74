//! Programs: what a run of the verifier does, as data that travels through the run.
//!
//! A program is the input of a run. The nodes of [`Interpreter`](crate::interpreter::Interpreter) interpret it: `next`
//! reads the next instruction and passes the frame to the node that executes it. All that follows from a frame alone is
//! here, as pure functions. So the nodes and the [reference model](crate::reference_model) agree on the meaning of a
//! program. They differ in who executes it: an engine under faults, or a loop.

mod anew;
mod change;
mod generator;
mod input;
mod limited;
mod listen;
mod split;
mod wait;

pub(crate) use anew::incarnation_of;
pub use change::{Change, ValueChange};
pub use generator::GeneratorConfig;
pub use input::Input;
pub use limited::{Haste, Limit, Limited};
pub use listen::{Deadline, Listen, SIGNALS, Token};
pub use split::Side;
pub use wait::Wait;
pub(crate) use wait::{Later, micros};

use serde::{Deserialize, Serialize};

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Changes the context.
    Work(Vec<Change>),
    /// Runs at a node with a limit of concurrent items.
    Bounded,
    /// Fails once and is retried within its step.
    Flaky,
    /// Takes this many milliseconds.
    Slow(u16),
    /// Goes through a loop this many times.
    Again(u8),
    /// Fails, and a fallback continues.
    Caught(Fault),
    /// Fails, and the run with it.
    Uncaught(Fault),
    /// Fans out into branches.
    Fan(Vec<Vec<Op>>, Join),
    /// Passes the frame to two nodes, and gathers what comes of it. The second node has a limit of concurrent items.
    Split([Vec<Op>; 2]),
    /// Passes the frame on later, to the node of the next instruction.
    Wait(Wait),
    /// Waits for signals.
    Listen(Listen),
    /// Runs at a node with a time limit. If it exceeds the limit, a fallback continues.
    Limited(Limit, Haste),
    /// Starts a child run and waits for it.
    Child(Vec<Op>),
    /// Continues the run as new, with the instructions that follow. Never within a fan-out.
    Anew,
    /// Ends the branch with an output of the run.
    Emit,
}

/// How a node fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// With an error.
    Error,
    /// With a panic.
    Panic,
}

/// How the branches of a fan-out are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Join {
    /// At a gathering node.
    Gathered,
    /// In the context: every branch records its arrival, and holds unless it is the last.
    Held,
    /// Not at all: each branch has an output.
    Loose,
}

/// The position of a run in its program: the input of nearly every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The path of the branch.
    pub base: String,
    /// The number of the instruction in the branch.
    pub at: u16,
    /// A digest of all steps that led here.
    pub value: u64,
    /// The run that the frame belongs to, see [`Input::mark`].
    pub mark: u64,
    /// No step may run with the frame before this time of the server, in microseconds since 1970. 0 after no wait.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_before: u64,
    /// The remaining instructions, in reverse order.
    pub rest: Vec<Op>,
    /// What follows after them, the innermost fan-out last.
    pub continuations: Vec<Continuation>,
    /// The frame of the parent run that waits for this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Box<Frame>>,
    /// In the first frame of a run that has continued as new: the contexts with which the incarnations before it ended, as JSON.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<String>,
}

/// What follows after a fan-out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continuation {
    /// How the branches are joined.
    pub join: Join,
    /// The number of branches.
    pub branches: u16,
    /// The position of this branch.
    pub branch: u16,
    /// The path of the branch with the fan-out.
    pub base: String,
    /// The number of the fan-out in it.
    pub at: u16,
    /// The instructions after the fan-out, in reverse order.
    pub rest: Vec<Op>,
}

/// The end of a branch, which is an output of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchOutput {
    /// The path of its last instruction.
    pub path: String,
    /// A digest of all steps that led there.
    pub value: u64,
    /// The run may not end before this time of the server, in microseconds since 1970. 0 after no wait.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_before: u64,
    /// The frame of the parent run that waits for this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Box<Frame>>,
}

/// The decision of the nodes `next` and `doze`: the node that executes the next instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextStep {
    /// To `work`.
    Work(Frame, Vec<Change>),
    /// To `bounded`.
    Bounded(Frame),
    /// To `flaky`.
    Flaky(Frame),
    /// To `slow`.
    Slow(Frame, u16),
    /// To `again`.
    Again(Frame, u8),
    /// To `risky`.
    Caught(Frame, Fault),
    /// To `doomed`.
    Uncaught(Frame, Fault),
    /// To `fan`.
    Fan(Frame, Vec<Vec<Op>>, Join),
    /// To `left` and to `right`.
    Split(Frame, [Vec<Op>; 2]),
    /// To `doze`.
    Wait(Frame, Wait),
    /// To `listen`.
    Listen(Frame, Listen),
    /// To `begin`.
    Limited(Frame, Limit, Haste),
    /// To `child`, with the frame of the child run.
    Child(Frame),
    /// To `renew`.
    Anew(Frame),
    /// To the gathering node `join`.
    Arrive(Frame),
    /// To `held`.
    Hold(Frame),
    /// The end of the branch.
    Done(BranchOutput),
}

impl Frame {
    /// The first frame of a run. `mark` is part of every digest, see [`Input::mark`].
    pub fn new(mut program: Vec<Op>, mark: u64) -> Self {
        program.reverse();
        Self {
            base: String::new(),
            at: 0,
            value: mark,
            mark,
            not_before: 0,
            rest: program,
            continuations: Vec::new(),
            parent: None,
            past: Vec::new(),
        }
    }

    /// The path of the current instruction.
    pub fn path(&self) -> String {
        format!("{}{}", self.base, self.at)
    }

    /// Adds a step to the digest. Returns the name of the step, which is unique in the run.
    pub fn stamp(&mut self, node: &str) -> String {
        let name = format!("{node} {}", self.path());
        self.value = mix(self.value, digest(&name));
        name
    }

    /// The next instruction, or the end of the branch.
    pub fn next_step(mut self) -> NextStep {
        let Some(op) = self.rest.pop() else {
            return match self.continuations.last().map(|continuation| continuation.join) {
                Some(Join::Gathered) => NextStep::Arrive(self),
                Some(Join::Held) => NextStep::Hold(self),
                Some(Join::Loose) | None => NextStep::Done(self.output()),
            };
        };
        match op {
            Op::Work(changes) => NextStep::Work(self, changes),
            Op::Bounded => NextStep::Bounded(self),
            Op::Flaky => NextStep::Flaky(self),
            Op::Slow(millis) => NextStep::Slow(self, millis),
            Op::Again(times) => NextStep::Again(self, times),
            Op::Caught(fault) => NextStep::Caught(self, fault),
            Op::Uncaught(fault) => NextStep::Uncaught(self, fault),
            Op::Fan(branches, join) => NextStep::Fan(self, branches, join),
            Op::Split(branches) => NextStep::Split(self, branches),
            Op::Wait(wait) => NextStep::Wait(self, wait),
            Op::Listen(listen) => NextStep::Listen(self, listen),
            Op::Limited(limit, haste) => NextStep::Limited(self, limit, haste),
            Op::Child(program) => NextStep::Child(Frame {
                value: self.value,
                mark: self.mark,
                not_before: self.not_before,
                parent: Some(Box::new(self)),
                ..Frame::new(program, 0)
            }),
            Op::Anew => NextStep::Anew(self),
            Op::Emit => NextStep::Done(self.output()),
        }
    }

    /// The frame after an instruction.
    #[must_use]
    pub fn done(self) -> Self {
        Self { at: self.at + 1, ..self }
    }

    /// The frames of the branches.
    pub fn branches(self, branches: Vec<Vec<Op>>, join: Join) -> Vec<Self> {
        let count = u16::try_from(branches.len()).unwrap_or(u16::MAX);
        let path = self.path();
        let branch = |(branch, mut program): (u16, Vec<Op>)| {
            program.reverse();
            let mut continuations = self.continuations.clone();
            let Self { base, at, rest, .. } = self.clone();
            continuations.push(Continuation { join, branches: count, branch, base, at, rest });
            Self {
                base: format!("{path}/{branch}."),
                at: 0,
                value: mix(self.value, u64::from(branch)),
                mark: self.mark,
                not_before: self.not_before,
                rest: program,
                continuations,
                parent: self.parent.clone(),
                past: Vec::new(),
            }
        };
        (0..count).zip(branches).map(branch).collect()
    }

    /// The frame after the fan-out that this frame is a branch of. `value` is the digest of its branches.
    #[must_use]
    pub fn leave_fan_out(mut self, value: u64) -> Self {
        match self.continuations.pop() {
            Some(Continuation { base, at, rest, .. }) => Self { base, at, rest, value, ..self },
            None => Self { value, ..self },
        }
    }

    /// Joins the frames that reached a gathering node, in the order of the fan-out; `None` without frames.
    pub fn gather(frames: Vec<Self>) -> Option<Self> {
        let value = frames.iter().fold(7, |value, frame| mix(value, frame.value));
        // The join waits for the time of each value.
        let not_before = frames.iter().map(|frame| frame.not_before).max()?;
        frames.into_iter().next().map(|frame| Self { not_before, ..frame.leave_fan_out(value) })
    }

    /// The frame after a child run with this output; `None` if the child run failed.
    #[must_use]
    pub fn with_child_output(self, value: Option<u64>) -> Self {
        Self { value: mix(self.value, value.unwrap_or(13)), ..self }
    }

    fn output(self) -> BranchOutput {
        BranchOutput {
            path: self.path(),
            value: self.value,
            not_before: self.not_before,
            parent: self.parent,
        }
    }
}

impl BranchOutput {
    /// The output of a gathering node that no branch reached.
    pub fn of_empty_join() -> Self {
        Self { path: "nothing".to_owned(), value: 0, not_before: 0, parent: None }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(time: &u64) -> bool {
    *time == 0
}

/// The digest of the branches of a held join. It does not depend on their order.
pub fn held(values: impl IntoIterator<Item = u64>) -> u64 {
    values.into_iter().fold(0, u64::wrapping_add)
}

fn mix(value: u64, with: u64) -> u64 {
    (value ^ with).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// FNV-1a: good enough to distinguish two histories, and the same in every build.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
