//! Running within a process with checkpoints.

use super::Workflow;
use crate::{Checkpoint, CheckpointStore, Context, WorkflowCtx, workflow::local::LocalRun};
use jetway_state::{Error, codec};
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
        Some(saved) => go_on(workflow, ctx.with_context(saved.context.clone()), saved, store, id).await,
        None => {
            // A clone of it may share with the caller's own, and so with the caller's other runs.
            let ctx = ctx.with_context(codec::decode(&codec::encode(&ctx.store, WHAT)?, WHAT)?);
            let run = LocalRun::begin(workflow, workflow.start_work_item(input), id)?;
            // Saved before the first step, so that a crash in it leaves something to resume.
            store.save(id, &checkpoint(&run, &ctx)?).await?;
            to_the_end(run, ctx, store, id).await
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
    if saved.queue.is_empty() {
        return Err(Error::AlreadyCompleted);
    }
    go_on(workflow, WorkflowCtx::new(saved.context.clone()), saved, store, id).await
}

async fn go_on<C, W, CS>(
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
    let run = match (saved.record, saved.queue) {
        (Some(record), queue) => LocalRun::go_on(workflow, record, &queue),
        (None, queue) => from_queue(workflow, queue, id)?,
    };
    to_the_end(run, ctx, store, id).await
}

/// A checkpoint that was made elsewhere, with work items alone.
fn from_queue<'a, C, W>(
    workflow: &'a W,
    mut queue: VecDeque<W::WorkItem>,
    id: &str,
) -> Result<LocalRun<'a, C, W>, Error>
where
    C: Context,
    W: Workflow<C>,
{
    let first = queue.pop_front().ok_or(Error::AlreadyCompleted)?;
    let mut run = LocalRun::begin(workflow, first, id)?;
    run.add(queue)?;
    Ok(run)
}

async fn to_the_end<C, W, CS>(
    mut run: LocalRun<'_, C, W>,
    ctx: WorkflowCtx<C>,
    store: &CS,
    id: &str,
) -> Result<W::Output, Error>
where
    C: Context,
    W: Workflow<C>,
    CS: CheckpointStore<C, W::WorkItem> + Send + Sync,
{
    while !run.snapshot().status.is_terminal() {
        run.step(&ctx).await?;
        store.save(id, &checkpoint(&run, &ctx)?).await?;
    }
    run.output()
}

fn checkpoint<C: Context, W: Workflow<C>>(
    run: &LocalRun<'_, C, W>,
    ctx: &WorkflowCtx<C>,
) -> Result<Checkpoint<C, W::WorkItem>, Error> {
    Ok(Checkpoint { context: ctx.store.clone(), queue: run.queue()?, record: Some(run.snapshot().clone()) })
}
