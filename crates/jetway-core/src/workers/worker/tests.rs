//! What workers promise beside what the conformance suite says of all stores.

use super::{DistributedWorker, WorkLoop, WorkerBuilder, WorkerPool};
use crate::{
    Counter,
    stores::{
        ContextStore, ErrorStore, InMemoryRunInfoStore, InMemoryWorkItemStateStore, LivenessStore,
        MetricsStore, RunInfo, RunInfoError, RunInfoStore, RunMetrics, RunStatus, WorkItemState,
        WorkItemStateStore, WorkItemStateStoreError, WorkItemStatus, WorkQueue, WorkerStatus, views::Views,
    },
    workers::testing::{Fan, Item, PlainContexts, Worker, World, drain, started},
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
    /// Executes one item; `None` where there was none to be had.
    pub(crate) async fn try_one(&self, worker: usize) -> Option<Result<Option<(String, u32)>, Error>> {
        let once = self.work_loop.once(worker, &CancellationToken::new()).await;
        (once.busy || once.result.is_err()).then_some(once.result)
    }
}

async fn pending<CS>(world: &World<CS>, run_id: &str) -> Vec<Item> {
    WorkQueue::<Counter, Item>::pending_work(&world.queue, run_id).await.unwrap()
}

async fn numbers<CS>(world: &World<CS>, run_id: &str) -> RunMetrics {
    world.metrics.get_metrics(run_id).await.unwrap().unwrap()
}

