//! The [`Node`] trait.

use crate::{Context, Transition, signal::SignalType};
use async_trait::async_trait;
use jetway_state::{Error, Graph};

/// The code of one step: takes the context and an input, returns a [`Transition`].
///
/// A node may run more than once for one step, for example after a crash. Only one of these attempts is committed.
/// [`step()`](crate::step()) has the number of the attempt and a key that makes calls to other systems idempotent.
///
/// The `node!` macro implements this trait in fewer lines.
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
///             return Err(Error::Generic("the text is empty".to_owned()));
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
    /// The input.
    type Input: Send + Sync;
    /// The input of its successors, or the output of the run where the node is terminal.
    type Output: Send + Sync;

    /// Runs the node once.
    ///
    /// # Errors
    /// An error fails the attempt. Without a retry, the run takes the node's `on_failure` edge where it has one, and
    /// fails otherwise.
    async fn process(&self, ctx: &C, input: Self::Input) -> Result<Transition<Self::Output>, Error>;

    /// The graph of the workflow that the node runs, which is drawn inside of the node. A node that wraps another one
    /// returns that node's graph. The default is none.
    fn nested(&self) -> Option<Graph> {
        None
    }

    /// The signals that the node may wait for, with the types of their payloads. A node that wraps another one returns those of
    /// that node. The default is none. See [`Transition::WaitFor`].
    fn signals(&self) -> Vec<SignalType> {
        Vec::new()
    }
}
