//! The result of a node.

use jetway_state::Error;

/// The result of a node. It decides how the run continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition<Output> {
    /// One value for the successors of the node.
    Next(Output),
    /// A fan-out: one branch for each value and successor. An empty list is a fan-out without branches.
    NextAll(Vec<Output>),
    /// Ends the branch without a value. Changes of the context are kept.
    Hold,
    /// Fails the attempt with this error.
    Abort(Error),
}
