//! [`Source`]: starts a run within this process for each value of a channel.

use crate::{Context, Workflow, WorkflowCtx};
use jetway_state::Error;
use std::{fmt, marker::PhantomData, ops::ControlFlow, sync::Arc};
use tokio::sync::{Mutex, mpsc};

/// Runs a workflow for each value of a channel. Clones share the channel: each value goes to one of them.
pub struct Source<C, O> {
    values: Arc<Mutex<mpsc::Receiver<O>>>,
    context: PhantomData<fn() -> C>,
}

/// A channel of at most `capacity` values, and a source that receives them.
///
/// ```
/// use jetway_core::{Error, Transition, Workflow, WorkflowCtx, source};
/// # extern crate jetway_core as jetway;
/// # use jetway_macros::{node, workflow};
///
/// node! { pub struct Double; input = u64; output = u64; |_, x| Ok(Transition::Next(x * 2)) }
/// workflow! { pub struct Doubling { double: Double } start = double; edges { double => []; } }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let (values, source) = source::<(), u64>(10);
/// values.send(1).await?;
/// values.send(2).await?;
/// drop(values);
/// source.run(&Doubling { double: Double }, &WorkflowCtx::new(())).await?;
/// # Ok(())
/// # }
/// # fn main() {
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
/// # runtime.block_on(example()).expect("it runs");
/// # }
/// ```
pub fn source<C: Context, O: Send + Sync>(capacity: usize) -> (mpsc::Sender<O>, Source<C, O>) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (sender, Source::new(receiver))
}

impl<C, O> Source<C, O> {
    /// A source that receives from `receiver`.
    pub fn new(receiver: mpsc::Receiver<O>) -> Self {
        Self { values: Arc::new(Mutex::new(receiver)), context: PhantomData }
    }
}

impl<C: Context, O: Send + Sync> Source<C, O> {
    /// Runs the workflow for one value after the other, until the channel is closed and empty.
    ///
    /// # Errors
    /// The error of the first run that fails. The other values stay in the channel for another call.
    /// [`Error::Cancelled`] where the context is cancelled.
    pub async fn run<W>(&self, workflow: &W, ctx: &WorkflowCtx<C>) -> Result<(), Error>
    where
        W: Workflow<C, Input = O>,
    {
        let mut failed = Ok(());
        self.run_each(workflow, ctx, |ended| match ended {
            Ok(_output) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Err(error);
                ControlFlow::Break(())
            }
        })
        .await?;
        failed
    }

    /// Runs the workflow for one value after the other. Calls `ended` with the result of each run; it decides whether
    /// to continue.
    ///
    /// # Errors
    /// [`Error::Cancelled`] where the context is cancelled.
    pub async fn run_each<W>(
        &self,
        workflow: &W,
        ctx: &WorkflowCtx<C>,
        mut ended: impl FnMut(Result<W::Output, Error>) -> ControlFlow<()> + Send,
    ) -> Result<(), Error>
    where
        W: Workflow<C, Input = O>,
    {
        while let Some(value) = self.next(ctx).await? {
            if ended(workflow.run(ctx, value).await).is_break() {
                break;
            }
        }
        Ok(())
    }

    async fn next(&self, ctx: &WorkflowCtx<C>) -> Result<Option<O>, Error> {
        // One clone waits for the channel while it holds the lock; the others wait for the lock.
        let next = async { self.values.lock().await.recv().await };
        tokio::select! {
            biased;
            () = ctx.cancelled() => Err(Error::Cancelled),
            value = next => Ok(value),
        }
    }
}

impl<C, O> Clone for Source<C, O> {
    fn clone(&self) -> Self {
        Self { values: Arc::clone(&self.values), context: PhantomData }
    }
}

impl<C, O> fmt::Debug for Source<C, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}
