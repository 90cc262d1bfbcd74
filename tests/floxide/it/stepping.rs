//! `start_distributed` and `step_distributed` of a generated workflow over the stores in memory.

use async_trait::async_trait;
use floxide::{
    context::Context,
    distributed::{
        context_store::{ContextStore, InMemoryContextStore},
        event_log::EventLog,
        work_queue::{InMemoryWorkQueue, WorkQueue},
        ItemProcessedOutcome, StepCallbacks, StepError,
    },
    node, workflow, FloxideError, Merge, Transition, WorkItem, Workflow, WorkflowCtx,
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

#[derive(Debug, Clone, Default, Serialize, Deserialize, Merge)]
pub struct Log {
    lines: EventLog<String>,
}

node! {
    pub struct Open {};
    context = Log;
    input = u32;
    output = u32;
    |ctx, n| {
        ctx.lines.append(format!("open {n}"));
        Ok(Transition::NextAll((1..=n).collect()))
    }
}

// Joins by hand: counts in the context, and holds until all have come.
node! {
    pub struct Join { all: usize };
    context = Log;
    input = u32;
    output = usize;
    |ctx, n| {
        ctx.lines.append(format!("join {n}"));
        let joined = ctx.lines.iter().iter().filter(|line| line.event.starts_with("join")).count();
        if n > 90 {
            Ok(Transition::Abort(FloxideError::Generic("too many".to_string())))
        } else if joined < self.all {
            Ok(Transition::Hold)
        } else {
            Ok(Transition::Next(joined))
        }
    }
}

workflow! {
    pub struct Fan { open: Open, join: Join }
    start = open;
    context = Log;
    edges { open => [join]; join => []; }
}

/// For every workflow and context.
struct Silent;

#[async_trait]
impl<C: Context, W: Workflow<C, WorkItem: 'static>> StepCallbacks<C, W> for Silent {
    async fn on_started(&self, _run_id: String, _item: W::WorkItem) -> Result<(), FloxideError> {
        Ok(())
    }

    async fn on_item_processed(
        &self,
        _run_id: String,
        _item: W::WorkItem,
        _outcome: ItemProcessedOutcome,
    ) -> Result<(), FloxideError> {
        Ok(())
    }
}

#[tokio::test]
async fn workers_join_by_holding() {
    let fan = Fan { open: Open {}, join: Join { all: 3 } };
    let (contexts, queue) =
        (InMemoryContextStore::<Log>::default(), InMemoryWorkQueue::<FanWorkItem>::default());
    let ctx = WorkflowCtx::new(Log::default());
    fan.start_distributed(&ctx, 3, &contexts, &queue, "fan").await.unwrap();
    // The same start again is the same run.
    fan.start_distributed(&ctx, 3, &contexts, &queue, "fan").await.unwrap();
    let mut outputs = Vec::new();
    for worker_id in 0..6 {
        let stepped = fan.step_distributed(&contexts, &queue, worker_id, Arc::new(Silent)).await.unwrap();
        outputs.extend(stepped);
    }
    assert_eq!(outputs, [("fan".to_string(), 3)]);
    assert!(WorkQueue::<Log, FanWorkItem>::dequeue(&queue).await.unwrap().is_none());
    let lines = contexts.get("fan").await.unwrap().unwrap().lines.iter();
    assert_eq!(lines.len(), 4);
}

node! {
    pub struct Add { more: u32 };
    context = Log;
    input = u32;
    output = u32;
    |ctx, n| {
        ctx.lines.append(format!("add {}", self.more));
        Ok(Transition::Next(n + self.more))
    }
}

workflow! {
    pub struct Split { start: Add, split: Add, a: Add, b: Add }
    start = start;
    context = Log;
    edges { start => [split]; split => [a, b]; a => []; b => []; }
}

/// Steps until it sees a terminal output, as a worker of floxide does.
async fn until_output(
    split: Split,
    contexts: InMemoryContextStore<Log>,
    queue: InMemoryWorkQueue<SplitWorkItem>,
    worker_id: usize,
) -> u32 {
    loop {
        match split.step_distributed(&contexts, &queue, worker_id, Arc::new(Silent)).await.unwrap() {
            Some((_run_id, output)) => return output,
            None => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn s1_each_worker_sees_the_output_of_its_branch() {
    let add = |more| Add { more };
    let split = Split { start: add(0), split: add(0), a: add(10), b: add(100) };
    let (contexts, queue) = (InMemoryContextStore::default(), InMemoryWorkQueue::default());
    let ctx = WorkflowCtx::new(Log::default());
    split.start_distributed(&ctx, 1, &contexts, &queue, "split").await.unwrap();
    let workers =
        [0, 1].map(|id| tokio::spawn(until_output(split.clone(), contexts.clone(), queue.clone(), id)));
    let mut outputs = Vec::new();
    for worker in workers {
        outputs.push(tokio::time::timeout(Duration::from_secs(20), worker).await.unwrap().unwrap());
    }
    outputs.sort_unstable();
    assert_eq!(outputs, [11, 101]);
}

#[tokio::test]
async fn an_abort_is_a_step_error() {
    let fan = Fan { open: Open {}, join: Join { all: 1 } };
    let (contexts, queue) = (InMemoryContextStore::<Log>::default(), InMemoryWorkQueue::<FanWorkItem>::new());
    contexts.set("by hand", Log::default()).await.unwrap();
    let ctx = WorkflowCtx::new(Log::default());
    fan.start_distributed(&ctx, 99, &contexts, &queue, "fan").await.unwrap();
    let mut failed: Option<StepError<FanWorkItem>> = None;
    for _ in 0..100 {
        failed = failed.or(fan.step_distributed(&contexts, &queue, 0, Arc::new(Silent)).await.err());
    }
    let failed = failed.unwrap();
    assert_eq!(failed.error.to_string(), "Generic error: too many");
    assert!(matches!(failed.work_item, Some(FanWorkItem::Join(_, 91))), "{:?}", failed.work_item);
    assert_eq!(failed.run_id.as_deref(), Some("fan"));
}

#[tokio::test]
async fn stores_are_used_directly() {
    let contexts = InMemoryContextStore::<Log>::default();
    let log = Log::default();
    log.lines.append("one".to_string());
    contexts.set("a", log.clone()).await.unwrap();
    log.lines.append("two".to_string());
    contexts.merge("a", log).await.unwrap();
    assert_eq!(contexts.clone().get("a").await.unwrap().unwrap().lines.iter().len(), 2);
    assert!(contexts.get("b").await.unwrap().is_none());

    let queue = InMemoryWorkQueue::<FanWorkItem>::new();
    let item = FanWorkItem::Open("id".to_string(), 1);
    <InMemoryWorkQueue<FanWorkItem> as WorkQueue<Log, _>>::enqueue(&queue, "a", item.clone()).await.unwrap();
    assert_eq!(WorkQueue::<Log, _>::pending_work(&queue, "a").await.unwrap(), std::slice::from_ref(&item));
    WorkQueue::<Log, FanWorkItem>::purge_run(&queue, "a").await.unwrap();
    assert!(WorkQueue::<Log, FanWorkItem>::dequeue(&queue.clone()).await.unwrap().is_none());
    assert_eq!(item.instance_id(), "id");
}
