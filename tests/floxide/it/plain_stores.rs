//! Every store by the user's own hand, with nothing but what the traits ask for.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use floxide::{
    context::Context,
    distributed::{
        ContextStore, ContextStoreError, DistributedOrchestrator, DistributedWorker, ErrorStore,
        ErrorStoreError, LivenessStore, LivenessStoreError, MetricsError, MetricsStore, RunInfo,
        RunInfoError, RunInfoStore, RunMetrics, RunStatus, WorkItemState, WorkItemStateStore,
        WorkItemStateStoreError, WorkItemStatus, WorkQueue, WorkQueueError, WorkerHealth, WorkflowError,
    },
    node, workflow, FloxideError, Merge, Transition, WorkItem, WorkflowCtx,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

type Shared<T> = Arc<Mutex<T>>;

/// Work items as JSON, as a server would keep them.
#[derive(Clone, Default)]
struct Queue(Shared<VecDeque<(String, String)>>);

#[async_trait]
impl<C: Context, WI: WorkItem + 'static> WorkQueue<C, WI> for Queue {
    async fn enqueue(&self, workflow_id: &str, work: WI) -> Result<(), WorkQueueError> {
        let json = serde_json::to_string(&work).map_err(|error| WorkQueueError::Other(error.to_string()))?;
        self.0.lock().unwrap().push_back((workflow_id.to_string(), json));
        Ok(())
    }

    async fn dequeue(&self) -> Result<Option<(String, WI)>, WorkQueueError> {
        let Some((run, json)) = self.0.lock().unwrap().pop_front() else { return Ok(None) };
        let item = serde_json::from_str(&json).map_err(|error| WorkQueueError::Io(error.to_string()))?;
        Ok(Some((run, item)))
    }

    async fn purge_run(&self, run_id: &str) -> Result<(), WorkQueueError> {
        self.0.lock().unwrap().retain(|(run, _)| run != run_id);
        Ok(())
    }

    async fn pending_work(&self, run_id: &str) -> Result<Vec<WI>, WorkQueueError> {
        let queue = self.0.lock().unwrap();
        let of_the_run = queue.iter().filter(|(run, _)| run == run_id);
        of_the_run
            .map(|(_, json)| {
                serde_json::from_str(json).map_err(|error| WorkQueueError::Io(error.to_string()))
            })
            .collect()
    }
}

#[derive(Clone, Default)]
struct Contexts(Shared<HashMap<String, String>>);

#[async_trait]
impl<C: Context + Merge + Default + 'static> ContextStore<C> for Contexts {
    async fn get(&self, run_id: &str) -> Result<Option<C>, ContextStoreError> {
        let json = self.0.lock().unwrap().get(run_id).cloned();
        json.map(|json| serde_json::from_str(&json))
            .transpose()
            .map_err(|error| ContextStoreError::Other(error.to_string()))
    }

    async fn set(&self, run_id: &str, ctx: C) -> Result<(), ContextStoreError> {
        let json = serde_json::to_string(&ctx).map_err(|error| ContextStoreError::Io(error.to_string()))?;
        self.0.lock().unwrap().insert(run_id.to_string(), json);
        Ok(())
    }

    async fn merge(&self, run_id: &str, ctx: C) -> Result<(), ContextStoreError> {
        let mut kept: C = self.get(run_id).await?.unwrap_or_default();
        kept.merge(ctx);
        self.set(run_id, kept).await
    }
}

#[derive(Clone, Default)]
struct Runs(Shared<HashMap<String, RunInfo>>);

impl Runs {
    fn change(&self, run_id: &str, change: impl FnOnce(&mut RunInfo)) -> Result<(), RunInfoError> {
        self.0.lock().unwrap().get_mut(run_id).map(change).ok_or(RunInfoError::NotFound)
    }
}

#[async_trait]
impl RunInfoStore for Runs {
    async fn insert_run(&self, info: RunInfo) -> Result<(), RunInfoError> {
        self.0.lock().unwrap().insert(info.run_id.clone(), info);
        Ok(())
    }

    async fn update_status(&self, run_id: &str, status: RunStatus) -> Result<(), RunInfoError> {
        self.change(run_id, |run| run.status = status)
    }

    async fn update_finished_at(&self, run_id: &str, finished_at: DateTime<Utc>) -> Result<(), RunInfoError> {
        self.change(run_id, |run| run.finished_at = Some(finished_at))
    }

    async fn get_run(&self, run_id: &str) -> Result<Option<RunInfo>, RunInfoError> {
        Ok(self.0.lock().unwrap().get(run_id).cloned())
    }

