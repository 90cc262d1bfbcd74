//! Steps over stores that the caller chooses, by the same rules as the engine's.

mod plain;

use super::Workflow;
use crate::{
    CommitId, Context, ContextStore, Error, ItemId, Merge, Outcome, RunId, RunKey, StepCallbacks, StepError,
    Timestamp, WorkItem, WorkQueue, WorkflowCtx, WorkflowName,
    backend::TraceHeaders,
    codec,
    distributed::{ItemProcessedOutcome, Leased},
    engine::{local, steps, trace_of},
    macro_support::guarded,
    run::{Applied, Attempt, Begin, Effect, RunError, Snapshot, apply, begin, tickets_under},
};
use std::sync::Arc;

pub(super) async fn start<C, W, CS, Q>(
    workflow: &W,
    ctx: &WorkflowCtx<C>,
    input: W::Input,
    contexts: &CS,
    queue: &Q,
    id: &str,
) -> Result<(), Error>
where
    C: Context + Merge + Default,
    W: Workflow<C>,
    CS: ContextStore<C> + Send + Sync,
    Q: WorkQueue<C, W::WorkItem> + Send + Sync,
{
    let item = workflow.start_work_item(input);
    if !contexts.keeps_snapshots() {
        return plain::start(ctx, item, contexts, queue, id).await;
    }
    let name = |error: crate::BadName| Error::Generic(error.to_string());
    let seed = steps::seed_of(item, codec::encode(&ctx.store, "the context")?)?;
    let digest = seed.digest();
    let (snapshot, _) = begin(Begin {
        key: RunKey::new(WorkflowName::new(workflow.name()).map_err(name)?, RunId::new(id).map_err(name)?),
        commit: CommitId::default(),
        at: Timestamp::now(),
        trace: trace_of(&TraceHeaders::default(), 1, 1),
        seed,
    });
    let snapshot = if contexts.swap_snapshot(id, 0, &snapshot).await? {
        snapshot
    } else {
        let (existing, _) = contexts.snapshot(id).await?.ok_or(Error::NotStarted)?;
        if existing.input_digest != digest {
            return Err(Error::Generic(format!("run {id:?} exists and was started with another input")));
        }
        existing
    };
    // Again for a run that exists: the first start may have been lost between the snapshot and the queue.
    let first: Option<W::WorkItem> = local::item_in(&snapshot, &ItemId::start())?;
    if let Some(first) = first {
        queue.enqueue(id, first).await?;
    }
    Ok(())
}

pub(super) async fn step<C, W, CS, Q>(
    workflow: &W,
    contexts: &CS,
    queue: &Q,
    worker: usize,
    callbacks: Arc<dyn StepCallbacks<C, W>>,
) -> Result<Option<(String, W::Output)>, StepError<W::WorkItem>>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C>,
    CS: ContextStore<C> + Send + Sync,
    Q: WorkQueue<C, W::WorkItem> + Send + Sync,
{
    let leased = queue.lease().await.map_err(|error| StepError {
        error: error.into(),
        run_id: None,
        work_item: None,
    })?;
    let Some(leased) = leased else { return Ok(None) };
    let named = |error: Error| StepError {
        error,
        run_id: Some(leased.run_id.clone()),
        work_item: Some(leased.item.clone()),
    };
    tracing::debug!(worker, run_id = %leased.run_id, item_id = %leased.item.instance_id(), "a step begins");
    let taken = Taken { workflow, contexts, queue, leased: &leased, callbacks: &*callbacks };
    let stepped = match callbacks.on_started(leased.run_id.clone(), leased.item.clone()).await {
        Ok(()) if contexts.keeps_snapshots() => taken.step().await,
        Ok(()) => plain::step(&taken).await,
        Err(refused) => Err(Failure::Storage(refused)),
    };
    match stepped {
        Ok(output) => {
            queue.settle(&leased).await.map_err(|error| named(error.into()))?;
            Ok(output.map(|output| (leased.run_id.clone(), output)))
        }
        Err(Failure::Node(error)) => {
            queue.settle(&leased).await.map_err(|error| named(error.into()))?;
            Err(named(error))
        }
        Err(Failure::Storage(error)) => {
            queue.give_back(&leased).await.map_err(|error| named(error.into()))?;
            Err(named(error))
        }
    }
}

/// What ends a step early: the node's failure, which is committed, or a store's, after which the item is given back.
enum Failure {
    Node(Error),
    Storage(Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Storage(error.into())
    }
}

/// A work item that was taken from the queue.
struct Taken<'a, C: Context, W: Workflow<C>, CS, Q> {
    workflow: &'a W,
    contexts: &'a CS,
    queue: &'a Q,
    leased: &'a Leased<W::WorkItem>,
    callbacks: &'a dyn StepCallbacks<C, W>,
}

