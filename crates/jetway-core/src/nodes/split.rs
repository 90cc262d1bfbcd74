//! [`SplitNode`]: a function that splits one value into many.

use crate::{Context, Node, Transition};
use async_trait::async_trait;
use jetway_state::Error;
use std::{fmt, marker::PhantomData};

/// Opens a fan-out: a function splits the input into the values of the branches.
///
/// ```
/// use jetway_core::{Node, Transition, split::SplitNode};
///
/// let words: SplitNode<String, String, fn(String) -> Vec<String>> =
///     SplitNode::new(|text: String| text.split(' ').map(ToOwned::to_owned).collect());
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
/// let answer = runtime.block_on(words.process(&(), "to and fro".to_owned()));
/// assert_eq!(answer, Ok(Transition::NextAll(vec!["to".to_owned(), "and".to_owned(), "fro".to_owned()])));
/// ```
#[derive(Clone)]
pub struct SplitNode<I, O, F>
where
    F: Fn(I) -> Vec<O> + Send + Sync,
{
    split: F,
    values: PhantomData<fn(I) -> O>,
}

impl<I, O, F> SplitNode<I, O, F>
where
    F: Fn(I) -> Vec<O> + Send + Sync,
{
    /// A node that calls `split` with its input.
    pub fn new(split: F) -> Self {
        Self { split, values: PhantomData }
    }
}

impl<I, O, F> fmt::Debug for SplitNode<I, O, F>
where
    F: Fn(I) -> Vec<O> + Send + Sync,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SplitNode").finish_non_exhaustive()
    }
}

#[async_trait]
impl<C, I, O, F> Node<C> for SplitNode<I, O, F>
where
    C: Context,
    I: Send + Sync + 'static,
    O: Send + Sync + 'static,
    F: Fn(I) -> Vec<O> + Send + Sync,
{
    type Input = I;
    type Output = O;

    async fn process(&self, _ctx: &C, input: I) -> Result<Transition<O>, Error> {
        Ok(Transition::NextAll((self.split)(input)))
    }
}
