//! Workers, beyond what the conformance suite checks for all stores.

use super::{DistributedWorker, WorkLoop, WorkerBuilder, WorkerPool};
use crate::{
    Counter,
    stores::{
        ContextStore, ErrorStore, InMemoryRunInfoStore, InMemoryWorkItemStateStore, LivenessStore,
        MetricsStore, RunInfo, RunInfoError, RunInfoStore, RunMetrics, RunStatus, WorkItemState,
        WorkItemStateStore, WorkItemStateStoreError, WorkItemStatus, WorkQueue, WorkerStatus, views::Views,
    },
    workers::testing::{Fan, Harness, Item, PlainContexts, Worker, drain, started},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use jetway_state::Error;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{Instant, advance, timeout};
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);

impl<CS: ContextStore<Counter> + Clone + 'static> Worker<CS> {
    /// Executes one item; `None` where the queue is empty.
    pub(crate) async fn try_one(&self, worker: usize) -> Option<Result<Option<(String, u32)>, Error>> {
        let polled = self.work_loop.poll_once(worker, &CancellationToken::new()).await;
        (polled.busy || polled.result.is_err()).then_some(polled.result)
    }
}

async fn pending<CS>(harness: &Harness<CS>, run_id: &str) -> Vec<Item> {
    WorkQueue::<Counter, Item>::pending_work(&harness.queue, run_id).await.unwrap()
}

async fn numbers<CS>(harness: &Harness<CS>, run_id: &str) -> RunMetrics {
    harness.metrics.get_metrics(run_id).await.unwrap().unwrap()
}

fn of(total_work_items: usize, completed: usize, failed: usize, retries: usize) -> RunMetrics {
    RunMetrics { total_work_items, completed, failed, retries }
}

