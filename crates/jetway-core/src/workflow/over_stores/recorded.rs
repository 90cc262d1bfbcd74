//! Steps over stores that keep snapshots: a step is committed whole and once.

use super::{
    Taken, Unfinished,
    queued::{created_by, pending},
};
use crate::{
    Context, ContextStore, Merge, WorkItem, WorkQueue, Workflow,
    clock::{Clock, SystemClock},
    step::{
        AttemptWithBase, EncodedAttempt, StepScope, Swap, Swapped, apply_fitting, encode, item_in, output_of,
        rebase_context, run_node, swap_until,
    },
    workflow::callbacks::ItemProcessedOutcome,
};
use jetway_state::{
    CommitId, Error, Graph, ItemId, codec, json,
    run::{Applied, AttemptId, EncodedOutcome, Snapshot, Status, TicketFor},
};

/// One step under way: what was tried survives a lost race.
struct Step<'a, 'l, C: Context, W: Workflow<C>, CS, Q> {
    taken: &'a Taken<'l, C, W, CS, Q>,
    graph: Graph,
    started: bool,
    tried: Option<Tried>,
}

/// An attempt, and what it failed with.
struct Tried {
    attempt: AttemptWithBase,
    failed: Option<Error>,
}

impl<C, W, CS, Q> Swap for Step<'_, '_, C, W, CS, Q>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C>,
    CS: ContextStore<C> + Send + Sync,
    Q: WorkQueue<C, W::WorkItem> + Send + Sync,
{
    type State = (Snapshot, u64);
    type Output = Option<W::Output>;
    type Error = Unfinished;

    async fn load(&mut self) -> Result<(Snapshot, u64), Unfinished> {
        Ok(self.taken.contexts.snapshot(&self.taken.leased.run_id).await?.ok_or(Error::NotStarted)?)
    }

    async fn swap(
        &mut self,
        (snapshot, revision): (Snapshot, u64),
    ) -> Result<Swapped<Option<W::Output>>, Unfinished> {
        let taken = self.taken;
        let Some((id, item)) = pending(&snapshot, &taken.leased.item)? else {
            taken.requeue(&snapshot).await?;
            taken.callbacks.on_recorded(&snapshot).await?;
            return Ok(Swapped::Done(None));
        };
        // What was tried before the pause is committed: it is the step under way.
        let tried = self.tried.take();
        let rebased =
            tried.as_ref().and_then(|tried| tried.attempt.rebased(&snapshot.context, rebase_context::<C>));
        let (tried, report) = match (tried, rebased) {
            (Some(tried), Some(report)) => (tried, report),
            _ if snapshot.status == Status::Paused => return Err(Unfinished::Paused),
            _ => {
                if !self.started {
                    taken.started().await?;
                    self.started = true;
                }
                let tried = taken.attempt(&snapshot, &id, item).await?;
                let report = tried.attempt.report.clone();
                (tried, report)
            }
        };
        let failed = failure_of(&report.produced, &tried);
        let applied = apply_fitting(&snapshot, report, CommitId::default(), &self.graph, |_| Ok(()));
        let Some(Applied { snapshot, tickets, .. }) = applied else {
            return Ok(Swapped::Done(None));
        };
        if taken.contexts.swap_snapshot(&taken.leased.run_id, revision, &snapshot).await? {
            taken.enqueue(&snapshot, tickets).await?;
            return taken.report(&snapshot, failed).await.map(Swapped::Done);
        }
        self.tried = Some(tried);
        Ok(Swapped::Conflict)
    }

    fn contended(&self, conflicts: usize) -> Unfinished {
        let run = &self.taken.leased.run_id;
        Error::Storage(format!("run {run:?} was written by others {conflicts} times in a row: try again"))
            .into()
    }
}

/// What the step failed with: the node's own error, or why its change of the context could not be re-applied.
fn failure_of(produced: &EncodedOutcome, tried: &Tried) -> Option<Error> {
    match produced {
        EncodedOutcome::Failed(error) => {
            Some(tried.failed.clone().unwrap_or_else(|| Error::Failed(error.message.clone())))
        }
        _ => None,
    }
}

impl<C, W, CS, Q> Taken<'_, C, W, CS, Q>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C>,
    CS: ContextStore<C> + Send + Sync,
    Q: WorkQueue<C, W::WorkItem> + Send + Sync,
{
    pub(super) async fn step(&self) -> Result<Option<W::Output>, Unfinished> {
        swap_until(Step { taken: self, graph: self.workflow.graph(), started: false, tried: None }).await
    }

    /// Executes the item. A failure that is to be tried again ends the step here: nothing of it is committed.
    async fn attempt(
        &self,
        snapshot: &Snapshot,
        id: &ItemId,
        item: W::WorkItem,
    ) -> Result<Tried, Unfinished> {
        let give_up = self.callbacks.give_up();
        let attempt = AttemptId { item: id.clone(), node: item.node(), number: self.callbacks.attempt() };
        let ctx = self.ctx(codec::decode::<C>(&snapshot.context, "the context")?, &give_up);
        let scope =
            StepScope::new(snapshot.key(), id.clone(), attempt.number, ctx.timeout(), give_up.clone());
        let outcome = run_node(scope, self.workflow.attempt_work_item(&ctx, item)).await;
        let EncodedAttempt { produced, context, error } =
            encode(outcome, &ctx.store, &snapshot.context, &attempt);
        // A fallback comes after the last attempt.
        if let Some(error) = &error {
            self.unless_retried(error, &give_up).await?;
        }
        let report = attempt.report(id.clone(), SystemClock.now(), produced, context);
        Ok(Tried { attempt: AttemptWithBase { report, base: snapshot.context.clone() }, failed: error })
    }

    async fn enqueue(&self, snapshot: &Snapshot, tickets: Vec<TicketFor>) -> Result<(), Unfinished> {
        for ticket in tickets {
            self.enqueue_item(snapshot, &ticket.item).await?;
        }
        Ok(())
    }

    /// The item is done: a worker that was lost may not have queued what it created.
    async fn requeue(&self, snapshot: &Snapshot) -> Result<(), Unfinished> {
        for want in created_by(snapshot, &self.leased.item)? {
            self.enqueue_item(snapshot, &want.item).await?;
        }
        Ok(())
    }

    async fn enqueue_item(&self, snapshot: &Snapshot, id: &ItemId) -> Result<(), Unfinished> {
        let item: Option<W::WorkItem> = item_in(snapshot, id)?;
        if let Some(item) = item {
            self.queue.enqueue(&self.leased.run_id, item).await?;
        }
        Ok(())
    }

    async fn report(
        &self,
        snapshot: &Snapshot,
        failed: Option<Error>,
    ) -> Result<Option<W::Output>, Unfinished> {
        let outcome = match (&failed, snapshot.outputs.first()) {
            (Some(error), _) => ItemProcessedOutcome::Error(error.clone()),
            (None, Some(output)) if snapshot.status == Status::Completed => {
                ItemProcessedOutcome::SuccessTerminal(json::from_cbor(&output.value)?)
            }
            (None, _) => ItemProcessedOutcome::SuccessNonTerminal,
        };
        self.processed(outcome).await?;
        self.callbacks.on_recorded(snapshot).await?;
        match failed {
            Some(error) => Err(Unfinished::Failed(error)),
            None if snapshot.status.is_terminal() => {
                output_of(snapshot).map(Some).map_err(Unfinished::Failed)
            }
            None => Ok(None),
        }
    }
}
