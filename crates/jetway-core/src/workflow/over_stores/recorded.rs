//! Steps over stores that keep snapshots: a step is committed whole and once.

use super::{
    Taken, Unfinished, bounded,
    queued::{created_by, pending},
};
use crate::{
    Context, ContextStore, Merge, Outcome, WorkItem, WorkQueue, Workflow,
    clock::{Clock, SystemClock},
    step::{StepScope, changed, encode_outcome, within},
    workflow::{callbacks::ItemProcessedOutcome, local},
};
use bytes::Bytes;
use jetway_state::{
    CommitId, Error, ItemId, codec, json,
    run::{Applied, AttemptReport, Effect, EncodedOutcome, RunError, Snapshot, Status, apply},
};

/// An attempt, and what it started from.
struct AttemptResult {
    attempt: AttemptReport,
    base: Bytes,
    failed: Option<Error>,
}

impl<C, W, CS, Q> Taken<'_, C, W, CS, Q>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C>,
    CS: ContextStore<C> + Send + Sync,
    Q: WorkQueue<C, W::WorkItem> + Send + Sync,
{
    pub(super) async fn step(&self) -> Result<Option<W::Output>, Unfinished> {
        let run_id = &self.leased.run_id;
        let graph = self.workflow.graph();
        let (mut started, mut tried): (bool, Option<AttemptResult>) = (false, None);
        loop {
            let (snapshot, revision) = self.contexts.snapshot(run_id).await?.ok_or(Error::NotStarted)?;
            let Some((id, item)) = pending(&snapshot, &self.leased.item)? else {
                self.requeue(&snapshot).await?;
                self.callbacks.on_recorded(&snapshot).await?;
                return Ok(None);
            };
            // What was tried before the pause is committed: it is the step under way.
            let on_the_latest = match tried.take().and_then(|tried| rebased::<C>(tried, &snapshot.context)) {
                Some(tried) => tried,
                None if snapshot.status == Status::Paused => return Err(Unfinished::Paused),
                None => {
                    if !started {
                        self.started().await?;
                        started = true;
                    }
                    self.attempt(&snapshot, &id, item).await?
                }
            };
            let attempt = on_the_latest.attempt.clone();
            let Some(Applied { snapshot, effects }) = apply(snapshot, attempt, CommitId::default(), &graph)
            else {
                return Ok(None);
            };
            if self.contexts.swap_snapshot(run_id, revision, &snapshot).await? {
                self.enqueue(&snapshot, effects).await?;
                return self.report(&snapshot, on_the_latest.failed).await;
            }
            tried = Some(on_the_latest);
        }
    }

    /// Executes the item. A failure that is to be tried again ends the step here: nothing of it is committed.
    async fn attempt(
        &self,
        snapshot: &Snapshot,
        id: &ItemId,
        item: W::WorkItem,
    ) -> Result<AttemptResult, Unfinished> {
        let (node, number, give_up) = (item.node(), self.callbacks.attempt(), self.callbacks.give_up());
        let context = codec::decode::<C>(&snapshot.context, "the context")?;
        let ctx = self.ctx(context, &give_up);
        let scope = StepScope::new(snapshot.key(), id.clone(), number, ctx.timeout(), give_up.clone());
        let attempt = async { Ok(self.workflow.attempt_work_item(&ctx, item).await) };
        let outcome = within(scope, bounded(&ctx, attempt)).await.unwrap_or_else(Outcome::Failed);
        let error = |error: &Error| RunError {
            item: Some(id.clone()),
            node: Some(node.clone()),
            attempt: number,
            kind: error.kind().to_owned(),
            message: error.to_string(),
        };
        let (mut failed, caught) = match &outcome {
            Outcome::Failed(error) => (Some(error.clone()), None),
            Outcome::Handled { error, .. } => (None, Some(error.clone())),
            Outcome::Next(_) | Outcome::NextAll(_) | Outcome::Hold => (None, None),
        };
        let encoded = encode_outcome(outcome, &error).and_then(|produced| {
            let context = changed(&ctx.store, &snapshot.context, &produced)?;
            Ok((produced, context))
        });
        let (produced, context) = encoded.unwrap_or_else(|unfit| {
            let produced = EncodedOutcome::Failed(error(&unfit));
            failed = Some(unfit);
            (produced, None)
        });
        // A fallback comes after the last attempt.
        if let Some(error) = failed.as_ref().or(caught.as_ref()) {
            self.unless_retried(error, &give_up).await?;
        }
        let (item, ticket_item, timestamp) = (id.clone(), id.clone(), SystemClock.now());
        let attempt =
            AttemptReport { item, node, ticket_item, number, timestamp, span: None, produced, context };
        Ok(AttemptResult { attempt, base: snapshot.context.clone(), failed })
    }

    async fn enqueue(&self, snapshot: &Snapshot, effects: Vec<Effect>) -> Result<(), Unfinished> {
        for effect in effects {
            if let Effect::Ticket(ticket) = effect {
                self.enqueue_item(snapshot, &ticket.item).await?;
            }
        }
        Ok(())
    }

    /// The item is done: a worker that was lost may not have queued what it begot.
    async fn requeue(&self, snapshot: &Snapshot) -> Result<(), Unfinished> {
        for want in created_by(snapshot, &self.leased.item)? {
            self.enqueue_item(snapshot, &want.item).await?;
        }
        Ok(())
    }

    async fn enqueue_item(&self, snapshot: &Snapshot, id: &ItemId) -> Result<(), Unfinished> {
        let item: Option<W::WorkItem> = local::item_in(snapshot, id)?;
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
                local::output_of(snapshot).map(Some).map_err(Unfinished::Failed)
            }
            None => Ok(None),
        }
    }
}

/// The attempt with its change of the context re-applied to the latest one. `None` where the node has to look again:
/// it held on a context that is no longer so, or a join could be held by every branch and go on by none.
fn rebased<C: Context + Merge>(tried: AttemptResult, latest: &Bytes) -> Option<AttemptResult> {
    if tried.base == *latest {
        return Some(tried);
    }
    if tried.attempt.produced == EncodedOutcome::Hold {
        return None;
    }
    let Some(mine) = &tried.attempt.context else {
        return Some(tried);
    };
    let decode = |bytes: &Bytes| codec::decode::<C>(bytes, "the context");
    let rebase =
        || codec::encode(&decode(mine)?.rebase(&decode(&tried.base)?, decode(latest)?), "the context");
    // What cannot be re-applied is tried anew: the latest context decodes for the node too, or fails there in words.
    let context = rebase().ok()?;
    let attempt = AttemptReport { context: Some(context), ..tried.attempt };
    Some(AttemptResult { attempt, base: latest.clone(), ..tried })
}
