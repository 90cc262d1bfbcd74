//! Steps over context stores that keep no snapshots.
//!
//! There is no single write for the effects of a step, so it is not all or nothing: a crash between the merge of the
//! context and the queueing of the successors loses these successors. The context is merged first, so that no successor
//! reads an older one.

use super::{LeasedStep, Unfinished};
use crate::{
    Context, ContextStore, Merge, WorkItem, WorkQueue, Workflow, WorkflowCtx,
    panics::guarded_now,
    step::{limited, until_cancelled},
    workflow::callbacks::{ItemProcessedOutcome, RunState},
};
use jetway_state::{Error, run::EncodedOutput, value};
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

/// The outcome of a step whose values are exact when they are read again.
fn checked<C: Context, W: Workflow<C>>(
    context: &C,
    successors: &VecDeque<W::WorkItem>,
    output: Option<&W::Output>,
) -> Result<ItemProcessedOutcome, Error> {
    guarded_now(|| {
        value::write_opaque(context, &"the context")?;
        for item in successors {
            value::write(item, &format_args!("input of node {:?}", item.node()))?;
        }
        Ok(match output {
            Some(output) => {
                let output = EncodedOutput::new(output)?.to_json()?;
                ItemProcessedOutcome::SuccessTerminal(output.read()?)
            }
            None => ItemProcessedOutcome::SuccessNonTerminal,
        })
    })
}

fn copied<C: Context>(context: &C) -> Result<C, Error> {
    const WHAT: &str = "the context";
    value::read(&value::write_opaque(context, &WHAT)?, &WHAT)
}

/// Runs the node once. Its values are encoded within the attempt, so that one that cannot be kept fails it: after the merge
/// of the context the step can no longer fail.
async fn attempt<C, W, CS, Q>(
    step: &LeasedStep<'_, C, W, CS, Q>,
    ctx: &mut WorkflowCtx<C>,
    before: &C,
    successors: &mut VecDeque<W::WorkItem>,
) -> Result<(Option<W::Output>, ItemProcessedOutcome), Error>
where
    C: Context,
    W: Workflow<C>,
    CS: Sync,
    Q: Sync,
{
    let item = &step.leased.item;
    let output = step.workflow.process_work_item(ctx, item.clone(), successors).await?;
    match checked::<C, W>(&ctx.store, successors, output.as_ref()) {
        Ok(outcome) => Ok((output, outcome)),
        Err(error) => {
            successors.clear();
            let failed = step.workflow.fail_work_item(item.clone(), error);
            let output = failed.into_queue(&item.instance_id(), successors)?;
            // A failed step changes nothing of the context.
            ctx.store = copied(before)?;
            let outcome = checked::<C, W>(&ctx.store, successors, output.as_ref())?;
            Ok((output, outcome))
        }
    }
}

pub(super) async fn execute<C, W, CS, Q>(
    step: &LeasedStep<'_, C, W, CS, Q>,
) -> Result<Option<W::Output>, Unfinished>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C>,
    CS: ContextStore<C> + Send + Sync,
    Q: WorkQueue<C, W::WorkItem> + Send + Sync,
{
    let run_id = &step.leased.run_id;
    match step.callbacks.run_state(run_id).await? {
        RunState::Open => {}
        RunState::Paused => return Err(Unfinished::RunPaused),
        RunState::Closed => return Ok(None),
    }
    step.notify_started().await?;
    let (context, abort) = (step.contexts.get(run_id).await?, step.callbacks.abort_token());
    let mut ctx = step.attempt_ctx(context.ok_or(Error::NotStarted)?, &abort);
    // A deep copy by encoding and decoding: a clone may share values with the original.
    let before = copied(&ctx.store)?;
    let mut successors = VecDeque::new();
    let (limit, cancel) = (ctx.timeout(), ctx.cancel_token().clone());
    let attempt = attempt(step, &mut ctx, &before, &mut successors);
    let (output, outcome) = match until_cancelled(&cancel, limited(limit, attempt)).await {
        Ok(done) => done,
        Err(error) => {
            step.check_retry(&error, &abort).await?;
            step.notify_processed(ItemProcessedOutcome::Error(error.clone())).await?;
            return Err(Unfinished::NodeFailed(error));
        }
    };
    // Merges the change alone: merging two whole contexts would count their common past twice.
    step.contexts.merge(run_id, ctx.store.rebase(&before, C::default())).await?;
    // A run that was cancelled in the meantime gets no successors.
    if step.callbacks.run_state(run_id).await? == RunState::Closed {
        return Ok(None);
    }
    for successor in successors {
        step.queue.enqueue(run_id, successor).await?;
    }
    step.notify_processed(outcome).await?;
    Ok(output)
}