#[tokio::test(start_paused = true)]
async fn another_worker_retries_a_failed_attempt() {
    let (harness, fan) = (<Harness>::default(), Fan::failing(2));
    let run = harness.orchestrator().start_run(&started(), 0).await.unwrap();
    let before = pending(&harness, &run).await;
    assert!(harness.worker(&fan).run_once(0).await.unwrap_err().to_string().contains("busy"));
    // The worker is gone. The item is still in the queue, and not due yet.
    assert_eq!(pending(&harness, &run).await, before);
    advance(9 * SECOND).await;
    assert_eq!(harness.worker(&fan).run_once(0).await, Ok(None));
    assert_eq!(fan.calls().len(), 1);
    advance(SECOND).await;
    assert!(harness.worker(&fan).run_once(0).await.is_err());
    advance(20 * SECOND).await;
    // A run without branches has no output.
    assert_eq!(harness.worker(&fan).run_once(0).await, Ok(None));
    assert_eq!(harness.orchestrator().status(&run).await, Ok(RunStatus::Failed));
    let start = |attempt| ("start 0".to_owned(), attempt);
    assert_eq!(fan.calls(), [start(1), start(2), start(3)]);
    let errors = harness.errors.get_errors(&run).await.unwrap();
    assert_eq!(errors.iter().map(|error| error.attempt).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(numbers(&harness, &run).await, of(1, 1, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn without_a_policy_the_first_failure_is_final() {
    let (harness, fan) = (Harness::<PlainContexts>::default(), Fan::failing(1));
    let views = Views {
        runs: Arc::new(harness.runs.clone()),
        metrics: Arc::new(harness.metrics.clone()),
        errors: Arc::new(harness.errors.clone()),
        liveness: Arc::new(harness.liveness.clone()),
        items: Arc::new(harness.items.clone()),
    };
    let work_loop = WorkLoop::new(fan.clone(), harness.queue.clone(), harness.contexts.clone(), views);
    let worker: Worker<PlainContexts> = DistributedWorker { work_loop, views: std::marker::PhantomData };
    let run = harness.orchestrator().start_run(&started(), 1).await.unwrap();
    assert_eq!(drain(&worker).await.len(), 1);
    assert_eq!(harness.orchestrator().status(&run).await, Ok(RunStatus::Failed));
}

/// Fails to count attempts as often as its counter says.
#[derive(Debug, Clone)]
struct FailingItemStore(InMemoryWorkItemStateStore<Item>, Arc<AtomicU32>);

#[async_trait]
impl WorkItemStateStore<Item> for FailingItemStore {
    async fn get_status(&self, run: &str, item: &Item) -> Result<WorkItemStatus, WorkItemStateStoreError> {
        self.0.get_status(run, item).await
    }

    async fn set_status(
        &self,
        run: &str,
        item: &Item,
        status: WorkItemStatus,
    ) -> Result<(), WorkItemStateStoreError> {
        self.0.set_status(run, item, status).await
    }

    async fn get_attempts(&self, run: &str, item: &Item) -> Result<u32, WorkItemStateStoreError> {
        self.0.get_attempts(run, item).await
    }

    async fn increment_attempts(&self, run: &str, item: &Item) -> Result<u32, WorkItemStateStoreError> {
        let failures = self.1.load(Relaxed);
        if failures > 0 {
            self.1.store(failures - 1, Relaxed);
            return Err(WorkItemStateStoreError::Io("no answer".to_owned()));
        }
        self.0.increment_attempts(run, item).await
    }

    async fn reset_attempts(&self, run: &str, item: &Item) -> Result<(), WorkItemStateStoreError> {
        self.0.reset_attempts(run, item).await
    }

    async fn get_all(&self, run: &str) -> Result<Vec<WorkItemState<Item>>, WorkItemStateStoreError> {
        self.0.get_all(run).await
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_cannot_be_counted_does_not_begin() {
    let (harness, fan) = (<Harness>::default(), Fan::new());
    let mut worker = harness.worker(&fan);
    let views = Views {
        runs: Arc::new(harness.runs.clone()),
        metrics: Arc::new(harness.metrics.clone()),
        errors: Arc::new(harness.errors.clone()),
        liveness: Arc::new(harness.liveness.clone()),
        items: Arc::new(FailingItemStore(harness.items.clone(), Arc::new(AtomicU32::new(2)))),
    };
    worker.work_loop = WorkLoop::new(fan.clone(), harness.queue.clone(), harness.contexts.clone(), views);
    let run = harness.orchestrator().start_run(&started(), 1).await.unwrap();
    for _ in 0..2 {
        assert!(worker.run_once(0).await.unwrap_err().to_string().contains("no answer"));
        assert_eq!((fan.calls().len(), pending(&harness, &run).await.len()), (0, 1));
        // The item is not leased again before a delay.
        assert_eq!(worker.run_once(0).await, Ok(None));
        advance(SECOND).await;
    }
    assert_eq!(drain(&worker).await, []);
    assert_eq!(harness.orchestrator().status(&run).await, Ok(RunStatus::Completed));
}

#[tokio::test]
async fn a_node_that_panics_is_a_failed_attempt() {
    let harness = <Harness>::default();
    let fan = Fan::doing(|_, _| async { panic!("no page") });
    let run = harness.orchestrator().start_run(&started(), 1).await.unwrap();
    let panicked = Err(Error::Panicked("no page".to_owned()));
    assert_eq!(harness.worker(&fan).run_once(3).await, panicked);
    assert_eq!(harness.errors.get_errors(&run).await.unwrap()[0].error, "node panicked: no page");
    assert_eq!(pending(&harness, &run).await.len(), 1);
    let health = harness.liveness.get_health(3).await.unwrap().unwrap();
    assert_eq!((health.worker_id, health.error_count, health.status), (3, 1, WorkerStatus::Idle));
}

#[tokio::test(start_paused = true)]
async fn a_busy_worker_does_not_wait_and_sends_heartbeats() {
    let harness = <Harness>::default();
    let run = harness.orchestrator().start_run(&started(), 50).await.unwrap();
    let mut pool = WorkerPool::new(harness.worker(&Fan::new()), 1).with_first_id(7);
    let begun = Instant::now();
    pool.start();
    let poll = Duration::from_millis(1);
    harness.orchestrator().wait_for_completion(&run, poll).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(50), "{:?} for 51 steps", begun.elapsed());
    pool.stop().await;
    assert_eq!(pool.health().await.iter().map(|health| health.worker_id).collect::<Vec<_>>(), [7]);

    let slow = Fan::doing(|_, _| async {
        tokio::time::sleep(10 * SECOND).await;
        Ok(())
    });
    let worker = harness.worker(&slow);
    harness.orchestrator().start_run(&started(), 1).await.unwrap();
    let step = tokio::spawn(async move { worker.run_once(8).await });
    let mut heartbeats = Vec::new();
    while !step.is_finished() {
        tokio::time::sleep(SECOND / 2).await;
        heartbeats.extend(harness.liveness.get_heartbeat(8).await.unwrap());
    }
    heartbeats.dedup();
    assert!(heartbeats.len() >= 9, "{heartbeats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_workers_on_one_run_lose_no_change() {
    let (harness, fan) = (<Harness>::default(), Fan::new());
    let orchestrator = harness.orchestrator();
    let run = orchestrator.start_run(&started(), 100).await.unwrap();
    let mut pool = WorkerPool::new(harness.worker(&fan), 4);
    pool.start();
    pool.start();
    assert_eq!(pool.tasks.len(), 4);
    let end = orchestrator.wait_for_completion(&run, Duration::from_millis(5));
    let end = timeout(30 * SECOND, end).await.unwrap().unwrap();
    pool.stop().await;
    assert_eq!(end.status, RunStatus::Completed);
    assert_eq!(orchestrator.context(&run).await.unwrap().get(), 100);
    // After a conflict the attempt is applied again; no node runs twice.
    assert_eq!(fan.calls().len(), 101);
    assert_eq!(numbers(&harness, &run).await, of(101, 101, 0, 0));
    let listed = harness.runs.get_run(&run).await.unwrap().unwrap();
    assert_eq!(listed.output, end.output);
}

#[tokio::test]
async fn a_dropped_pool_lets_its_step_finish() {
    let (fan, begun, released) = Fan::held();
    let harness = <Harness>::default();
    let orchestrator = harness.orchestrator();
    let run = orchestrator.start_run(&started(), 0).await.unwrap();
    let mut pool = WorkerPool::new(harness.worker(&fan), 1);
    pool.start();
    begun.notified().await;
    drop(pool);
    released.notify_one();
    let end = orchestrator.wait_for_completion(&run, Duration::from_millis(1));
    let end = timeout(5 * SECOND, end).await.unwrap().unwrap();
    assert_eq!((end.status, fan.calls().len()), (RunStatus::Failed, 1));
}

#[tokio::test(start_paused = true)]
async fn a_run_without_snapshots_completes() {
    let (harness, fan) = (Harness::<PlainContexts>::default(), Fan::failing(1));
    let (worker, orchestrator) = (harness.worker(&fan), harness.orchestrator());
    let run = orchestrator.start_run(&started(), 2).await.unwrap();
    // Without snapshots a node has no step scope, so it sees every attempt as the first.
    assert_eq!(drain(&worker).await.len(), 1);
    let worker = harness.worker(&Fan::new());
    assert_eq!(drain(&worker).await, []);
    advance(10 * SECOND).await;
    orchestrator.pause(&run).await.unwrap();
    assert_eq!((drain(&worker).await, pending(&harness, &run).await.len()), (Vec::new(), 1));
    orchestrator.resume(&run).await.unwrap();
    advance(SECOND).await;
    assert_eq!(drain(&worker).await, []);
    let end = orchestrator.wait_for_completion(&run, SECOND).await.unwrap();
    assert_eq!((end.status, end.output), (RunStatus::Completed, Some(0.into())));
    assert_eq!(orchestrator.context(&run).await.unwrap().get(), 2);
    assert_eq!(numbers(&harness, &run).await, of(3, 3, 0, 1));
}

/// Fails to write the end of a run as often as its counter says.
struct FailingRunStore(InMemoryRunInfoStore, Arc<AtomicU32>);

#[async_trait]
impl RunInfoStore for FailingRunStore {
    async fn insert_run(&self, info: RunInfo) -> Result<(), RunInfoError> {
        self.0.insert_run(info).await
    }

    async fn update_status(&self, run: &str, status: RunStatus) -> Result<(), RunInfoError> {
        self.0.update_status(run, status).await
    }

    async fn update_finished_at(&self, run: &str, at: DateTime<Utc>) -> Result<(), RunInfoError> {
        let left = self.1.load(Relaxed);
        if left > 0 {
            self.1.store(left - 1, Relaxed);
            return Err(RunInfoError::Io("no answer".to_owned()));
        }
        self.0.update_finished_at(run, at).await
    }

    async fn get_run(&self, run: &str) -> Result<Option<RunInfo>, RunInfoError> {
        self.0.get_run(run).await
    }

    async fn list_runs(&self, filter: Option<RunStatus>) -> Result<Vec<RunInfo>, RunInfoError> {
        self.0.list_runs(filter).await
    }

    async fn update_output(&self, run: &str, output: serde_json::Value) -> Result<(), RunInfoError> {
        self.0.update_output(run, output).await
    }
}

/// Executes a run without snapshots and with one branch, whose end fails to be written `failures` times. Returns the
/// executed items.
async fn execute_with_failing_end(fan: &Fan, failures: u32, status: RunStatus) -> Vec<String> {
    let harness = Harness::<PlainContexts>::default();
    let (mut worker, left) = (harness.worker(fan), Arc::new(AtomicU32::new(failures)));
    let views = Views {
        runs: Arc::new(FailingRunStore(harness.runs.clone(), Arc::clone(&left))),
        metrics: Arc::new(harness.metrics.clone()),
        errors: Arc::new(harness.errors.clone()),
        liveness: Arc::new(harness.liveness.clone()),
        items: Arc::new(harness.items.clone()),
    };
    worker.work_loop = WorkLoop::new(fan.clone(), harness.queue.clone(), harness.contexts.clone(), views);
    let run = harness.orchestrator().start_run(&started(), 1).await.unwrap();
    for _ in 0..9 {
        drain(&worker).await;
        advance(2 * SECOND).await;
    }
    assert_eq!(pending(&harness, &run).await, []);
    assert_eq!((harness.orchestrator().status(&run).await, left.load(Relaxed)), (Ok(status), 0));
    fan.calls().into_iter().map(|(item, _)| item).collect()
}

#[tokio::test(start_paused = true)]
async fn without_snapshots_the_end_of_a_run_is_retried() {
    assert_eq!(execute_with_failing_end(&Fan::new(), 2, RunStatus::Completed).await, ["start 1", "branch 0"]);
    // After five attempts the item is delivered again, and its node runs again: otherwise the run would never end.
    assert_eq!(
        execute_with_failing_end(&Fan::new(), 6, RunStatus::Completed).await,
        ["start 1", "branch 0", "branch 0"]
    );
    assert_eq!(execute_with_failing_end(&Fan::failing(9), 2, RunStatus::Failed).await, ["start 1"]);
}

#[tokio::test]
async fn without_snapshots_the_first_end_of_a_run_stays() {
    let harness = Harness::<PlainContexts>::default();
    let fan =
        Fan::doing(|item, _| async move { if item == "branch 1" { Err(Error::Cancelled) } else { Ok(()) } });
    let (worker, orchestrator) = (harness.worker(&fan), harness.orchestrator());
    let run = orchestrator.start_run(&started(), 2).await.unwrap();
    assert_eq!(drain(&worker).await, [Error::Cancelled]);
    assert_eq!(orchestrator.status(&run).await, Ok(RunStatus::Completed));
    let run = orchestrator.start_run(&started(), 2).await.unwrap();
    worker.run_once(0).await.unwrap();
    orchestrator.cancel(&run).await.unwrap();
    WorkQueue::<Counter, _>::enqueue(&harness.queue, &run, Item::Branch("x".to_owned(), 0)).await.unwrap();
    assert_eq!(drain(&worker).await, []);
    assert_eq!(orchestrator.context(&run).await.unwrap().get(), 0);
    assert_eq!(orchestrator.status(&run).await, Ok(RunStatus::Cancelled));
}

#[test]
fn a_builder_names_what_is_missing() {
    let harness = <Harness>::default();
    let nothing: WorkerBuilder<Fan, Counter, _, _, _, _, _, _, _> = WorkerBuilder::new();
    let without_items = nothing
        .workflow(Fan::new())
        .queue(harness.queue)
        .context_store(harness.contexts)
        .run_info_store(harness.runs)
        .metrics_store(harness.metrics)
        .error_store(harness.errors)
        .liveness_store(harness.liveness);
    let refused: Result<Worker, _> = without_items.build();
    assert_eq!(refused.unwrap_err(), "work_item_state_store is required");
    let nothing: Result<Worker, _> = WorkerBuilder::new().build();
    assert_eq!(nothing.unwrap_err(), "workflow is required");
}
