//! [`BatchNode`]: many inputs in one step.

use crate::{Context, Node, Transition, step::within_part};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use jetway_state::{Error, Graph};
use std::marker::PhantomData;

/// Runs a node for each input of a list, several at a time, within one step.
///
/// The inputs are processed concurrently in the task of the step, so this is for nodes that wait, not for nodes that
/// compute. After a crash all inputs are processed again; use a fan-out where each one must be durable on its own.
///
/// ```
/// use jetway_core::{Error, Node, Transition, batch::BatchNode};
///
/// #[derive(Debug, Clone)]
/// struct Double;
///
/// #[async_trait::async_trait]
/// impl Node for Double {
///     type Input = u32;
///     type Output = u32;
///     async fn process(&self, _ctx: &(), input: u32) -> Result<Transition<u32>, Error> {
///         Ok(Transition::Next(input * 2))
///     }
/// }
///
/// # fn main() {
/// let batch = BatchNode::new(Double, 2);
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
/// assert_eq!(runtime.block_on(batch.process_batch((), vec![1, 2, 3])), Ok(vec![2, 4, 6]));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct BatchNode<C: Context, N: Node<C>> {
    /// The node that runs for each input.
    pub node: N,
    /// The most inputs that are processed at once; 0 counts as 1.
    pub batch_size: usize,
    context: PhantomData<fn() -> C>,
}

impl<C: Context, N: Node<C>> BatchNode<C, N> {
    /// Runs `node` for each input, at most `batch_size` at once.
    pub fn new(node: N, batch_size: usize) -> Self {
        Self { node, batch_size, context: PhantomData }
    }

    /// Processes all inputs and returns the outputs in the order of the inputs: one value for `Next`, several for
    /// `NextAll`, none for `Hold`.
    ///
    /// # Errors
    /// The first error, in the order of the inputs. Nodes that still run are then dropped.
    pub async fn process_batch(&self, ctx: C, inputs: Vec<N::Input>) -> Result<Vec<N::Output>, Error> {
        self.all(&ctx, inputs).await
    }

    async fn all(&self, ctx: &C, inputs: Vec<N::Input>) -> Result<Vec<N::Output>, Error> {
        // Collected first: a lazy iterator in the stream would make this future not `Send`. Nothing runs before the
        // poll.
        let calls = inputs.into_iter().map(|input| self.node.process(ctx, input)).enumerate();
        let futures: Vec<_> = calls.map(|(position, call)| within_part(position, call)).collect();
        let mut results = stream::iter(futures).buffered(self.batch_size.max(1));
        let mut outputs = Vec::new();
        while let Some(result) = results.try_next().await? {
            match result {
                Transition::Next(output) => outputs.push(output),
                Transition::NextAll(values) => outputs.extend(values),
                Transition::NextAfter(..) | Transition::NextAt(..) => return Err(cannot_wait()),
                Transition::WaitFor(_) => return Err(cannot_wait()),
                Transition::ContinueAsNew(_) => return Err(cannot_wait()),
                Transition::Hold => {}
                Transition::Abort(error) => return Err(error),
            }
        }
        Ok(outputs)
    }
}

/// The inputs of a batch are one step: it can wait as a whole, and not for one of them.
fn cannot_wait() -> Error {
    Error::Generic(
        "a node in a batch cannot return NextAfter, NextAt, WaitFor or ContinueAsNew: do so in a node before or behind the batch"
            .to_owned(),
    )
}

#[async_trait]
impl<C: Context, N: Node<C>> Node<C> for BatchNode<C, N> {
    type Input = Vec<N::Input>;
    type Output = Vec<N::Output>;

    async fn process(&self, ctx: &C, inputs: Self::Input) -> Result<Transition<Self::Output>, Error> {
        Ok(Transition::Next(self.all(ctx, inputs).await?))
    }

    fn nested(&self) -> Option<Graph> {
        self.node.nested()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::Relaxed},
        },
        time::Duration,
    };

    /// Counts how many inputs are processed at once. An input of n takes n seconds; some return no `Next`.
    #[derive(Debug, Clone, Default)]
    struct Slow {
        now: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
    }

    #[async_trait]
    impl Node for Slow {
        type Input = u64;
        type Output = u64;

        async fn process(&self, _ctx: &(), input: u64) -> Result<Transition<u64>, Error> {
            self.most.fetch_max(self.now.fetch_add(1, Relaxed) + 1, Relaxed);
            tokio::time::sleep(Duration::from_secs(input)).await;
            self.now.fetch_sub(1, Relaxed);
            Ok(match input {
                7 => Transition::NextAll(vec![70, 71]),
                8 => Transition::Hold,
                9 => Transition::Abort(Error::Generic("nine".to_owned())),
                10 => return Err(Error::Generic("ten".to_owned())),
                _ => Transition::Next(input),
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn outputs_are_in_the_order_of_the_inputs() {
        let batch = BatchNode::new(Slow::default(), 3);
        let began = tokio::time::Instant::now();
        let answer = batch.process(&(), vec![5, 1, 8, 7, 2, 0]).await;
        assert_eq!(answer, Ok(Transition::Next(vec![5, 1, 70, 71, 2, 0])));
        assert_eq!(batch.node.most.load(Relaxed), 3);
        // A free slot is used at once: no input waits for the slowest of its group.
        assert!(began.elapsed() < Duration::from_secs(5 + 8));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_error_is_returned() {
        let batch = BatchNode::new(Slow::default(), 0);
        assert_eq!(
            batch.process_batch((), vec![1, 9, 2]).await,
            Err(Error::Generic("nine".to_owned())),
            "an abort"
        );
        assert_eq!(batch.process_batch((), vec![1, 10, 2]).await, Err(Error::Generic("ten".to_owned())));
        assert_eq!(batch.process_batch((), Vec::new()).await, Ok(Vec::new()));
        assert_eq!(batch.node.most.load(Relaxed), 1);
    }
}
