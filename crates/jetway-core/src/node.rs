//! One step's code.

use crate::{Context, Transition};
use async_trait::async_trait;
use jetway_state::{Error, Graph};

/// One step's code: takes an input, may change the context, answers with a [`Transition`].
///
/// A node may run more than once for one step (after a crash, or when a commit has lost a race); only one of these
/// attempts is committed. [`step()`](crate::step()) tells which attempt this is and gives a key that makes calls to
/// other systems idempotent.
///
/// The `node!` macro writes the same in fewer lines.
///
/// ```
/// use jetway_core::{Error, Node, SharedState, Transition};
///
/// /// Splits a text, and counts the texts that were split.
/// #[derive(Debug, Clone)]
/// struct Split;
///
/// #[async_trait::async_trait]
/// impl Node<SharedState<u32>> for Split {
///     type Input = String;
///     type Output = String;
///
///     async fn process(&self, count: &SharedState<u32>, text: String) -> Result<Transition<String>, Error> {
///         if text.is_empty() {
///             return Err(Error::Generic("there is nothing to split".to_owned()));
///         }
///         *count.get().await += 1;
///         Ok(Transition::NextAll(text.split(' ').map(str::to_owned).collect()))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
/// let count = SharedState::new(0);
/// let answer = Split.process(&count, "to be".to_owned()).await;
/// assert_eq!(answer, Ok(Transition::NextAll(vec!["to".to_owned(), "be".to_owned()])));
/// assert_eq!(*count.get().await, 1);
/// # });
/// ```
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a node for the context `{C}`",
    note = "implement `Node<{C}>` for it with #[async_trait], or define it with the `node!` macro and `context = {C};`"
)]
pub trait Node<C: Context = ()>: Send + Sync {
    /// What the node is given.
    type Input: Send + Sync;
    /// What it hands to its successors, or the run's output where it is terminal.
    type Output: Send + Sync;

    /// Runs the node once.
    ///
    /// # Errors
    /// An error fails the step: the run takes the node's `on_failure` edge where it has one, and is Failed otherwise.
    async fn process(&self, ctx: &C, input: Self::Input) -> Result<Transition<Self::Output>, Error>;

    /// The graph of the workflow that the node runs within one step, to be drawn inside of it. Most nodes run none; a
    /// node that wraps another one passes its answer on.
    fn nested(&self) -> Option<Graph> {
        None
    }
}
