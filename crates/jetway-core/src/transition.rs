//! The result of a node.

use crate::{new_input::NewInput, wait_for::WaitFor};
use jetway_state::Error;
use std::time::{Duration, SystemTime};

/// The result of a node. It decides how the run continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition<Output> {
    /// One value for the successors of the node.
    Next(Output),
    /// One value, which is passed on after this time: the run waits, without a worker, a slot or a lease. Zero is no wait.
    ///
    /// The time counts from the end of the step. It is never less, and seldom more than half a second longer. 100 years is the most:
    /// more fails the step with [`Error::TimeOutOfRange`].
    NextAfter(Duration, Output),
    /// One value, which is passed on at this time, by the clock of the server. A time that has passed is no wait.
    NextAt(SystemTime, Output),
    /// A fan-out: one branch for each value and successor. An empty list is a fan-out without branches.
    NextAll(Vec<Output>),
    /// Waits for signals: named messages that somebody sends to the run. The run waits without a worker, a slot or a lease, for
    /// milliseconds or for years.
    ///
    /// When a signal has come, or the deadline has passed, the same node runs again, with the same input, and
    /// [`StepScope::answer`](crate::step::StepScope::answer) has the signals. A signal that came before anybody waits for it is
    /// there at once. What the waiting attempt has changed in the context is not kept. The names are those that the nodes of the
    /// workflow declare: see [`Node::signals`](crate::Node::signals).
    ///
    /// ```
    /// use jetway_core::{Answer, Error, Node, SignalType, Transition, WaitFor, step};
    ///
    /// /// Waits until somebody names a price.
    /// #[derive(Debug, Clone)]
    /// struct AskPrice;
    ///
    /// #[async_trait::async_trait]
    /// impl Node for AskPrice {
    ///     type Input = String;
    ///     type Output = u32;
    ///
    ///     async fn process(&self, _ctx: &(), _what: String) -> Result<Transition<u32>, Error> {
    ///         match step().and_then(|step| step.answer()) {
    ///             None => Ok(Transition::WaitFor(WaitFor::signal("price").within(std::time::Duration::from_hours(72)))),
    ///             Some(Answer::Signals(prices)) => Ok(Transition::Next(prices[0].payload()?)),
    ///             Some(Answer::DeadlinePassed) => Ok(Transition::Next(0)),
    ///         }
    ///     }
    ///
    ///     fn signals(&self) -> Vec<SignalType> {
    ///         vec![SignalType::of::<u32>("price")]
    ///     }
    /// }
    /// ```
    WaitFor(WaitFor),
    /// The run goes on as new: under its id, with this input for its start node, a fresh context, and none of what it has done so far.
    /// For loops that never end. A value of the type that the start node takes becomes such an input with `into()`.
    ///
    /// Nothing else of the run may be open: otherwise the step fails with [`Error::BranchesOpen`]. Signals that no step has taken, the
    /// deadline, and outputs go along. The change of the context by this step is dropped.
    ///
    /// ```
    /// use jetway_core::{Transition, Workflow, WorkflowCtx};
    /// # extern crate jetway_core as jetway;
    /// # use jetway_macros::{node, workflow};
    ///
    /// node! {
    ///     pub struct CountDown; input = u32; output = &'static str;
    ///     |_ctx, from| Ok(match from {
    ///         0 => Transition::Next("lift-off"),
    ///         number => Transition::ContinueAsNew((number - 1).into()),
    ///     })
    /// }
    /// ```
    ContinueAsNew(NewInput),
    /// Ends the branch without a value. Changes of the context are kept.
    Hold,
    /// Fails the attempt with this error.
    Abort(Error),
}
