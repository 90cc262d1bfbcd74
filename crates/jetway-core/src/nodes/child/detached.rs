//! [`DetachedRun`]: a node that starts another run and goes on.

use super::options::Children;
use crate::{
    Context, Merge, Node, Transition, Workflow,
    step::{ChildRequest, step},
};
use async_trait::async_trait;
use jetway_state::{Error, Graph, RunId, RunKey, WorkflowName};

/// Starts another run for which nobody waits, and returns its key at once. See [`ChildRun::detached`](super::ChildRun::detached).
#[derive(Debug)]
pub struct DetachedRun<C, W>(pub(super) Children<C, W>);

#[async_trait]
impl<P, C, W> Node<P> for DetachedRun<C, W>
where
    P: Context,
    C: Context + Merge + 'static,
    W: Workflow<C> + 'static,
{
    type Input = W::Input;
    type Output = RunKey;

    async fn process(&self, _ctx: &P, input: W::Input) -> Result<Transition<RunKey>, Error> {
        let step = step();
        let Some((step, slot)) = step.as_ref().and_then(|step| Some((step, step.child()?))) else {
            return self.run_here(input).await.map(Transition::Next);
        };
        let spec = self.0.spec(self.0.id(step, &input, None)?, input)?;
        let run = spec.run.clone();
        slot.request(ChildRequest::Detached(spec));
        Ok(Transition::Next(run))
    }

    fn nested(&self) -> Option<Graph> {
        Some(self.0.workflow.graph())
    }
}

impl<C, W> DetachedRun<C, W>
where
    C: Context + Merge + 'static,
    W: Workflow<C> + 'static,
{
    /// Without a host, the run is part of the step. Its failure is not one of the step, as on a host.
    async fn run_here(&self, input: W::Input) -> Result<RunKey, Error> {
        let step = step();
        let id = match &step {
            Some(step) => self.0.id(step, &input, None)?,
            None => RunId::fitted("detached"),
        };
        if let Err(error) = self.0.run_here(step.as_deref(), input).await {
            tracing::warn!(run = %id, %error, "a detached run within this process failed");
        }
        let name =
            WorkflowName::new(self.0.workflow.name()).map_err(|error| Error::Generic(error.to_string()))?;
        Ok(RunKey::new(name, id))
    }
}

impl<C, W: Clone> Clone for DetachedRun<C, W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
