//! One step of a run whose context, snapshot and work items are in stores that the caller chooses.
//!
//! [`start`] creates a run, [`step`] leases one work item and executes it. A context store with snapshots gets the same
//! pipeline as a host ([`with_snapshots`]); one without gets a simpler one with fewer guarantees ([`context_only`]).

mod context_only;
pub(crate) mod pending_item;
#[cfg(test)]
mod tests;
mod with_snapshots;

use super::Workflow;
use crate::{
    Context, ContextStore, Merge, StepCallbacks, StepError, WorkItem, WorkQueue, WorkflowCtx,
    panics::guarded, step::run_input_of, stores::Leased, workflow::callbacks::ItemProcessedOutcome,
};
use jetway_state::{
    CommitId, Error, Incarnation, ItemId, RunId, RunKey, WorkflowName,
    run::{Begin, begin},
    trace::{TraceHeaders, trace_of},
    value,
};
use std::{marker::PhantomData, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// The delay before an item is leased again whose run is paused, or whose step failed because of a store.
const RETRY_DELAY: Duration = Duration::from_secs(1);

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
        return context_only::start(ctx, item, contexts, queue, id).await;
    }
    let run_id = RunId::new(id).map_err(|error| Error::Generic(error.to_string()))?;
    // An item that chooses its own id may choose another one each time, so its digest proves nothing.
    let comparable = !pending_item::keeps_its_id(&item);
    let input = run_input_of(item, value::write_opaque(&ctx.store, &"the context")?)?;
    let digest = input.digest();
    let (snapshot, _) = begin(Begin {
        key: RunKey::new(WorkflowName::fitted(workflow.name()), run_id),
        incarnation: Incarnation::from_random(rand::random()),
        commit: CommitId::default(),
        at: contexts.clock().map_or_else(|| ctx.clock().now(), |clock| clock.now()),
        due: None,
        trace: trace_of(&TraceHeaders::default(), 1, 1),
        input,
    });
    let snapshot = if contexts.swap_snapshot(id, 0, &snapshot).await? {
        snapshot
    } else {
        let (existing, _) = contexts.snapshot(id).await?.ok_or(Error::NotStarted)?;
        if comparable && existing.input_digest != digest {
            return Err(Error::Generic(format!("run {id:?} exists and was started with another input")));
        }
        existing
    };
    // Also for a run that exists: the process that created it may have crashed before it queued the first item.
    let first: Option<W::WorkItem> = pending_item::queued(&snapshot, &ItemId::start())?;
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
    tracing::debug!(worker, run = %leased.run_id, item = %leased.item.instance_id(), "step started");
    // The caller may drop this future at any await; the guard then releases the lease.
    let _lease = LeaseGuard { queue, leased: &leased, context: PhantomData };
    callbacks.on_leased(&leased.run_id);
    let step = LeasedStep { workflow, contexts, queue, leased: &leased, callbacks: &*callbacks };
    let execution = async {
        Ok(match contexts.keeps_snapshots() {
            true => step.execute().await,
            false => context_only::execute(&step).await,
        })
    };
    // A panic in a store or in a merge also gives the item back.
    let executed = guarded(execution).await.unwrap_or_else(|panic| Err(panic.into()));
    let (settled, result) = match executed {
        Ok(output) => (queue.ack(&leased).await, Ok(output)),
        Err(Unfinished::NodeFailed(error)) => (queue.ack(&leased).await, Err(error)),
        Err(Unfinished::WorkerStopped) => (queue.nak(&leased).await, Err(Error::Cancelled)),
        Err(Unfinished::Returned) => (queue.nak(&leased).await, Ok(None)),
        Err(Unfinished::RunPaused) => (queue.nak_after(&leased, RETRY_DELAY).await, Ok(None)),
        Err(Unfinished::RetryAfter(error, delay)) => (queue.nak_after(&leased, delay).await, Err(error)),
    };
    let result = result.and_then(|output| settled.map(|()| output).map_err(Error::from));
    let with_item = |error| StepError {
        error,
        run_id: Some(leased.run_id.clone()),
        work_item: Some(leased.item.clone()),
    };
    Ok(result.map_err(with_item)?.map(|output| (leased.run_id.clone(), output)))
}

/// Why a step has no result.
enum Unfinished {
    /// The node failed, and the failure is committed.
    NodeFailed(Error),
    /// The worker stops and dropped the node. Nothing is committed.
    WorkerStopped,
    /// The attempt belongs to another incarnation of the run. Its item may not.
    Returned,
    /// The run is paused.
    RunPaused,
    /// The attempt or a store failed. The item is leased again after this delay.
    RetryAfter(Error, Duration),
}

impl<E: Into<Error>> From<E> for Unfinished {
    fn from(error: E) -> Self {
        Self::RetryAfter(error.into(), RETRY_DELAY)
    }
}

/// Abandons the lease when it is dropped. The queue ignores that for a lease that has already ended.
struct LeaseGuard<'a, C: Context, WI: WorkItem, Q: WorkQueue<C, WI>> {
    queue: &'a Q,
    leased: &'a Leased<WI>,
    context: PhantomData<fn() -> C>,
}

impl<C: Context, WI: WorkItem, Q: WorkQueue<C, WI>> Drop for LeaseGuard<'_, C, WI, Q> {
    fn drop(&mut self) {
        self.queue.abandon(self.leased);
    }
}

/// A leased work item and what is needed to execute it.
struct LeasedStep<'a, C: Context, W: Workflow<C>, CS, Q> {
    workflow: &'a W,
    contexts: &'a CS,
    queue: &'a Q,
    leased: &'a Leased<W::WorkItem>,
    callbacks: &'a dyn StepCallbacks<C, W>,
}

impl<C, W, CS, Q> LeasedStep<'_, C, W, CS, Q>
where
    C: Context,
    W: Workflow<C>,
{
    /// The context of one attempt, with the worker's cancellation token and time limit.
    fn attempt_ctx(&self, context: C, abort: &CancellationToken) -> WorkflowCtx<C> {
        let mut ctx =
            WorkflowCtx::new(context).cancelled_by(abort.clone()).with_clock(self.callbacks.clock());
        if let Some(limit) = self.callbacks.step_timeout() {
            ctx.set_timeout(limit);
        }
        ctx
    }

    async fn notify_started(&self) -> Result<(), Error> {
        self.callbacks.on_started(self.leased.run_id.clone(), self.leased.item.clone()).await
    }

    /// Returns an error where the failed attempt must not be committed: the worker stops, or there will be another
    /// attempt.
    async fn check_retry(&self, error: &Error, abort: &CancellationToken) -> Result<(), Unfinished> {
        if abort.is_cancelled() && matches!(error, Error::Cancelled) {
            return Err(Unfinished::WorkerStopped);
        }
        let Leased { run_id, item, .. } = self.leased;
        match self.callbacks.on_failed_attempt(run_id, item, error).await? {
            Some(delay) => Err(Unfinished::RetryAfter(error.clone(), delay)),
            None => Ok(()),
        }
    }

    async fn notify_processed(&self, outcome: ItemProcessedOutcome) -> Result<(), Error> {
        self.callbacks.on_item_processed(self.leased.run_id.clone(), self.leased.item.clone(), outcome).await
    }
}
