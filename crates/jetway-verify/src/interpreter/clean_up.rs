//! The clean-up of cancelled runs: two steps for each item that was open, with a pause between them and a retry.

use super::{flaky::FailedOnce, ledger::Ledger, listen::Hearing, nodes::enter};
use crate::program::{
    self, BranchOutput, Change, Fault, Frame, Haste, Limit, Limited, Listen, Op, Wait, micros,
};
use async_trait::async_trait;
use jetway::{Error, Failure, Node, Transition, node, step};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fmt::Debug,
    marker::PhantomData,
    time::{Duration, SystemTime},
};

/// The begin of the name of the first step of a clean-up. The name of the step that it cleans up after follows.
pub(crate) const UNDO: &str = "undo ";

/// The same for the second step.
pub(crate) const WIPE: &str = "wipe ";

/// The pause between them.
const PAUSE: Duration = Duration::from_millis(60);

/// The input of a node that may be cancelled.
pub trait Open {
    /// The position of the run at which `node` was to run; `None` for the join of no branches.
    fn at(&self, node: &str) -> Option<Frame>;

    /// The name of the step of `node`.
    fn step(&self, node: &str) -> String {
        match self.at(node) {
            Some(frame) => format!("{} {}", self.step_name(node), frame.path()),
            None => BranchOutput::of_empty_join().path,
        }
    }

    /// The same without the position.
    fn step_name(&self, node: &str) -> String {
        node.to_owned()
    }
}

impl Open for Frame {
    fn at(&self, node: &str) -> Option<Frame> {
        Some(match &self.parent {
            // The input of a node that starts a child run is the first frame of that run.
            Some(parent) if node == "child" => Frame::clone(parent),
            _ => self.clone(),
        })
    }
}

impl Open for Vec<Frame> {
    fn at(&self, _node: &str) -> Option<Frame> {
        Frame::gather(self.clone())
    }
}

impl Open for BranchOutput {
    fn at(&self, _node: &str) -> Option<Frame> {
        self.parent.as_deref().cloned()
    }
}

impl Open for (Frame, u8) {
    fn at(&self, _node: &str) -> Option<Frame> {
        Some(self.0.clone())
    }

    fn step_name(&self, node: &str) -> String {
        format!("{node}-{}", self.1)
    }
}

impl Open for (Frame, Wait) {
    fn at(&self, _node: &str) -> Option<Frame> {
        Some(self.0.clone())
    }

    fn step_name(&self, _node: &str) -> String {
        self.1.step().to_owned()
    }
}

impl Open for (Frame, Listen) {
    fn at(&self, _node: &str) -> Option<Frame> {
        Some(self.0.clone())
    }

    fn step_name(&self, _node: &str) -> String {
        self.1.step().to_owned()
    }
}

/// Inputs that begin with the frame.
macro_rules! open {
    ($($input:ty: |$this:ident| $frame:expr;)*) => {
        $(impl Open for $input {
            fn at(&self, node: &str) -> Option<Frame> {
                let $this = self;
                $frame.at(node)
            }
        })*
    };
}

open! {
    (Frame, Vec<Change>): |input| input.0;
    (Frame, u16): |input| input.0;
    (Frame, Fault): |input| input.0;
    (Frame, Vec<Vec<Op>>, program::Join): |input| input.0;
    (Frame, [Vec<Op>; 2]): |input| input.0;
    (Frame, Limit, Haste): |input| input.0;
    Hearing: |input| input.frame;
    Limited: |input| input.frame;
}

impl<I: Open> Open for Failure<I> {
    fn at(&self, _node: &str) -> Option<Frame> {
        self.input.at("child")
    }
}

/// What the first step of a clean-up passes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    step: String,
    mark: u64,
    not_before: u64,
}

/// The first step of the clean-up after a node.
#[derive(Debug, Clone)]
pub struct Undo<I> {
    step: &'static str,
    input: PhantomData<fn() -> I>,
}

impl<I> Undo<I> {
    /// `step`: what the node calls its steps.
    pub(super) fn of(step: &'static str) -> Self {
        Self { step, input: PhantomData }
    }
}

#[async_trait]
impl<I> Node<Ledger> for Undo<I>
where
    I: Open + Debug + Clone + Send + Sync + Serialize + DeserializeOwned + 'static,
{
    type Input = I;
    type Output = Undone;

    async fn process(&self, ctx: &Ledger, input: I) -> Result<Transition<Undone>, Error> {
        let step_name = input.step(self.step);
        let (mark, past) =
            input.at(self.step).map_or_else(Default::default, |frame| (frame.mark, frame.past));
        ctx.remember(past);
        // An item that waited for a time is cleaned up at once.
        enter(ctx, &format!("{UNDO}{step_name}"), mark, 0)?;
        let now = step().map_or_else(SystemTime::now, |step| step.now());
        let not_before = micros(now + PAUSE) / 1000 * 1000;
        Ok(Transition::NextAfter(PAUSE, Undone { step: step_name, mark, not_before }))
    }
}

node! {
    /// The second step of a clean-up, which fails once.
    #[derive(Default)]
    pub struct Wipe { failed: FailedOnce };
    context = Ledger; input = Undone; output = ();
    |ctx, undone| {
        let Undone { step: step_name, mark, not_before } = undone;
        if self.failed.fails_now(&step_name) {
            return Err(Error::Generic("wipe: fails once".to_owned()));
        }
        enter(ctx, &format!("{WIPE}{step_name}"), mark, not_before)?;
        Ok(Transition::Next(()))
    }
}