    async fn list_runs(&self, filter: Option<RunStatus>) -> Result<Vec<RunInfo>, RunInfoError> {
        let runs = self.0.lock().unwrap();
        Ok(runs
            .values()
            .filter(|run| filter.as_ref().is_none_or(|status| run.status == *status))
            .cloned()
            .collect())
    }

    async fn update_output(&self, run_id: &str, output: serde_json::Value) -> Result<(), RunInfoError> {
        self.change(run_id, |run| run.output = Some(output))
    }
}

#[derive(Clone, Default)]
struct Metrics(Shared<HashMap<String, RunMetrics>>);

#[async_trait]
impl MetricsStore for Metrics {
    async fn update_metrics(&self, run_id: &str, metrics: RunMetrics) -> Result<(), MetricsError> {
        self.0.lock().unwrap().insert(run_id.to_string(), metrics);
        Ok(())
    }

    async fn get_metrics(&self, run_id: &str) -> Result<Option<RunMetrics>, MetricsError> {
        Ok(self.0.lock().unwrap().get(run_id).cloned())
    }
}

#[derive(Clone, Default)]
struct Errors(Shared<Vec<(String, WorkflowError)>>);

#[async_trait]
impl ErrorStore for Errors {
    async fn record_error(&self, run_id: &str, error: WorkflowError) -> Result<(), ErrorStoreError> {
        self.0.lock().unwrap().push((run_id.to_string(), error));
        Ok(())
    }

    async fn get_errors(&self, run_id: &str) -> Result<Vec<WorkflowError>, ErrorStoreError> {
        let errors = self.0.lock().unwrap();
        Ok(errors.iter().filter(|(run, _)| run == run_id).map(|(_, error)| error.clone()).collect())
    }
}

#[derive(Clone, Default)]
struct Liveness(Shared<HashMap<usize, WorkerHealth>>);

#[async_trait]
impl LivenessStore for Liveness {
    async fn update_heartbeat(&self, worker_id: usize, at: DateTime<Utc>) -> Result<(), LivenessStoreError> {
        self.0.lock().unwrap().entry(worker_id).or_default().last_heartbeat = at;
        Ok(())
    }

    async fn get_heartbeat(&self, worker_id: usize) -> Result<Option<DateTime<Utc>>, LivenessStoreError> {
        Ok(self.0.lock().unwrap().get(&worker_id).map(|health| health.last_heartbeat))
    }

    async fn list_workers(&self) -> Result<Vec<usize>, LivenessStoreError> {
        Ok(self.0.lock().unwrap().keys().copied().collect())
    }

    async fn update_health(&self, worker_id: usize, health: WorkerHealth) -> Result<(), LivenessStoreError> {
        self.0.lock().unwrap().insert(worker_id, health);
        Ok(())
    }

    async fn get_health(&self, worker_id: usize) -> Result<Option<WorkerHealth>, LivenessStoreError> {
        Ok(self.0.lock().unwrap().get(&worker_id).cloned())
    }

    async fn list_health(&self) -> Result<Vec<WorkerHealth>, LivenessStoreError> {
        Ok(self.0.lock().unwrap().values().cloned().collect())
    }
}

#[derive(Clone)]
struct Items<W: WorkItem>(Shared<HashMap<(String, String), WorkItemState<W>>>);

impl<W: WorkItem> Items<W> {
    fn with<R>(&self, run_id: &str, item: &W, change: impl FnOnce(&mut WorkItemState<W>) -> R) -> R {
        let new =
            || WorkItemState { status: WorkItemStatus::default(), attempts: 0, work_item: item.clone() };
        let mut items = self.0.lock().unwrap();
        change(items.entry((run_id.to_string(), item.instance_id())).or_insert_with(new))
    }
}

#[async_trait]
impl<W: WorkItem> WorkItemStateStore<W> for Items<W> {
    async fn get_status(&self, run_id: &str, item: &W) -> Result<WorkItemStatus, WorkItemStateStoreError> {
        Ok(self.with(run_id, item, |state| state.status.clone()))
    }

    async fn set_status(
        &self,
        run_id: &str,
        item: &W,
        to: WorkItemStatus,
    ) -> Result<(), WorkItemStateStoreError> {
        self.with(run_id, item, |state| state.status = to);
        Ok(())
    }

    async fn get_attempts(&self, run_id: &str, item: &W) -> Result<u32, WorkItemStateStoreError> {
        Ok(self.with(run_id, item, |state| state.attempts))
    }

