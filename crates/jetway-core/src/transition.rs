//! What a node answers.

use jetway_state::Error;

/// What a node answers: where the run goes from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition<Output> {
    /// One value for the node's successors.
    Next(Output),
    /// Many values: a fan-out, one branch for each value and successor. No value at all is a fan-out of nothing.
    NextAll(Vec<Output>),
    /// This branch ends here without a value. What the node did to the context is kept.
    Hold,
    /// The step fails with this error.
    Abort(Error),
}
