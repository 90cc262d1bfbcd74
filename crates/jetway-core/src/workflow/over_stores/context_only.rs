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
    let before: C = value::read(&value::write_opaque(&ctx.store, &"the context")?, &"the context")?;
    let mut successors = VecDeque::new();
    let (limit, cancel) = (ctx.timeout(), ctx.cancel_token().clone());
    let attempt = async {
        let item = step.leased.item.clone();
        let output = step.workflow.process_work_item(&ctx, item, &mut successors).await?;
        // Encoded within the attempt, so that a value that cannot be kept fails it. After the merge of the context the
        // step can no longer fail.
        match checked::<C, W>(&ctx.store, &successors, output.as_ref()) {
            Ok(outcome) => Ok((output, outcome)),
            Err(error) => {
                let item = step.leased.item.clone();
                let id = item.instance_id();
                successors.clear();
                let output = step.workflow.fail_work_item(item, error).into_queue(&id, &mut successors)?;
                // A failed step changes nothing of the context.
                ctx.store = value::read(&value::write_opaque(&before, &"the context")?, &"the context")?;
                let outcome = checked::<C, W>(&ctx.store, &successors, output.as_ref())?;
                Ok((output, outcome))
            }
        }
    };
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