    async fn increment_attempts(&self, run_id: &str, item: &W) -> Result<u32, WorkItemStateStoreError> {
        Ok(self.with(run_id, item, |state| {
            state.attempts += 1;
            state.attempts
        }))
    }

    async fn reset_attempts(&self, run_id: &str, item: &W) -> Result<(), WorkItemStateStoreError> {
        self.with(run_id, item, |state| state.attempts = 0);
        Ok(())
    }

    async fn get_all(&self, run_id: &str) -> Result<Vec<WorkItemState<W>>, WorkItemStateStoreError> {
        let items = self.0.lock().unwrap();
        Ok(items.iter().filter(|((run, _), _)| run == run_id).map(|(_, state)| state.clone()).collect())
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, Merge)]
pub struct Log {
    lines: floxide::distributed::EventLog<u32>,
}

node! {
    pub struct Step { fails_at: u32 };
    context = Log;
    input = u32;
    output = u32;
    |ctx, x| {
        ctx.lines.append(x);
        if x == self.fails_at {
            return Err(FloxideError::Generic(format!("{x} failed")));
        }
        Ok(Transition::Next(x + 1))
    }
}

workflow! {
    pub struct Stairs { one: Step, two: Step, three: Step }
    start = one;
    context = Log;
    edges { one => [two]; two => [three]; three => []; }
}

type Orchestrator = DistributedOrchestrator<
    Stairs,
    Log,
    Queue,
    Runs,
    Metrics,
    Errors,
    Liveness,
    Items<StairsWorkItem>,
    Contexts,
>;
type Worker =
    DistributedWorker<Stairs, Log, Queue, Runs, Metrics, Errors, Liveness, Items<StairsWorkItem>, Contexts>;

fn both() -> (Orchestrator, Worker) {
    let step = || Step { fails_at: 50 };
    let stairs = Stairs { one: step(), two: step(), three: step() };
    let (queue, contexts, runs, metrics) =
        (Queue::default(), Contexts::default(), Runs::default(), Metrics::default());
    let (errors, liveness, items) = (Errors::default(), Liveness::default(), Items(Shared::default()));
    let worker = DistributedWorker::new(
        stairs.clone(),
        queue.clone(),
        contexts.clone(),
        runs.clone(),
        metrics.clone(),
        errors.clone(),
        liveness.clone(),
        items.clone(),
    );
    let orchestrator =
        DistributedOrchestrator::new(stairs, queue, runs, metrics, errors, liveness, items, contexts);
    (orchestrator, worker)
}

#[tokio::test]
async fn a_run_completes_over_them() {
    let (orchestrator, worker) = both();
    let run = orchestrator.start_run(&WorkflowCtx::new(Log::default()), 1).await.unwrap();
    assert_eq!(worker.run_once(1).await.unwrap(), None);
    assert_eq!(worker.run_once(2).await.unwrap(), None);
    assert_eq!(orchestrator.pending_work(&run).await.unwrap().len(), 1);
    assert_eq!(worker.run_once(1).await.unwrap(), Some((run.clone(), 4)));
    let done = orchestrator.wait_for_completion(&run, Duration::from_millis(1)).await.unwrap();
    assert_eq!((done.status, done.output), (RunStatus::Completed, Some(serde_json::json!(4))));
    assert_eq!(orchestrator.metrics(&run).await.unwrap().completed, 3);
    assert_eq!(orchestrator.list_work_items(&run).await.unwrap().len(), 3);
    let log = orchestrator.context(&run).await.unwrap().lines;
    assert_eq!(log.iter().iter().map(|line| line.event).collect::<Vec<_>>(), [1, 2, 3]);
    let mut workers = orchestrator.list_workers().await.unwrap();
    workers.sort_unstable();
    assert_eq!(workers, [1, 2]);
}

#[tokio::test]
async fn a_run_fails_over_them() {
    let (orchestrator, worker) = both();
    let run = orchestrator.start_run(&WorkflowCtx::new(Log::default()), 50).await.unwrap();
    assert!(matches!(worker.run_once(0).await, Err(FloxideError::Generic(why)) if why == "50 failed"));
    assert_eq!(orchestrator.status(&run).await.unwrap(), RunStatus::Failed);
    assert_eq!(orchestrator.errors(&run).await.unwrap()[0].error, "Generic error: 50 failed");
    assert_eq!(orchestrator.list_runs(Some(RunStatus::Failed)).await.unwrap().len(), 1);
}
