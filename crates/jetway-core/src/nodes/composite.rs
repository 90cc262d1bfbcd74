//! [`CompositeNode`]: a workflow as one step of another workflow.

use crate::{Context, Node, Transition, Workflow, WorkflowCtx, merge::sharing, step};
use async_trait::async_trait;
use jetway_state::{Error, Graph};
use std::{fmt, marker::PhantomData, time::Duration};

/// Runs a whole workflow in this process, within one step.
///
/// The inner workflow uses the context of the step, so the changes of its nodes are part of the step. After a crash it
/// starts from its beginning. Where that is too expensive, use a [`ChildRun`](crate::ChildRun).
///
/// Nobody can send a signal to the inner workflow, which is no run of its own: a node of it that waits for one without a deadline
/// fails the step, so its signals are not among those of the outer workflow. A [`ChildRun`](crate::ChildRun) takes signals.
///
/// ```
/// use jetway_core::{Error, Transition, Workflow, WorkflowCtx, CompositeNode};
/// # extern crate jetway_core as jetway;
/// # use jetway_macros::{node, workflow};
///
/// node! { pub struct Double; input = u64; output = u64; |_, x| Ok(Transition::Next(x * 2)) }
/// workflow! { pub struct Inner { double: Double } start = double; edges { double => []; } }
/// workflow! {
///     pub struct Outer { inner: CompositeNode<(), Inner>, again: Double }
///     start = inner;
///     edges { inner => [again]; again => []; }
/// }
///
/// # fn main() {
/// let ctx = WorkflowCtx::new(());
/// let outer = Outer { inner: CompositeNode::new(Inner { double: Double }, &ctx), again: Double };
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
/// assert_eq!(runtime.block_on(outer.run(&ctx, 3)), Ok(12));
/// # }
/// ```
#[derive(Clone)]
pub struct CompositeNode<C: Context, W> {
    workflow: W,
    timeout: Option<Duration>,
    context: PhantomData<fn() -> C>,
}

impl<C: Context, W> CompositeNode<C, W> {
    /// A node that runs `workflow`. It takes from `ctx` the time limit of each inner step, and nothing else. The inner
    /// workflow has the clock of the step that it runs in, and is cancelled when that step is cancelled.
    pub fn new(workflow: W, ctx: &WorkflowCtx<C>) -> Self {
        Self { workflow, timeout: ctx.timeout(), context: PhantomData }
    }
}

impl<C: Context, W: fmt::Debug> fmt::Debug for CompositeNode<C, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompositeNode").field("workflow", &self.workflow).finish_non_exhaustive()
    }
}

#[async_trait]
impl<C, W> Node<C> for CompositeNode<C, W>
where
    C: Context,
    W: Workflow<C>,
{
    type Input = W::Input;
    type Output = W::Output;

    async fn process(&self, ctx: &C, input: W::Input) -> Result<Transition<W::Output>, Error> {
        let mut inner = WorkflowCtx::new(sharing(ctx));
        if let Some(step) = step() {
            inner = inner.cancelled_by(step.cancel_token().child_token()).with_clock(step.clock());
        }
        if let Some(limit) = self.timeout {
            inner.set_timeout(limit);
        }
        Ok(Transition::Next(self.workflow.run(&inner, input).await?))
    }

    fn nested(&self) -> Option<Graph> {
        Some(self.workflow.graph())
    }
}
