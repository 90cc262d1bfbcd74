//! Steps over stores that keep contexts only. What such a store cannot do, this cannot promise: a crash between the
//! merge and the queue can lose successors. The context is merged first, so that no successor sees an old one.

use super::{Taken, Unfinished};
use crate::{
    Context, ContextStore, Merge, WorkItem, WorkQueue, Workflow, WorkflowCtx,
    step::limited,
    workflow::callbacks::{ItemProcessedOutcome, RunState},
};
use jetway_state::{Error, codec, json};
use std::collections::VecDeque;

pub(super) async fn start<C, WI, CS, Q>(
    ctx: &WorkflowCtx<C>,
    item: WI,
    contexts: &CS,
    queue: &Q,
    id: &str,
) -> Result<(), Error>
where
    C: Context + Merge + Default,
    WI: WorkItem,
    CS: ContextStore<C> + Send + Sync,
    Q: WorkQueue<C, WI> + Send + Sync,
{
    if contexts.get(id).await?.is_none() {
        contexts.set(id, ctx.store.clone()).await?;
        queue.enqueue(id, item).await?;
    }
    Ok(())
}

pub(super) async fn step<C, W, CS, Q>(taken: &Taken<'_, C, W, CS, Q>) -> Result<Option<W::Output>, Unfinished>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C>,
    CS: ContextStore<C> + Send + Sync,
    Q: WorkQueue<C, W::WorkItem> + Send + Sync,
{
    let run_id = &taken.leased.run_id;
    match taken.callbacks.run_state(run_id).await? {
        RunState::Open => {}
        RunState::Paused => return Err(Unfinished::Paused),
        RunState::Closed => return Ok(None),
    }
    taken.started().await?;
    let (context, give_up) = (taken.contexts.get(run_id).await?, taken.callbacks.give_up());
    let ctx = taken.ctx(context.ok_or(Error::NotStarted)?, &give_up);
    // A copy that shares nothing with the context: a clone of it might.
    let before: C = codec::decode(&codec::encode(&ctx.store, "the context")?, "the context")?;
    let mut successors = VecDeque::new();
    let attempt = async {
        let item = taken.leased.item.clone();
        let output = taken.workflow.process_work_item(&ctx, item, &mut successors).await?;
        // Here, and not where the outcome is told: once the context is merged it is too late to fail.
        let outcome = match &output {
            Some(output) => {
                ItemProcessedOutcome::SuccessTerminal(json::from_cbor(&codec::encode(output, "an output")?)?)
            }
            None => ItemProcessedOutcome::SuccessNonTerminal,
        };
        Ok((output, outcome))
    };
    let (output, outcome) = match limited(ctx.timeout(), ctx.cancel_token(), attempt).await {
        Ok(done) => done,
        Err(error) => {
            taken.unless_retried(&error, &give_up).await?;
            taken.processed(ItemProcessedOutcome::Error(error.clone())).await?;
            return Err(Unfinished::Failed(error));
        }
    };
    // Only the change is sent: merging two whole contexts counts their common past twice.
    taken.contexts.merge(run_id, ctx.store.rebase(&before, C::default())).await?;
    // The run may have been cancelled meanwhile: then it does not go on.
    if taken.callbacks.run_state(run_id).await? == RunState::Closed {
        return Ok(None);
    }
    for successor in successors {
        taken.queue.enqueue(run_id, successor).await?;
    }
    taken.processed(outcome).await?;
    Ok(output)
}