impl<C, W, CS, Q> Taken<'_, C, W, CS, Q>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C>,
    CS: ContextStore<C> + Send + Sync,
    Q: WorkQueue<C, W::WorkItem> + Send + Sync,
{
    async fn step(&self) -> Result<Option<W::Output>, Failure> {
        let run_id = &self.leased.run_id;
        let id = ItemId::new(&self.leased.item.instance_id())
            .map_err(|error| Error::Generic(error.to_string()))?;
        let graph = self.workflow.graph();
        loop {
            let (snapshot, revision) = self.contexts.snapshot(run_id).await?.ok_or(Error::NotStarted)?;
            let item: Option<W::WorkItem> = local::item_in(&snapshot, &id)?;
            let Some(item) = item.filter(|_| snapshot.is_pending(&id)) else {
                self.requeue(&snapshot, &id).await?;
                return Ok(None);
            };
            let (attempt, failed) = self.attempt(&snapshot, &id, item).await?;
            let Some(Applied { snapshot, effects }) = apply(snapshot, attempt, CommitId::default(), &graph)
            else {
                return Ok(None);
            };
            // A lost race means that what the node saw is no longer so: it runs again on the latest context.
            if !self.contexts.swap_snapshot(run_id, revision, &snapshot).await? {
                continue;
            }
            self.enqueue(&snapshot, effects).await?;
            return self.report(&snapshot, failed).await;
        }
    }

    async fn attempt(
        &self,
        snapshot: &Snapshot,
        id: &ItemId,
        item: W::WorkItem,
    ) -> Result<(Attempt, Option<Error>), Failure> {
        let node = item.node();
        let ctx = WorkflowCtx::new(codec::decode::<C>(&snapshot.context, "the context")?);
        let attempt = async { Ok(self.workflow.attempt_work_item(&ctx, item).await) };
        let outcome = match guarded(attempt).await {
            Ok(outcome) => outcome,
            Err(panic) => Outcome::Failed(panic),
        };
        let failed = match &outcome {
            Outcome::Failed(error) => Some(error.clone()),
            Outcome::Next(_) | Outcome::NextAll(_) | Outcome::Hold | Outcome::Caught { .. } => None,
        };
        let error = |error: &Error| RunError {
            item: Some(id.clone()),
            node: Some(node.clone()),
            attempt: 1,
            kind: error.kind().to_owned(),
            message: error.to_string(),
        };
        let produced = steps::encode_outcome(outcome, &error)?;
        let context = steps::changed(&ctx.store, &snapshot.context, &produced)?;
        let attempt = Attempt {
            item: id.clone(),
            node,
            via: id.clone(),
            number: 1,
            at: Timestamp::now(),
            span: None,
            produced,
            context,
        };
        Ok((attempt, failed))
    }

    async fn enqueue(&self, snapshot: &Snapshot, effects: Vec<Effect>) -> Result<(), Failure> {
        for effect in effects {
            if let Effect::Ticket(ticket) = effect {
                self.enqueue_item(snapshot, &ticket.item).await?;
            }
        }
        Ok(())
    }

    /// The item is done: a worker that was lost may not have queued what it begot.
    async fn requeue(&self, snapshot: &Snapshot, id: &ItemId) -> Result<(), Failure> {
        for want in tickets_under(snapshot, id) {
            self.enqueue_item(snapshot, &want.item).await?;
        }
        Ok(())
    }

    async fn enqueue_item(&self, snapshot: &Snapshot, id: &ItemId) -> Result<(), Failure> {
        let item: Option<W::WorkItem> = local::item_in(snapshot, id)?;
        if let Some(item) = item {
            self.queue.enqueue(&self.leased.run_id, item).await?;
        }
        Ok(())
    }

    async fn report(&self, snapshot: &Snapshot, failed: Option<Error>) -> Result<Option<W::Output>, Failure> {
        let ended = snapshot.status.is_terminal();
        let output: Option<W::Output> = match failed {
            Some(error) => {
                self.processed(ItemProcessedOutcome::Error(error.clone())).await?;
                return Err(Failure::Node(error));
            }
            None if ended => Some(local::output_of(snapshot).map_err(Failure::Node)?),
            None => None,
        };
        let outcome = match &output {
            Some(output) => ItemProcessedOutcome::SuccessTerminal(
                serde_json::to_value(output).map_err(|error| Error::encode("an output", error))?,
            ),
            None => ItemProcessedOutcome::SuccessNonTerminal,
        };
        self.processed(outcome).await?;
        Ok(output)
    }

    async fn processed(&self, outcome: ItemProcessedOutcome) -> Result<(), Error> {
        self.callbacks.on_item_processed(self.leased.run_id.clone(), self.leased.item.clone(), outcome).await
    }
}