fn of(total_work_items: usize, completed: usize, failed: usize, retries: usize) -> RunMetrics {
    RunMetrics { total_work_items, completed, failed, retries }
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_waits_in_the_queue_and_is_made_again_by_whoever_comes() {
    let (world, fan) = (<World>::default(), Fan::failing(2));
    let run = world.orchestrator().start_run(&started(), 0).await.unwrap();
    let before = pending(&world, &run).await;
    assert!(world.worker(&fan).run_once(0).await.unwrap_err().to_string().contains("busy"));
    // The process is gone now; the item is not, and it is not due either.
    assert_eq!(pending(&world, &run).await, before);
    advance(9 * SECOND).await;
    assert_eq!(world.worker(&fan).run_once(0).await, Ok(None));
    assert_eq!(fan.calls().len(), 1);
    advance(SECOND).await;
    assert!(world.worker(&fan).run_once(0).await.is_err());
    advance(20 * SECOND).await;
    // A start of no branches ends without an output.
    assert_eq!(world.worker(&fan).run_once(0).await, Err(Error::NoOutput));
    let start = |attempt| ("start 0".to_owned(), attempt);
    assert_eq!(fan.calls(), [start(1), start(2), start(3)]);
    let errors = world.errors.get_errors(&run).await.unwrap();
    assert_eq!(errors.iter().map(|error| error.attempt).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(numbers(&world, &run).await, of(1, 1, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn without_a_policy_the_first_failure_is_final() {
    let (world, fan) = (World::<PlainContexts>::default(), Fan::failing(1));
    let views = Views {
        runs: Arc::new(world.runs.clone()),
        metrics: Arc::new(world.metrics.clone()),
        errors: Arc::new(world.errors.clone()),
        liveness: Arc::new(world.liveness.clone()),
        items: Arc::new(world.items.clone()),
    };
    let turns = WorkLoop::new(fan.clone(), world.queue.clone(), world.contexts.clone(), views);
    let worker: Worker<PlainContexts> =
        DistributedWorker { work_loop: turns, views: std::marker::PhantomData };
    let run = world.orchestrator().start_run(&started(), 1).await.unwrap();
    assert_eq!(drain(&worker).await.len(), 1);
    assert_eq!(world.orchestrator().status(&run).await, Ok(RunStatus::Failed));
}

/// Cannot count attempts for a while.
#[derive(Debug, Clone)]
struct Forgetful(InMemoryWorkItemStateStore<Item>, Arc<AtomicU32>);

#[async_trait]
impl WorkItemStateStore<Item> for Forgetful {
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
async fn an_attempt_that_cannot_be_counted_is_not_made_and_not_lost() {
    let (world, fan) = (<World>::default(), Fan::new());
    let mut worker = world.worker(&fan);
    let views = Views {
        runs: Arc::new(world.runs.clone()),
        metrics: Arc::new(world.metrics.clone()),
        errors: Arc::new(world.errors.clone()),
        liveness: Arc::new(world.liveness.clone()),
        items: Arc::new(Forgetful(world.items.clone(), Arc::new(AtomicU32::new(2)))),
    };
    worker.work_loop = WorkLoop::new(fan.clone(), world.queue.clone(), world.contexts.clone(), views);
    let run = world.orchestrator().start_run(&started(), 1).await.unwrap();
    for _ in 0..2 {
        assert!(worker.run_once(0).await.unwrap_err().to_string().contains("no answer"));
        assert_eq!((fan.calls().len(), pending(&world, &run).await.len()), (0, 1));
        // It is not taken again at once.
        assert_eq!(worker.run_once(0).await, Ok(None));
        advance(SECOND).await;
    }
    assert_eq!(drain(&worker).await, []);
    assert_eq!(world.orchestrator().status(&run).await, Ok(RunStatus::Completed));
}

#[tokio::test]
async fn a_node_that_panics_is_a_failed_attempt() {
    let world = <World>::default();
    let fan = Fan::doing(|_, _| async { panic!("no page") });
    let run = world.orchestrator().start_run(&started(), 1).await.unwrap();
    let panicked = Err(Error::Panicked("no page".to_owned()));
    assert_eq!(world.worker(&fan).run_once(3).await, panicked);
    assert_eq!(world.errors.get_errors(&run).await.unwrap()[0].error, "node panicked: no page");
    assert_eq!(pending(&world, &run).await.len(), 1);
    let health = world.liveness.get_health(3).await.unwrap().unwrap();
    assert_eq!((health.worker_id, health.error_count, health.status), (3, 1, WorkerStatus::Idle));
}

#[tokio::test(start_paused = true)]
async fn there_is_no_pause_between_steps_and_a_busy_worker_gives_signs_of_life() {
    let world = <World>::default();
    let run = world.orchestrator().start_run(&started(), 50).await.unwrap();
    let mut pool = WorkerPool::new(world.worker(&Fan::new()), 1).with_first_id(7);
    let begun = Instant::now();
    pool.start();
    let poll = Duration::from_millis(1);
    world.orchestrator().wait_for_completion(&run, poll).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(50), "{:?} for 51 steps", begun.elapsed());
    pool.stop().await;
    assert_eq!(pool.health().await.iter().map(|health| health.worker_id).collect::<Vec<_>>(), [7]);

    let slow = Fan::doing(|_, _| async {
        tokio::time::sleep(10 * SECOND).await;
        Ok(())
    });
    let worker = world.worker(&slow);
    world.orchestrator().start_run(&started(), 1).await.unwrap();
    let step = tokio::spawn(async move { worker.run_once(8).await });
    let mut signs = Vec::new();
    while !step.is_finished() {
        tokio::time::sleep(SECOND / 2).await;
        signs.extend(world.liveness.get_heartbeat(8).await.unwrap());
    }
    signs.dedup();
    assert!(signs.len() >= 9, "{signs:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_workers_on_one_run_count_exactly() {
    let (world, fan) = (<World>::default(), Fan::new());
    let orchestrator = world.orchestrator();
    let run = orchestrator.start_run(&started(), 100).await.unwrap();
    let mut pool = WorkerPool::new(world.worker(&fan), 4);
    pool.start();
    pool.start();
    assert_eq!(pool.tasks.len(), 4);
    let end = orchestrator.wait_for_completion(&run, Duration::from_millis(5));
    let end = timeout(30 * SECOND, end).await.unwrap().unwrap();
    pool.stop().await;
    assert_eq!(end.status, RunStatus::Completed);
    assert_eq!(orchestrator.context(&run).await.unwrap().get(), 100);
    // A commit that lost its race is applied again: nothing is executed twice.
    assert_eq!(fan.calls().len(), 101);
    assert_eq!(numbers(&world, &run).await, of(101, 101, 0, 0));
    let listed = world.runs.get_run(&run).await.unwrap().unwrap();
    assert_eq!(listed.output, end.output);
}

#[tokio::test]
async fn a_pool_that_is_dropped_cuts_no_step_in_half() {
    let (fan, begun, go_on) = Fan::held();
    let world = <World>::default();
    let orchestrator = world.orchestrator();
    let run = orchestrator.start_run(&started(), 0).await.unwrap();
    let mut pool = WorkerPool::new(world.worker(&fan), 1);
    pool.start();
    begun.notified().await;
    drop(pool);
    go_on.notify_one();
    let end = orchestrator.wait_for_completion(&run, Duration::from_millis(1));
    let end = timeout(5 * SECOND, end).await.unwrap().unwrap();
    assert_eq!((end.status, fan.calls().len()), (RunStatus::Failed, 1));
}

#[tokio::test(start_paused = true)]
async fn stores_of_contexts_alone_keep_working() {
    let (world, fan) = (World::<PlainContexts>::default(), Fan::failing(1));
    let (worker, orchestrator) = (world.worker(&fan), world.orchestrator());
    let run = orchestrator.start_run(&started(), 2).await.unwrap();
    // Without a record there is no step to ask for the attempt: the first one is all that the nodes know of.
    assert_eq!(drain(&worker).await.len(), 1);
    let worker = world.worker(&Fan::new());
    assert_eq!(drain(&worker).await, []);
    advance(10 * SECOND).await;
    orchestrator.pause(&run).await.unwrap();
    assert_eq!((drain(&worker).await, pending(&world, &run).await.len()), (Vec::new(), 1));
    orchestrator.resume(&run).await.unwrap();
    advance(SECOND).await;
    assert_eq!(drain(&worker).await, []);
    let end = orchestrator.wait_for_completion(&run, SECOND).await.unwrap();
    assert_eq!((end.status, end.output), (RunStatus::Completed, Some(0.into())));
    assert_eq!(orchestrator.context(&run).await.unwrap().get(), 2);
    assert_eq!(numbers(&world, &run).await, of(3, 3, 0, 1));
}

/// Cannot write the end of a run for a while.
struct Endless(InMemoryRunInfoStore, Arc<AtomicU32>);

#[async_trait]
impl RunInfoStore for Endless {
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

/// Executes a plain run of one branch whose end cannot be written so many times. Returns the items that were executed.
async fn ended_late(fan: &Fan, failures: u32, status: RunStatus) -> Vec<String> {
    let world = World::<PlainContexts>::default();
    let (mut worker, left) = (world.worker(fan), Arc::new(AtomicU32::new(failures)));
    let views = Views {
        runs: Arc::new(Endless(world.runs.clone(), Arc::clone(&left))),
        metrics: Arc::new(world.metrics.clone()),
        errors: Arc::new(world.errors.clone()),
        liveness: Arc::new(world.liveness.clone()),
        items: Arc::new(world.items.clone()),
    };
    worker.work_loop = WorkLoop::new(fan.clone(), world.queue.clone(), world.contexts.clone(), views);
    let run = world.orchestrator().start_run(&started(), 1).await.unwrap();
    for _ in 0..9 {
        drain(&worker).await;
        advance(2 * SECOND).await;
    }
    assert_eq!(pending(&world, &run).await, []);
    assert_eq!((world.orchestrator().status(&run).await, left.load(Relaxed)), (Ok(status), 0));
    fan.calls().into_iter().map(|(item, _)| item).collect()
}

#[tokio::test(start_paused = true)]
async fn a_plain_run_ends_though_its_end_cannot_be_written_at_once() {
    assert_eq!(ended_late(&Fan::new(), 2, RunStatus::Completed).await, ["start 1", "branch 0"]);
    // Then the item comes again, and its node with it: better than a run that never ends.
    assert_eq!(ended_late(&Fan::new(), 6, RunStatus::Completed).await, ["start 1", "branch 0", "branch 0"]);
    assert_eq!(ended_late(&Fan::failing(9), 2, RunStatus::Failed).await, ["start 1"]);
}

#[tokio::test]
async fn a_late_failure_changes_no_end_of_a_plain_run_and_a_cancelled_one_does_not_go_on() {
    let world = World::<PlainContexts>::default();
    let fan =
        Fan::doing(|item, _| async move { if item == "branch 1" { Err(Error::Cancelled) } else { Ok(()) } });
    let (worker, orchestrator) = (world.worker(&fan), world.orchestrator());
    let run = orchestrator.start_run(&started(), 2).await.unwrap();
    assert_eq!(drain(&worker).await, [Error::Cancelled]);
    assert_eq!(orchestrator.status(&run).await, Ok(RunStatus::Completed));
    let run = orchestrator.start_run(&started(), 2).await.unwrap();
    worker.run_once(0).await.unwrap();
    orchestrator.cancel(&run).await.unwrap();
    WorkQueue::<Counter, _>::enqueue(&world.queue, &run, Item::Branch("x".to_owned(), 0)).await.unwrap();
    assert_eq!(drain(&worker).await, []);
    assert_eq!(orchestrator.context(&run).await.unwrap().get(), 0);
    assert_eq!(orchestrator.status(&run).await, Ok(RunStatus::Cancelled));
}

#[test]
fn a_builder_names_what_is_missing() {
    let world = <World>::default();
    let nothing: WorkerBuilder<Fan, Counter, _, _, _, _, _, _, _> = WorkerBuilder::new();
    let without_items = nothing
        .workflow(Fan::new())
        .queue(world.queue)
        .context_store(world.contexts)
        .run_info_store(world.runs)
        .metrics_store(world.metrics)
        .error_store(world.errors)
        .liveness_store(world.liveness);
    let refused: Result<Worker, _> = without_items.build();
    assert_eq!(refused.unwrap_err(), "work_item_state_store is required");
    let nothing: Result<Worker, _> = WorkerBuilder::new().build();
    assert_eq!(nothing.unwrap_err(), "workflow is required");
}
