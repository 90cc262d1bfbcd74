//! Programs: what a run of the verifier does, as data that travels through the run.
//!
//! A program is the input of a run. The nodes of [`Play`](crate::play::Play) interpret it: `next` looks at what is to
//! be done, and hands the frame to the node that does it. All that follows from a frame alone is here, as pure
//! functions, so that the nodes and the [model](crate::model) agree on what a program means, and differ in who carries
//! it out: an engine under faults, or a loop.

mod random;

pub use random::Taste;

use serde::{Deserialize, Serialize};

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Changes the context.
    Work(Vec<Touch>),
    /// Waits for a place at a node that takes only so many items at a time.
    Narrow,
    /// Fails once and is tried again within its step.
    Shaky,
    /// Takes so many milliseconds.
    Linger(u16),
    /// Goes round in a circle so many times.
    Again(u8),
    /// Fails, and a fallback goes on.
    Caught(Fault),
    /// Fails, and the run with it.
    Uncaught(Fault),
    /// Goes on in branches.
    Fan(Vec<Vec<Op>>, Join),
    /// Starts a child run and waits for it.
    Child(Vec<Op>),
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

/// How the branches of a fan-out come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Join {
    /// At a gathering node.
    Gathered,
    /// By the context: every branch notes that it is there, and holds unless it is the last.
    Held,
    /// Not at all: each gives an output.
    Loose,
}

/// A change of the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Touch {
    /// Adds to the counter.
    Count(i64),
    /// Inserts into the set.
    Tag(u8),
    /// Adds to an entry of the map.
    Tally(u8, i64),
    /// Appends an event.
    Log,
    /// Writes the register.
    Mark,
    /// Changes the value of one of the standard types.
    Plain(Plain),
}

/// A change of a value of one of the standard types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Plain {
    /// Adds to an integer.
    Total(i64),
    /// Adds to a float.
    Ratio(i32),
    /// Appends to a `Vec`.
    Numbers(u32),
    /// Appends four letters to a `String`.
    Words(u16),
    /// Adds to an entry of a `HashMap`.
    Table(u8, i64),
    /// Adds to an entry of a `BTreeMap`.
    Tree(u8, i64),
    /// Inserts into a `HashSet`.
    Names(u8),
    /// Inserts into a `BTreeSet`.
    Order(u8),
    /// Adds to an `Option`.
    Maybe(i64),
    /// Adds to the first and appends to the second part of a tuple.
    Pair(i64, u32),
    /// Sets a `bool`.
    Flag,
}

/// Where a run is in its program: the input of nearly every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The place of the branch.
    pub base: String,
    /// Counts the instructions of the branch.
    pub at: u16,
    /// Stands for everything that led here.
    pub value: u64,
    /// What is to be done, the next one last.
    pub rest: Vec<Op>,
    /// What follows when that is done, the innermost last.
    pub then: Vec<Then>,
    /// The frame of the run that waits for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Box<Frame>>,
}

/// What follows a fan-out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Then {
    /// How the branches come together.
    pub join: Join,
    /// How many there are.
    pub branches: u16,
    /// Which one this is.
    pub branch: u16,
    /// The place of the fan-out.
    pub base: String,
    /// Its count.
    pub at: u16,
    /// What is to be done after it.
    pub rest: Vec<Op>,
}

/// The end of a branch: an output of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// Where the branch ended.
    pub path: String,
    /// Stands for everything that led there.
    pub value: u64,
    /// The frame of the run that waits for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Box<Frame>>,
}

/// What `next` decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// To `work`.
    Work(Frame, Vec<Touch>),
    /// To `narrow`.
    Narrow(Frame),
    /// To `shaky`.
    Shaky(Frame),
    /// To `linger`.
    Linger(Frame, u16),
    /// To `again`.
    Again(Frame, u8),
    /// To `risky`.
    Caught(Frame, Fault),
    /// To `doomed`.
    Uncaught(Frame, Fault),
    /// To `fan`.
    Fan(Frame, Vec<Vec<Op>>, Join),
    /// To `child`, with the frame of the child run.
    Child(Frame),
    /// To the gathering node `join`.
    Arrive(Frame),
    /// To `held`.
    Hold(Frame),
    /// Out of the run.
    Done(Closing),
}

