//! [`ChildRun`]: a node that starts another run and waits for its result.

use crate::{
    Context, Merge, Node, Transition, Workflow, WorkflowCtx,
    step::{ChildSpec, run_input_of, step},
    typed::Typed,
};
use async_trait::async_trait;
use jetway_state::{Error, Graph, value};
use std::{fmt, marker::PhantomData, sync::Arc};

/// Starts another run and returns its output when that run has ended.
///
/// On hosts the child is a run with its own run id, snapshot and context, which starts as `C::default()`. Its span is a
/// child of the step's span.
///
/// - While the step waits it holds no worker, no slot and no ticket.
/// - A host must serve the child's workflow.
/// - A child that fails fails the step, so an `on_failure` edge can handle it.
/// - When the parent ends, a child that still runs is cancelled.
/// - Each child that is waited for takes space in the parent's snapshot. Limit a fan-out over thousands with `#[at_most]`.
/// - The result of a child expires as other results do. If the parent is paused for longer, the step fails.
///
/// Within one process (see [`Workflow::run`]) the child runs inside of the step, as in a
/// [`CompositeNode`](crate::CompositeNode), but with its own context.
///
/// ```
/// use jetway_core::{ChildRun, Error, Transition, Workflow, WorkflowCtx};
/// # extern crate jetway_core as jetway;
/// # use jetway_macros::{node, workflow};
///
/// node! { pub struct Double; input = u64; output = u64; |_, x| Ok(Transition::Next(x * 2)) }
/// workflow! { pub struct Doubling { double: Double } name = "doubling"; start = double; edges { double => []; } }
/// workflow! {
///     pub struct Twice { child: ChildRun<(), Doubling>, again: Double }
///     start = child;
///     edges { child => [again]; again => []; }
/// }
///
/// # fn main() {
/// let twice = Twice { child: ChildRun::new(Doubling { double: Double }), again: Double };
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
/// assert_eq!(runtime.block_on(twice.run(&WorkflowCtx::new(()), 3)), Ok(12));
/// # }
/// ```
pub struct ChildRun<C, W> {
    workflow: W,
    context: PhantomData<fn() -> C>,
}

impl<C, W> ChildRun<C, W> {
    /// A node that runs `workflow` as a child run.
    pub fn new(workflow: W) -> Self {
        Self { workflow, context: PhantomData }
    }
}

#[async_trait]
impl<P, C, W> Node<P> for ChildRun<C, W>
where
    P: Context,
    C: Context + Merge + 'static,
    W: Workflow<C> + 'static,
{
    type Input = W::Input;
    type Output = W::Output;

    async fn process(&self, _ctx: &P, input: W::Input) -> Result<Transition<W::Output>, Error> {
        let step = step();
        let Some(child) = step.as_ref().and_then(|step| step.child()) else {
            let mut ctx = WorkflowCtx::new(C::default());
            if let Some(step) = step {
                ctx = ctx.cancelled_by(step.cancel_token().child_token());
            }
            return Ok(Transition::Next(self.workflow.run(&ctx, input).await?));
        };
        match child.result() {
            Some(Ok(output)) => Ok(Transition::Next(output.read()?)),
            Some(Err(reason)) => Err(Error::Failed(reason)),
            None => {
                child.request(spec(self.workflow.clone(), input)?);
                Ok(Transition::Hold)
            }
        }
    }

    fn nested(&self) -> Option<Graph> {
        Some(self.workflow.graph())
    }
}

/// The request for the child run, with its types erased.
fn spec<C, W>(workflow: W, input: W::Input) -> Result<ChildSpec, Error>
where
    C: Context + Merge + 'static,
    W: Workflow<C> + 'static,
{
    let item = workflow.start_work_item(input);
    let input = run_input_of(item, value::write_opaque(&C::default(), &"the context")?)?;
    let workflow = Typed::new(workflow).map_err(|error| Error::Generic(error.to_string()))?;
    Ok(ChildSpec::new(Arc::new(workflow), input))
}

impl<C, W: Clone> Clone for ChildRun<C, W> {
    fn clone(&self) -> Self {
        Self::new(self.workflow.clone())
    }
}

impl<C, W: fmt::Debug> fmt::Debug for ChildRun<C, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildRun").field("workflow", &self.workflow).finish_non_exhaustive()
    }
}
