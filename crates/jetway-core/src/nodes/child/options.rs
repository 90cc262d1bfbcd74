//! What the nodes that start child runs have in common.

use crate::{
    Context, Merge, Workflow, WorkflowCtx,
    clock::within,
    step::{ChildSpec, StepScope, run_input_of},
    typed::Typed,
};
use jetway_state::{
    Error, RunId, RunKey,
    run::{MAX_WAIT, OnParentCancel, RunDeadline, child_run_id},
    value,
};
use std::{any::Any, fmt, marker::PhantomData, sync::Arc, time::Duration};

/// Names the child run for an input, whose type is that of the workflow.
type NameOf = Arc<dyn Fn(&(dyn Any + Send + Sync)) -> Option<String> + Send + Sync>;

/// A workflow to run as child runs, and how.
pub(super) struct Children<C, W> {
    pub(super) workflow: W,
    pub(super) name_of: Option<NameOf>,
    pub(super) on_cancel: OnParentCancel,
    pub(super) within: Option<Duration>,
    pub(super) context: PhantomData<fn() -> C>,
}

impl<C, W> Children<C, W> {
    pub(super) fn of(workflow: W) -> Self {
        Self {
            workflow,
            name_of: None,
            on_cancel: OnParentCancel::default(),
            within: None,
            context: PhantomData,
        }
    }
}

impl<C, W> Children<C, W>
where
    C: Context + Merge + 'static,
    W: Workflow<C> + 'static,
{
    pub(super) fn named_by(self, name: impl Fn(&W::Input) -> String + Send + Sync + 'static) -> Self {
        let name_of: NameOf = Arc::new(move |input| input.downcast_ref::<W::Input>().map(&name));
        Self { name_of: Some(name_of), ..self }
    }

    /// The run id for an input: the chosen one, or one that is derived from the step.
    pub(super) fn id(
        &self,
        step: &StepScope,
        input: &W::Input,
        position: Option<u32>,
    ) -> Result<RunId, Error> {
        match self.name_of.as_ref().and_then(|name_of| name_of(input)) {
            Some(name) => RunId::new(&name).map_err(|error| Error::Terminal(error.to_string())),
            None => Ok(child_run_id(step.run(), step.incarnation(), step.item_id(), position)),
        }
    }

    /// The request for a child run, with its types erased.
    pub(super) fn spec(&self, id: RunId, input: W::Input) -> Result<ChildSpec, Error> {
        if self.within.is_some_and(|within| within > MAX_WAIT) {
            return Err(Error::TimeOutOfRange);
        }
        let item = self.workflow.start_work_item(input);
        let input = run_input_of(item, value::write_opaque(&C::default(), &"the context")?)?;
        let workflow =
            Typed::new(self.workflow.clone()).map_err(|error| Error::Generic(error.to_string()))?;
        // A host that serves the workflow has checked that. A detached run may be started by another one.
        RunDeadline::OfWorkflow
            .check(self.workflow.deadline())
            .map_err(|bad| Error::Terminal(format!("workflow {:?}: {bad}", self.workflow.name())))?;
        let run = RunKey::new(crate::step::AnyWorkflow::name(&workflow).clone(), id);
        let (on_cancel, within) = (self.on_cancel, self.within);
        Ok(ChildSpec { run, workflow: Arc::new(workflow), input, on_cancel, within, or: None })
    }

    /// Runs the workflow within the step, where there is no host.
    pub(super) async fn run_here(
        &self,
        step: Option<&StepScope>,
        input: W::Input,
    ) -> Result<W::Output, Error> {
        let mut ctx = WorkflowCtx::new(C::default());
        if let Some(step) = step {
            ctx = ctx.cancelled_by(step.cancel_token().child_token()).with_clock(step.clock());
        }
        let run = self.workflow.run(&ctx, input);
        match self.within {
            None => run.await,
            Some(limit) => within(&**ctx.clock(), limit, run).await.unwrap_or(Err(Error::Timeout(limit))),
        }
    }
}

impl<C, W: Clone> Clone for Children<C, W> {
    fn clone(&self) -> Self {
        let Self { workflow, name_of, on_cancel, within, context } = self;
        let (on_cancel, within, context) = (*on_cancel, *within, *context);
        Self { workflow: workflow.clone(), name_of: name_of.clone(), on_cancel, within, context }
    }
}

impl<C, W: fmt::Debug> fmt::Debug for Children<C, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Children")
            .field("workflow", &self.workflow)
            .field("on_parent_cancel", &self.on_cancel)
            .field("timeout", &self.within)
            .finish_non_exhaustive()
    }
}
