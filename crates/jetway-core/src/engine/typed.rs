//! A workflow with its types erased.

use super::{
    AnyWorkflow, StepScope, Task, TaskInput, Tried,
    scope::{self, ChildSlot},
};
use crate::{
    BadName, Context, Emission, Error, Fingerprint, Graph, Merge, Outcome, WorkItem, Workflow, WorkflowCtx,
    WorkflowName,
    backend::Encoding,
    codec,
    fail_point::{Mutant, mutant},
    macro_support::{guarded, guarded_now},
    run::{Emitted, Produced, RunError, Seed, Successor},
};
use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use std::{fmt, marker::PhantomData, sync::Arc};

pub(super) struct Typed<C, W> {
    workflow: W,
    name: WorkflowName,
    graph: Graph,
    fingerprint: Fingerprint,
    context: PhantomData<fn() -> C>,
}

impl<C: Context, W: Workflow<C>> Typed<C, W> {
    pub(super) fn new(workflow: W) -> Result<Self, BadName> {
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
        match scope::within(scope, guarded(attempt)).await {
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

    fn seed(&self, input: &[u8], encoding: Encoding) -> Result<Seed, Error> {
        let what = format!("input of workflow {:?}", self.name.as_str());
        guarded_now(|| {
            let input: W::Input = match encoding {
                Encoding::Json => {
                    serde_json::from_slice(input).map_err(|error| Error::decode(what, error))?
                }
                Encoding::Cbor => codec::decode(input, &what)?,
            };
            seed_of(self.workflow.start_work_item(input), codec::encode(&C::default(), "the context")?)
        })
    }

    async fn attempt(&self, task: Task) -> Result<Tried, Error> {
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
        let (produced, context) = tried.unwrap_or_else(|unfit| (Produced::Failed(error(&unfit)), None));
        Ok(Tried { produced, context, cancelled, asked })
    }

    fn rebase(&self, base: &Bytes, mine: &Bytes, theirs: &Bytes) -> Result<Bytes, Error> {
        let decode = |bytes: &Bytes| codec::decode::<C>(bytes, "the context");
        guarded_now(|| {
            let (mine, mut theirs) = (decode(mine)?, decode(theirs)?);
            if mutant(Mutant::MergeInsteadOfRebase) {
                theirs.merge(mine);
                return codec::encode(&theirs, "the context");
            }
            let rebased = mine.rebase(&decode(base)?, theirs);
            codec::encode(&rebased, "the context")
        })
    }
}

/// The first work item of a run, with its encoded context.
pub(crate) fn seed_of<WI: WorkItem>(item: WI, context: Bytes) -> Result<Seed, Error> {
    let Successor { node, payload } = encode_item(item)?;
    Ok(Seed { node, payload, context })
}

/// The context, encoded, where the node changed it. A node that failed leaves no trace in it: a step is all or
/// nothing.
pub(crate) fn changed<C: Serialize>(
    context: &C,
    before: &Bytes,
    produced: &Produced,
) -> Result<Option<Bytes>, Error> {
    if matches!(produced, Produced::Failed(_) | Produced::Caught(..)) {
        return Ok(None);
    }
    let after = codec::encode(context, "the context")?;
    Ok((after != *before).then_some(after))
}

pub(crate) fn decode_item<WI: WorkItem>(node: &str, input: TaskInput) -> Result<WI, Error> {
    let what = || format!("work item of node {node:?}");
    match input {
        TaskInput::One(bytes) => codec::decode(&bytes, &what()),
        TaskInput::Gathered(parts) => {
            let parts = parts.iter().map(|part| codec::decode(part, &what())).collect::<Result<_, _>>()?;
            WI::gathered(node, parts)
                .ok_or_else(|| Error::decode(what(), "this build's node does not gather"))
        }
    }
}

/// Encodes without the id: the engine derives it, and two encodings of one value have to be the same.
fn encode_item<WI: WorkItem>(item: WI) -> Result<Successor, Error> {
    let node = item.node();
    let item = item.with_instance_id(String::new());
    let payload = codec::encode(&item, &format!("input of node {node:?}"))?;
    Ok(Successor { node, payload })
}

fn encode_emission<WI: WorkItem, O: Serialize>(emission: Emission<WI, O>) -> Result<Emitted, Error> {
    let successors = emission.items.into_iter().map(encode_item).collect::<Result<_, _>>()?;
    let output = emission.output.map(|output| codec::encode(&output, "an output")).transpose()?;
    Ok(Emitted { successors, output })
}

pub(crate) fn encode_outcome<WI: WorkItem, O: Serialize>(
    outcome: Outcome<WI, O>,
    error: &impl Fn(&Error) -> RunError,
) -> Result<Produced, Error> {
    Ok(match outcome {
        Outcome::Next(emission) => Produced::Next(encode_emission(emission)?),
        Outcome::NextAll(emissions) => {
            Produced::NextAll(emissions.into_iter().map(encode_emission).collect::<Result<_, _>>()?)
        }
        Outcome::Hold => Produced::Hold,
        Outcome::Caught { error: caught, emission } => {
            Produced::Caught(error(&caught), encode_emission(emission)?)
        }
        Outcome::Failed(failed) => Produced::Failed(error(&failed)),
    })
}
