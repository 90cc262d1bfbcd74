//! Steps over context stores that keep snapshots. One compare-and-swap of the snapshot commits the whole step, once.

use super::{LeasedStep, Unfinished, pending_item};
use crate::{
    Context, ContextStore, Merge, Outcome, WorkItem, WorkQueue, Workflow,
    step::{
        AttemptWithBase, EncodedAttempt, StepScope, Swap, Swapped, apply_fitting, contended, encode,
        encode_failure, item_in, rebase_context, run_node, swap_until, until_cancelled,
    },
    stores::Leased,
    workflow::callbacks::ItemProcessedOutcome,
};
use jetway_state::{
    CommitId, Error, Graph, ItemId,
    run::{Applied, AttemptId, EncodedOutcome, Snapshot, Status, TicketFor},
    value,
};

/// The commit of one step. The result of an attempt is kept over a conflict, so that the node need not run again.
struct StepCommit<'a, 'l, C: Context, W: Workflow<C>, CS, Q> {
    step: &'a LeasedStep<'l, C, W, CS, Q>,
    graph: Graph,
    started: bool,
    finished: Option<FinishedAttempt>,
}

/// An attempt whose node has run, and the error where it failed.
struct FinishedAttempt {
    attempt: AttemptWithBase,
    error: Option<Error>,
}

impl<C, W, CS, Q> Swap for StepCommit<'_, '_, C, W, CS, Q>
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
        Ok(self.step.contexts.snapshot(&self.step.leased.run_id).await?.ok_or(Error::NotStarted)?)
    }

    async fn swap(
        &mut self,
        (snapshot, revision): (Snapshot, u64),
    ) -> Result<Swapped<Option<W::Output>>, Unfinished> {
        let step = self.step;
        if !self.belongs_to(&snapshot) {
            return self.discard();
        }
        let Some((id, item)) = pending_item::find(&snapshot, &step.leased.item)? else {
            step.requeue_successors(&snapshot).await?;
            step.callbacks.on_committed(&snapshot).await?;
            return Ok(Swapped::Done(None));
        };
        let finished = self.finished.take();
        let rebased = finished.as_ref().and_then(|finished| {
            let fail = |error: &_| step.failure(&item, &finished.attempt.report.id(), error);
            finished.attempt.rebased(&snapshot.context, rebase_context::<C>, fail)
        });
        let (finished, report) = match (finished, rebased) {
            // Also in a paused run: a step that began before the pause is committed.
            (Some(finished), Some(report)) => (finished, report),
            _ if snapshot.status == Status::Paused => return Err(Unfinished::RunPaused),
            _ => {
                if !self.started {
                    step.callbacks.on_incarnation(snapshot.incarnation);
                    step.notify_started().await?;
                    self.started = true;
                }
                let finished = step.attempt(&snapshot, &id, item).await?;
                let report = finished.attempt.report.clone();
                (finished, report)
            }
        };
        let error = step_error(&report.produced, &finished);
        let (commit, failed) = (CommitId::default(), report.id());
        let fail = |error: &_| EncodedOutcome::Failed(failed.error(error));
        let applied = apply_fitting(&snapshot, report, commit, &self.graph, |_| Ok(()), fail);
        let Some(Applied { snapshot, tickets, .. }) = applied else {
            return Ok(Swapped::Done(None));
        };
        if step.contexts.swap_snapshot(&step.leased.run_id, revision, &snapshot).await? {
            step.enqueue_tickets(&snapshot, tickets).await?;
            return step.notify_committed(&snapshot, &id, error).await.map(Swapped::Done);
        }
        self.finished = Some(finished);
        Ok(Swapped::Conflict)
    }

    fn contended(&self, conflicts: usize) -> Unfinished {
        contended(&self.step.leased.run_id, conflicts).into()
    }
}

impl<C, W, CS, Q> StepCommit<'_, '_, C, W, CS, Q>
where
    C: Context,
    W: Workflow<C>,
{
    /// Whether the leased item, and the attempt that was made at it, belong to this incarnation of the run. The run id may
    /// have been used again, also while the node ran.
    fn belongs_to(&self, snapshot: &Snapshot) -> bool {
        let finished = self.finished.as_ref();
        finished.is_none_or(|finished| finished.attempt.report.incarnation == snapshot.incarnation)
            && pending_item::may_belong_to(snapshot, &self.step.leased.item)
    }

    /// Discards an item or an attempt of another incarnation. An item that keeps its id may be one of this incarnation as
    /// well, so it goes back into the queue.
    fn discard<T>(&self) -> Result<Swapped<Option<T>>, Unfinished> {
        let Leased { run_id, item, .. } = self.step.leased;
        tracing::debug!(run = %run_id, %item, "discarded a work item of another incarnation");
        if pending_item::keeps_its_id(item) { Err(Unfinished::Returned) } else { Ok(Swapped::Done(None)) }
    }
}

/// The error of a failed step: the node's own, or why its change of the context could not be rebased.
fn step_error(produced: &EncodedOutcome, finished: &FinishedAttempt) -> Option<Error> {
    match produced {
        EncodedOutcome::Failed(error) => {
            Some(finished.error.clone().unwrap_or_else(|| Error::Failed(error.message.clone())))
        }
        _ => None,
    }
}

