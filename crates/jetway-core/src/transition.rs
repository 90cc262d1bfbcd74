//! The result of a node.

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
    /// Ends the branch without a value. Changes of the context are kept.
    Hold,
    /// Fails the attempt with this error.
    Abort(Error),
}
