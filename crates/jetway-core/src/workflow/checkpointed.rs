//! Runs within this process that save a checkpoint after each step.

use super::Workflow;
use crate::{Checkpoint, CheckpointStore, Context, WorkflowCtx, workflow::local::LocalRun};
use jetway_state::{Error, value};
use std::collections::VecDeque;

const WHAT: &str = "the context";

pub(super) async fn run<C, W, CS>(
    workflow: &W,
    ctx: &WorkflowCtx<C>,
    input: W::Input,
    store: &CS,
    id: &str,
) -> Result<W::Output, Error>
where
    C: Context,
    W: Workflow<C>,
    CS: CheckpointStore<C, W::WorkItem> + Send + Sync,
{
    match store.load(id).await? {
        Some(saved) => {
            continue_run(workflow, ctx.with_context(saved.context.clone()), saved, store, id).await
        }
        None => {
            // A deep copy: a clone may share values with the caller's context, and so with the caller's other runs.
            let ctx = ctx.with_context(value::read(&value::write_opaque(&ctx.store, &WHAT)?, &WHAT)?);
            let run = LocalRun::begin(workflow, workflow.start_work_item(input), id, &ctx)?;
            // Saved before the first step, so that a run that crashes in it can be resumed.
            store.save(id, &checkpoint(&run, &ctx)?).await?;
            run_to_end(run, ctx, store, id).await
        }
    }
}

pub(super) async fn resume<C, W, CS>(workflow: &W, store: &CS, id: &str) -> Result<W::Output, Error>
where
    C: Context,
    W: Workflow<C>,
    CS: CheckpointStore<C, W::WorkItem> + Send + Sync,
{
    let saved = store.load(id).await?.ok_or(Error::NotStarted)?;
    let has_ended = match &saved.snapshot {
        Some(snapshot) => snapshot.status.is_terminal(),
        None => saved.queue.is_empty(),
    };
    if has_ended {
        return Err(Error::AlreadyCompleted);
    }
    continue_run(workflow, WorkflowCtx::new(saved.context.clone()), saved, store, id).await
}

async fn continue_run<C, W, CS>(
    workflow: &W,
    ctx: WorkflowCtx<C>,
    saved: Checkpoint<C, W::WorkItem>,
    store: &CS,
    id: &str,
) -> Result<W::Output, Error>
where
    C: Context,
    W: Workflow<C>,
    CS: CheckpointStore<C, W::WorkItem> + Send + Sync,
{
    let run = match (saved.snapshot, saved.queue) {
        (Some(snapshot), queue) => LocalRun::continue_from(workflow, snapshot, &queue),
        (None, queue) => from_queue(workflow, queue, id, &ctx)?,
    };
    run_to_end(run, ctx, store, id).await
}

/// A run from a checkpoint without a snapshot, which has work items alone.
fn from_queue<'a, C, W>(
    workflow: &'a W,
    mut queue: VecDeque<W::WorkItem>,
    id: &str,
    ctx: &WorkflowCtx<C>,
) -> Result<LocalRun<'a, C, W>, Error>
where
    C: Context,
    W: Workflow<C>,
{
    let first = queue.pop_front().ok_or(Error::AlreadyCompleted)?;
    let mut run = LocalRun::begin(workflow, first, id, ctx)?;
    run.add_items(queue)?;
    Ok(run)
}

async fn run_to_end<C, W, CS>(
    mut run: LocalRun<'_, C, W>,
    mut ctx: WorkflowCtx<C>,
    store: &CS,
    id: &str,
) -> Result<W::Output, Error>
where
    C: Context,
    W: Workflow<C>,
    CS: CheckpointStore<C, W::WorkItem> + Send + Sync,
{
    while !run.snapshot().status.is_terminal() {
        let before = run.snapshot().continued;
        run.step(&ctx).await?;
        if run.snapshot().continued != before {
            ctx = ctx.with_context(C::default());
        }
        if !store.replace(id, &checkpoint(&run, &ctx)?).await? {
            return Err(Error::Generic(format!(
                "run {id:?}: its checkpoint was removed, or the id is in use by another run; the result of the step is discarded"
            )));
        }
    }
    run.output()
}

fn checkpoint<C: Context, W: Workflow<C>>(
    run: &LocalRun<'_, C, W>,
    ctx: &WorkflowCtx<C>,
) -> Result<Checkpoint<C, W::WorkItem>, Error> {
    Ok(Checkpoint { context: ctx.store.clone(), queue: run.queue()?, snapshot: Some(run.snapshot().clone()) })
}