impl<C, W, CS, Q> LeasedStep<'_, C, W, CS, Q>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C>,
    CS: ContextStore<C> + Send + Sync,
    Q: WorkQueue<C, W::WorkItem> + Send + Sync,
{
    pub(super) async fn execute(&self) -> Result<Option<W::Output>, Unfinished> {
        swap_until(StepCommit { step: self, graph: self.workflow.graph(), started: false, finished: None })
            .await
    }

    /// Runs the node once. Returns [`Unfinished::RetryAfter`] for a failure that will be retried: it is not committed.
    async fn attempt(
        &self,
        snapshot: &Snapshot,
        id: &ItemId,
        item: W::WorkItem,
    ) -> Result<FinishedAttempt, Unfinished> {
        let abort = self.callbacks.abort_token();
        let (incarnation, number) = (snapshot.incarnation, self.callbacks.attempt());
        let attempt = AttemptId { incarnation, item: id.clone(), node: item.node(), number };
        let ctx = self.attempt_ctx(value::read::<C>(&snapshot.context, &"the context")?, &abort);
        let scope = StepScope::new(
            snapshot.key(),
            incarnation,
            id.clone(),
            attempt.number,
            ctx.timeout(),
            abort.clone(),
        )
        .with_clock(&self.callbacks.clock());
        let copy = || item_in::<W::WorkItem>(snapshot, id)?.ok_or(Error::NotStarted);
        let node = async {
            let node = async { Ok(self.workflow.attempt_work_item(&ctx, item).await) };
            until_cancelled(&abort, node).await.unwrap_or_else(Outcome::Failed)
        };
        let last_try = scope.last_try();
        let outcome = run_node(scope, node).await.without_waits();
        let attempt = AttemptId { number: last_try.number(), ..attempt };
        let EncodedAttempt { produced, context, error } =
            encode(outcome, &ctx.store, &snapshot.context, &attempt, self.callbacks.clock().now(), |error| {
                Ok(self.workflow.fail_work_item(copy()?, error))
            });
        // Before an `on_failure` edge is taken: retries come first.
        if let Some(error) = &error {
            self.check_retry(error, &abort).await?;
        }
        let report = attempt.report(id.clone(), self.callbacks.clock().now(), produced, context);
        let attempt = AttemptWithBase { report, base: snapshot.context.clone(), saw: None, input: None };
        Ok(FinishedAttempt { attempt, error })
    }

    /// The outcome of an attempt whose result cannot be kept.
    fn failure(&self, item: &W::WorkItem, attempt: &AttemptId, error: &Error) -> EncodedOutcome {
        encode_failure(error, attempt, self.callbacks.clock().now(), |error| {
            Ok(self.workflow.fail_work_item(item.clone(), error))
        })
    }

    async fn enqueue_tickets(&self, snapshot: &Snapshot, tickets: Vec<TicketFor>) -> Result<(), Unfinished> {
        for ticket in tickets {
            self.enqueue_item(snapshot, &ticket.item).await?;
        }
        Ok(())
    }

    /// The leased item is no longer pending: an earlier delivery committed it. The worker may have crashed before it
    /// queued the items that the step created.
    async fn requeue_successors(&self, snapshot: &Snapshot) -> Result<(), Unfinished> {
        for want in pending_item::created_by(snapshot, &self.leased.item) {
            self.enqueue_item(snapshot, &want.item).await?;
        }
        Ok(())
    }

    async fn enqueue_item(&self, snapshot: &Snapshot, id: &ItemId) -> Result<(), Unfinished> {
        let item: Option<W::WorkItem> = pending_item::queued(snapshot, id)?;
        if let Some(item) = item {
            self.queue.enqueue(&self.leased.run_id, item).await?;
        }
        Ok(())
    }

    /// Calls the callbacks after the commit of item `id`. Returns the output of its node. What the run has, for example an
    /// output of another branch, is not told.
    async fn notify_committed(
        &self,
        snapshot: &Snapshot,
        id: &ItemId,
        error: Option<Error>,
    ) -> Result<Option<W::Output>, Unfinished> {
        let error = error.or_else(|| own_error(snapshot, id));
        let output = snapshot.outputs.iter().find(|output| output.item == *id);
        let outcome = match (&error, output) {
            (Some(error), _) => ItemProcessedOutcome::Error(error.clone()),
            (None, Some(output)) => ItemProcessedOutcome::SuccessTerminal(output.value.to_json()?.read()?),
            (None, None) => ItemProcessedOutcome::SuccessNonTerminal,
        };
        self.notify_processed(outcome).await?;
        self.callbacks.on_committed(snapshot).await?;
        match (error, output) {
            (Some(error), _) => Err(Unfinished::NodeFailed(error)),
            (None, Some(output)) => output.value.read().map(Some).map_err(Unfinished::NodeFailed),
            (None, None) => Ok(None),
        }
    }
}

/// The error of a step whose node succeeded, and whose values the run could not take.
fn own_error(snapshot: &Snapshot, id: &ItemId) -> Option<Error> {
    let failure = snapshot.failure_of(id).filter(|failure| snapshot.error.as_ref() == Some(*failure))?;
    Some(Error::Failed(failure.message.clone()))
}