impl Frame {
    /// The first frame of a run.
    pub fn new(mut program: Vec<Op>) -> Self {
        program.reverse();
        Self { base: String::new(), at: 0, value: 1, rest: program, then: Vec::new(), parent: None }
    }

    /// Where the frame is.
    pub fn path(&self) -> String {
        format!("{}{}", self.base, self.at)
    }

    /// Takes note of a step in the value; returns its name, which no other step of the run has.
    pub fn stamp(&mut self, node: &str) -> String {
        let name = format!("{node} {}", self.path());
        self.value = mix(self.value, digest(&name));
        name
    }

    /// What is to be done next.
    pub fn turn(mut self) -> Turn {
        let Some(op) = self.rest.pop() else {
            return match self.then.last().map(|then| then.join) {
                Some(Join::Gathered) => Turn::Arrive(self),
                Some(Join::Held) => Turn::Hold(self),
                Some(Join::Loose) | None => Turn::Done(self.closing()),
            };
        };
        match op {
            Op::Work(touches) => Turn::Work(self, touches),
            Op::Narrow => Turn::Narrow(self),
            Op::Shaky => Turn::Shaky(self),
            Op::Linger(millis) => Turn::Linger(self, millis),
            Op::Again(times) => Turn::Again(self, times),
            Op::Caught(fault) => Turn::Caught(self, fault),
            Op::Uncaught(fault) => Turn::Uncaught(self, fault),
            Op::Fan(branches, join) => Turn::Fan(self, branches, join),
            Op::Child(program) => {
                Turn::Child(Frame { value: self.value, parent: Some(Box::new(self)), ..Frame::new(program) })
            }
            Op::Emit => Turn::Done(self.closing()),
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
            let mut then = self.then.clone();
            let Self { base, at, rest, .. } = self.clone();
            then.push(Then { join, branches: count, branch, base, at, rest });
            Self {
                base: format!("{path}/{branch}."),
                at: 0,
                value: mix(self.value, u64::from(branch)),
                rest: program,
                then,
                parent: self.parent.clone(),
            }
        };
        (0..count).zip(branches).map(branch).collect()
    }

    /// The frame after the fan-out that this one is a branch of, with the value that came of its branches.
    #[must_use]
    pub fn leave(mut self, value: u64) -> Self {
        match self.then.pop() {
            Some(Then { base, at, rest, .. }) => Self { base, at, rest, value, ..self },
            None => Self { value, ..self },
        }
    }

    /// Brings frames together that reached a gathering node, in the order of the fan-out.
    pub fn gather(frames: Vec<Self>) -> Option<Self> {
        let value = frames.iter().fold(7, |value, frame| mix(value, frame.value));
        frames.into_iter().next().map(|frame| frame.leave(value))
    }

    /// The frame with what came of the child run that it waited for; `None` where that failed.
    #[must_use]
    pub fn adopt(self, value: Option<u64>) -> Self {
        Self { value: mix(self.value, value.unwrap_or(13)), ..self }
    }

    fn closing(self) -> Closing {
        Closing { path: self.path(), value: self.value, parent: self.parent }
    }
}

impl Closing {
    /// The output of a gathering node that nothing reached.
    pub fn of_nothing() -> Self {
        Self { path: "nothing".to_owned(), value: 0, parent: None }
    }
}

/// What the branches of a held join have noted, brought together in no order.
pub fn held(values: impl IntoIterator<Item = u64>) -> u64 {
    values.into_iter().fold(0, u64::wrapping_add)
}

fn mix(value: u64, with: u64) -> u64 {
    (value ^ with).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// FNV-1a: spread well enough to tell one history from another, and the same in every build.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
