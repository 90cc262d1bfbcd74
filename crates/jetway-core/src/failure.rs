//! What a fallback node can be told.

use jetway_state::Error;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The input of a node that failed, and what it failed with: the input of a fallback node that asks for it.
///
/// An `on_failure` edge gives its fallback the input that the failed node had. A fallback whose own input is a
/// `Failure` of that type is told the error as well.
///
/// ```
/// # extern crate jetway_core as jetway;
/// use jetway::{Error, Failure, Transition, Workflow, WorkflowCtx};
/// # use jetway_macros::{node, workflow};
///
/// node! {
///     pub struct Parse;
///     input = String;
///     output = i64;
///     |_, text| match text.parse() {
///         Ok(number) => Ok(Transition::Next(number)),
///         Err(error) => Err(Error::Generic(format!("{error}"))),
///     }
/// }
/// node! {
///     pub struct Explain;
///     input = Failure<String>;
///     output = i64;
///     |_, failure| {
///         assert_eq!(failure.to_string(), "node `parse` failed: Generic error: invalid digit found in string");
///         assert_eq!(failure.input, "four");
///         Ok(Transition::Next(-1))
///     }
/// }
/// workflow! {
///     pub struct Reading { parse: Parse, explain: Explain }
///     start = parse;
///     edges { parse => []; parse on_failure => [explain]; explain => []; }
/// }
/// # fn main() {
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
/// let ctx = WorkflowCtx::new(());
/// let reading = Reading { parse: Parse, explain: Explain };
/// assert_eq!(runtime.block_on(reading.run(&ctx, "four".to_owned())), Ok(-1));
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Failure<I> {
    /// What the node was given.
    pub input: I,
    /// The node's name.
    pub node: String,
    /// A short stable word for the kind of error, as of [`Error::kind`](jetway_state::Error::kind).
    pub kind: String,
    /// The error in words.
    pub message: String,
}

impl<I> Failure<I> {
    /// What `node` had as `input` when it failed with `error`.
    pub fn new(input: I, node: &str, error: &Error) -> Self {
        Self { input, node: node.to_owned(), kind: error.kind().to_owned(), message: error.to_string() }
    }
}

impl<I> fmt::Display for Failure<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node `{}` failed: {}", self.node, self.message)
    }
}
