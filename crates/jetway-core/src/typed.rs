//! A workflow with its types erased.

use crate::step::{
    AnyWorkflow, AttemptResult, ChildSlot, StepScope, Task, changed, decode_item, encode_outcome,
    run_input_of, within,
};
use crate::{
    Context, Merge, Outcome, WorkItem, Workflow, WorkflowCtx,
    panics::{guarded, guarded_now},
};
use async_trait::async_trait;
use bytes::Bytes;
use jetway_state::{
    BadName, Error, Fingerprint, Graph, WorkflowName,
    broken_rule::{BrokenRule, is_broken},
    codec::{self, Encoding},
    run::{EncodedOutcome, RunError, RunInput},
};
use std::{fmt, marker::PhantomData, sync::Arc};

/// A workflow of type `W` without its type: what hosts run.
pub struct Typed<C, W> {
    workflow: W,
    name: WorkflowName,
    graph: Graph,
    fingerprint: Fingerprint,
    context: PhantomData<fn() -> C>,
}

impl<C: Context, W: Workflow<C>> Typed<C, W> {
    /// Checks the name of the workflow.
    ///
    /// # Errors
    /// A name that subjects and keys cannot carry.
    pub fn new(workflow: W) -> Result<Self, BadName> {
        let name = WorkflowName::new(workflow.name())?;
        let graph = workflow.graph();
        let fingerprint = graph.fingerprint();
        Ok(Self { workflow, name, graph, fingerprint, context: PhantomData })
    }

    async fn outcome(
        &self,
        ctx: &WorkflowCtx<C>,
        item: W::WorkItem,
        scope: StepScope,
    ) -> Outcome<W::WorkItem, W::Output> {
        let attempt = async { Ok(self.workflow.attempt_work_item(ctx, item).await) };
        match within(scope, guarded(attempt)).await {
            Ok(outcome) => outcome,
            Err(panic) => Outcome::Failed(panic),
        }
    }
}

impl<C, W> fmt::Debug for Typed<C, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed")
            .field("name", &self.name)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<C, W> AnyWorkflow for Typed<C, W>
where
    C: Context + Merge + 'static,
    W: Workflow<C> + 'static,
{
    fn name(&self) -> &WorkflowName {
        &self.name
    }

    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    fn to_dot(&self) -> &'static str {
        self.workflow.to_dot()
    }

    fn run_input(&self, input: &[u8], encoding: Encoding) -> Result<RunInput, Error> {
        let what = format!("input of workflow {:?}", self.name.as_str());
        guarded_now(|| {
            let input: W::Input = match encoding {
                Encoding::Json => {
                    serde_json::from_slice(input).map_err(|error| Error::decode(what, error))?
                }
                Encoding::Cbor => codec::decode(input, &what)?,
            };
            run_input_of(self.workflow.start_work_item(input), codec::encode(&C::default(), "the context")?)
        })
    }

    async fn attempt(&self, task: Task) -> Result<AttemptResult, Error> {
        let (item, context) = guarded_now(|| {
            let item: W::WorkItem = decode_item(&task.node, task.input)?;
            let context: C = codec::decode(&task.context, "the context")?;
            Ok((item.with_instance_id(task.item.to_string()), context))
        })?;
        let mut ctx = WorkflowCtx::new(context).cancelled_by(task.cancel.clone());
        if let Some(limit) = task.timeout {
            ctx.set_timeout(limit);
        }
        let scope =
            StepScope::new(task.run, task.item.clone(), task.attempt, task.timeout, task.cancel.clone());
        let child = Arc::new(ChildSlot::new(task.child));
        let outcome = self.outcome(&ctx, item, scope.with_child(Arc::clone(&child))).await;
        let asked = child.asked().filter(|_| matches!(outcome, Outcome::Hold));
        let cancelled = task.cancel.is_cancelled() && matches!(outcome, Outcome::Failed(Error::Cancelled));
        let error = |error: &Error| RunError {
            item: Some(task.item.clone()),
            node: Some(task.node.clone()),
            attempt: task.attempt,
            kind: error.kind().to_owned(),
            message: error.to_string(),
        };
        let tried = guarded_now(|| {
            let produced = encode_outcome(outcome, &error)?;
            let context = changed(&ctx.store, &task.context, &produced)?;
            Ok((produced, context))
        });
        let (produced, context) = tried.unwrap_or_else(|unfit| (EncodedOutcome::Failed(error(&unfit)), None));
        Ok(AttemptResult { produced, context, cancelled, asked })
    }

    fn rebase(&self, base: &Bytes, mine: &Bytes, theirs: &Bytes) -> Result<Bytes, Error> {
        let decode = |bytes: &Bytes| codec::decode::<C>(bytes, "the context");
        guarded_now(|| {
            let (mine, mut theirs) = (decode(mine)?, decode(theirs)?);
            if is_broken(BrokenRule::MergeInsteadOfRebase) {
                theirs.merge(mine);
                return codec::encode(&theirs, "the context");
            }
            let rebased = mine.rebase(&decode(base)?, theirs);
            codec::encode(&rebased, "the context")
        })
    }
}
