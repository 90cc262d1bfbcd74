//! Steps over stores that the caller chooses, by the same rules as the engine's.

mod plain;
mod queued;
mod recorded;
#[cfg(test)]
mod tests;

use super::Workflow;
use crate::{
    Context, ContextStore, Merge, StepCallbacks, StepError, WorkItem, WorkQueue, WorkflowCtx,
    clock::{Clock, SystemClock},
    panics::guarded,
    step::{item_in, run_input_of},
    stores::Leased,
    workflow::callbacks::ItemProcessedOutcome,
};
use jetway_state::{
    CommitId, Error, ItemId, RunId, RunKey, WorkflowName, codec,
    run::{Begin, begin},
    trace::{TraceHeaders, trace_of},
};
use std::{marker::PhantomData, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// After this long a worker looks again at an item that it could not execute: its run is paused, or a store failed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

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
    let run_id = RunId::new(id).map_err(|error| Error::Generic(error.to_string()))?;
    // An id that the item itself made up is another one each time.
    let repeats = !queued::keeps_its_id(&item);
    let input = run_input_of(item, codec::encode(&ctx.store, "the context")?)?;
    let digest = input.digest();
    let (snapshot, _) = begin(Begin {
        key: RunKey::new(WorkflowName::fitted(workflow.name()), run_id),
        commit: CommitId::default(),
        at: SystemClock.now(),
        trace: trace_of(&TraceHeaders::default(), 1, 1),
        input,
    });
    let snapshot = if contexts.swap_snapshot(id, 0, &snapshot).await? {
        snapshot
    } else {
        let (existing, _) = contexts.snapshot(id).await?.ok_or(Error::NotStarted)?;
        if repeats && existing.input_digest != digest {
            return Err(Error::Generic(format!("run {id:?} exists and was started with another input")));
        }
        existing
    };
    // Again for a run that exists: the first start may have been lost between the snapshot and the queue.
    let first: Option<W::WorkItem> = item_in(&snapshot, &ItemId::start())?;
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
    tracing::debug!(worker, run_id = %leased.run_id, item_id = %leased.item.instance_id(), "a step begins");
    // Whoever polls this may drop it: then the item is nobody's.
    let _lease = Lease { queue, leased: &leased, context: PhantomData };
    callbacks.on_taken(&leased.run_id);
    let taken = Taken { workflow, contexts, queue, leased: &leased, callbacks: &*callbacks };
    let stepping = async {
        Ok(match contexts.keeps_snapshots() {
            true => taken.step().await,
            false => plain::step(&taken).await,
        })
    };
    // Whatever panics, a store or a merge, the item goes back.
    let stepped = guarded(stepping).await.unwrap_or_else(|panic| Err(panic.into()));
    let (handed_over, result) = match stepped {
        Ok(output) => (queue.ack(&leased).await, Ok(output)),
        Err(Unfinished::Failed(error)) => (queue.ack(&leased).await, Err(error)),
        Err(Unfinished::GivenUp) => (queue.nak(&leased).await, Err(Error::Cancelled)),
        Err(Unfinished::Paused) => (queue.nak_after(&leased, LOOK_AGAIN).await, Ok(None)),
        Err(Unfinished::TryAgain(error, pause)) => (queue.nak_after(&leased, pause).await, Err(error)),
    };
    let result = result.and_then(|output| handed_over.map(|()| output).map_err(Error::from));
    let named = |error| StepError {
        error,
        run_id: Some(leased.run_id.clone()),
        work_item: Some(leased.item.clone()),
    };
    Ok(result.map_err(named)?.map(|output| (leased.run_id.clone(), output)))
}

/// What keeps a step from being done.
enum Unfinished {
    /// The node failed, and that is committed.
    Failed(Error),
    /// The worker stops, and the node was dropped.
    GivenUp,
    /// The run is paused.
    Paused,
    /// The attempt failed, or a store did: the item is to be taken again after that time.
    TryAgain(Error, Duration),
}

impl<E: Into<Error>> From<E> for Unfinished {
    fn from(error: E) -> Self {
        Self::TryAgain(error.into(), LOOK_AGAIN)
    }
}

/// Abandons a lease where it has not ended.
struct Lease<'a, C: Context, WI: WorkItem, Q: WorkQueue<C, WI>> {
    queue: &'a Q,
    leased: &'a Leased<WI>,
    context: PhantomData<fn() -> C>,
}

impl<C: Context, WI: WorkItem, Q: WorkQueue<C, WI>> Drop for Lease<'_, C, WI, Q> {
    fn drop(&mut self) {
        self.queue.abandon(self.leased);
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
    C: Context,
    W: Workflow<C>,
{
    /// The context of an attempt, under the worker's token and limit.
    fn ctx(&self, context: C, give_up: &CancellationToken) -> WorkflowCtx<C> {
        let mut ctx = WorkflowCtx::new(context).cancelled_by(give_up.clone());
        if let Some(limit) = self.callbacks.step_timeout() {
            ctx.set_timeout(limit);
        }
        ctx
    }

    async fn started(&self) -> Result<(), Error> {
        self.callbacks.on_started(self.leased.run_id.clone(), self.leased.item.clone()).await
    }

    /// Whether there is to be another attempt after this failure, before anything of it is committed.
    async fn unless_retried(&self, error: &Error, give_up: &CancellationToken) -> Result<(), Unfinished> {
        if give_up.is_cancelled() && matches!(error, Error::Cancelled) {
            return Err(Unfinished::GivenUp);
        }
        let Leased { run_id, item, .. } = self.leased;
        match self.callbacks.on_failed_attempt(run_id, item, error).await? {
            Some(pause) => Err(Unfinished::TryAgain(error.clone(), pause)),
            None => Ok(()),
        }
    }

    async fn processed(&self, outcome: ItemProcessedOutcome) -> Result<(), Error> {
        self.callbacks.on_item_processed(self.leased.run_id.clone(), self.leased.item.clone(), outcome).await
    }
}
