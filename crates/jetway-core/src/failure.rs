//! [`Failure`]: the input and the error of a failed node, for the node of its `on_failure` edge.

use jetway_state::Error;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The input and the error of a failed node.
///
/// The target of an `on_failure` edge gets the input of the failed node. A target whose own input type is a `Failure`
/// of that type also gets the error.
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
    /// The input of the failed node.
    pub input: I,
    /// The name of the failed node.
    pub node: String,
    /// The kind of the error: see [`Error::kind`](jetway_state::Error::kind).
    pub kind: String,
    /// The text of the error.
    pub message: String,
}

impl<I> Failure<I> {
    /// The failure of `node` with this input and error.
    pub fn new(input: I, node: &str, error: &Error) -> Self {
        Self { input, node: node.to_owned(), kind: error.kind().to_owned(), message: error.to_string() }
    }
}

impl<I> fmt::Display for Failure<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node `{}` failed: {}", self.node, self.message)
    }
}
