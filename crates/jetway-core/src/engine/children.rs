//! Starting child runs, and waiting for them without holding anything.

use super::{AnyWorkflow, Engine, StepSpan, cell::InHand, registry::ChildEnd, typed::Typed};
use crate::{
    Context, Error, ItemId, Merge, RunId, RunKey, Timestamp, Workflow,
    backend::{BackendError, BackendErrorKind, Ticket},
    codec,
    fail_point::{FailPoint, reach},
    run::{Parent, Seed, Snapshot, Status, Trace, pending_ticket},
};
use std::{fmt, sync::Arc};

/// A child run that a node asks for.
#[derive(Clone)]
pub(crate) struct ChildSpec {
    workflow: Arc<dyn AnyWorkflow>,
    seed: Seed,
}

impl ChildSpec {
    pub(crate) fn new<C, W>(workflow: W, input: W::Input) -> Result<Self, Error>
    where
        C: Context + Merge + 'static,
        W: Workflow<C> + 'static,
    {
        let item = workflow.start_work_item(input);
        let seed = super::typed::seed_of(item, codec::encode(&C::default(), "the context")?)?;
        let workflow = Typed::new(workflow).map_err(|error| Error::Generic(error.to_string()))?;
        Ok(Self { workflow: Arc::new(workflow), seed })
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec").field("workflow", &self.workflow).finish_non_exhaustive()
    }
}

impl Engine {
    /// Makes the child run of an item exist. Its id follows from the item's, so a second attempt at the item finds it.
    pub(super) async fn start_child(
        &self,
        spec: ChildSpec,
        parent: Parent,
        trace: &Trace,
        span: &StepSpan,
    ) -> Result<RunKey, BackendError> {
        let run = RunKey::new(spec.workflow.name().clone(), child_id(&parent));
        let trace = Trace { span_id: span.id.unwrap_or(trace.span_id), ..trace.clone() }.headers();
        match self.create(&*spec.workflow, &run, spec.seed.clone(), &trace, Some(parent)).await {
            Ok(()) => Ok(run),
            Err(super::StartError::Backend(error)) if error.is_conflict() => {
                match self.join_existing(&*spec.workflow, &run, &spec.seed).await {
                    Ok(()) => Ok(run),
                    Err(error) => Err(not_started(&run, error)),
                }
            }
            Err(error) => Err(not_started(&run, error)),
        }
    }

    /// How the child of an item ended; `None` while it goes on.
    pub(super) async fn child_end(&self, child: &RunKey) -> Result<Option<ChildEnd>, BackendError> {
        let Some((hand, _)) = self.load_any(child).await? else {
            return Ok(Some(Err(format!("child run {child} is gone: it was removed or forgotten"))));
        };
        Ok(end_of(child, &hand.snapshot))
    }

    /// The ticket that was held is settled, and the item is still pending: its run is paused, or it waits for a child.
    /// What it waits for may have come about before the ticket was settled, when no other ticket could be published.
    pub(super) async fn look_again(
        &self,
        run: &RunKey,
        item: &ItemId,
        child: Option<&RunKey>,
    ) -> Result<(), BackendError> {
        if let Some(child) = child
            && self.child_end(child).await?.is_none()
        {
            return Ok(());
        }
        let Some((hand, build)) = self.load_any(run).await? else {
            return Ok(());
        };
        if hand.snapshot.status != Status::Running {
            return Ok(());
        }
        let wanted = pending_ticket(&hand.snapshot, item).into_iter().collect();
        let tickets = self.named(run, &hand.snapshot, wanted).await?;
        self.publish(build, run, &hand, tickets, 1).await
    }

    /// Tells the parent of a run that has ended to look.
    pub(super) async fn wake(&self, hand: &InHand, parent: Parent) -> Result<(), BackendError> {
        let Parent { run, item, node, build } = parent;
        let ticket = Ticket {
            workflow: run.workflow,
            run_id: run.run_id,
            node,
            item,
            // Whatever the worker has in hand may be older than what the item waits for.
            revision: u64::MAX,
            attempt: 1,
            at: Timestamp::now(),
            trace: hand.snapshot.trace.headers(),
        };
        self.backend.publish(vec![(ticket, build)]).await?;
        reach(FailPoint::ParentWoken);
        Ok(())
    }
}

fn end_of(child: &RunKey, snapshot: &Snapshot) -> Option<ChildEnd> {
    match snapshot.status {
        Status::Running | Status::Paused => None,
        Status::Completed => Some(match snapshot.outputs.first() {
            Some(output) => Ok(output.value.clone()),
            None => Err(format!("child run {child} has no output")),
        }),
        Status::Cancelled => Some(Err(format!("child run {child} was cancelled"))),
        Status::Failed => {
            let why = snapshot.error.as_ref().map_or("no reason is known", |error| &error.message);
            Some(Err(format!("child run {child} failed: {why}")))
        }
    }
}

/// As much of the parent's id as fits, and a digest that tells its items, and runs of other workflows, apart.
fn child_id(parent: &Parent) -> RunId {
    RunId::fitted(&format!("{}/{}/{}", parent.run.run_id, parent.item, parent.run.workflow))
}

fn not_started(run: &RunKey, error: super::StartError) -> BackendError {
    match error {
        super::StartError::Backend(error) => error,
        error => BackendError::new(BackendErrorKind::Corrupt, format!("child run {run} cannot be started"))
            .caused_by(error),
    }
}
