//! Orchestrator, workers and pools over the stores in memory.

use chrono::Utc;
use floxide::{
    distributed::{
        DistributedOrchestrator, DistributedWorker, InMemoryContextStore, InMemoryErrorStore,
        InMemoryLivenessStore, InMemoryMetricsStore, InMemoryRunInfoStore, InMemoryWorkItemStateStore,
        InMemoryWorkQueue, LivenessStatus, LivenessStore, OrchestratorBuilder, RunInfo, RunStatus,
        WorkItemStatus, WorkerBuilder, WorkerHealth, WorkerPool, WorkerStatus,
    },
    node, workflow, BackoffStrategy, FloxideError, Merge, RetryError, RetryPolicy, Transition, WorkflowCtx,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, Clone, Default, Serialize, Deserialize, Merge)]
pub struct Log {
    lines: floxide::distributed::EventLog<String>,
}

node! {
    pub struct Greet {};
    context = Log;
    input = String;
    output = String;
    |ctx, name| {
        ctx.lines.append(name.clone());
        if name.is_empty() {
            return Err(FloxideError::Generic("nobody is there".to_string()));
        }
        Ok(Transition::Next(format!("hello {name}")))
    }
}

node! {
    pub struct Shout {};
    context = Log;
    input = String;
    output = String;
    |ctx, text| {
        ctx.lines.append(text.clone());
        Ok(Transition::Next(text.to_uppercase()))
    }
}

workflow! {
    pub struct Greeting { greet: Greet, shout: Shout }
    start = greet;
    context = Log;
    edges { greet => {[shout]}; shout => {}; }
}

type Orchestrator = DistributedOrchestrator<
    Greeting,
    Log,
    InMemoryWorkQueue<GreetingWorkItem>,
    InMemoryRunInfoStore,
    InMemoryMetricsStore,
    InMemoryErrorStore,
    InMemoryLivenessStore,
    InMemoryWorkItemStateStore<GreetingWorkItem>,
    InMemoryContextStore<Log>,
>;
type Worker = DistributedWorker<
    Greeting,
    Log,
    InMemoryWorkQueue<GreetingWorkItem>,
    InMemoryRunInfoStore,
    InMemoryMetricsStore,
    InMemoryErrorStore,
    InMemoryLivenessStore,
    InMemoryWorkItemStateStore<GreetingWorkItem>,
    InMemoryContextStore<Log>,
>;

/// No type is named here: all follow from the workflow.
fn both() -> (Orchestrator, Worker) {
    let workflow = Greeting { greet: Greet {}, shout: Shout {} };
    let (queue, contexts) = (InMemoryWorkQueue::new(), InMemoryContextStore::default());
    let (runs, metrics) = (InMemoryRunInfoStore::default(), InMemoryMetricsStore::default());
    let (errors, liveness) = (InMemoryErrorStore::default(), InMemoryLivenessStore::default());
    let items = InMemoryWorkItemStateStore::default();
    let ms = Duration::from_millis;
    let orchestrator = OrchestratorBuilder::new()
        .workflow(workflow.clone())
        .queue(queue.clone())
        .run_info_store(runs.clone())
        .metrics_store(metrics.clone())
        .error_store(errors.clone())
        .liveness_store(liveness.clone())
        .work_item_state_store(items.clone())
        .context_store(contexts.clone())
        .build()
        .unwrap();
    let worker = WorkerBuilder::new()
        .workflow(workflow)
        .queue(queue)
        .context_store(contexts)
        .run_info_store(runs)
        .metrics_store(metrics)
        .error_store(errors)
        .liveness_store(liveness)
        .work_item_state_store(items)
        .retry_policy(RetryPolicy::new(2, ms(1), ms(2), BackoffStrategy::Linear, RetryError::All))
        .idle_sleep_duration(ms(5))
        .idle_sleep_jitter(ms(2))
        .build()
        .unwrap();
    (orchestrator, worker)
}

fn ctx() -> WorkflowCtx<Log> {
    WorkflowCtx::new(Log::default())
}

#[tokio::test]
async fn a_pool_completes_a_run() {
    let (orchestrator, worker) = both();
    let mut pool = WorkerPool::new(worker, 3);
    pool.start();
    let run_id: String = orchestrator.start_run(&ctx(), "ann".to_string()).await.unwrap();
    let done: RunInfo = orchestrator.wait_for_completion(&run_id, Duration::from_millis(5)).await.unwrap();
    assert_eq!(done.status, RunStatus::Completed);
    assert_eq!(done.output, Some(serde_json::json!("HELLO ANN")));
    assert!(done.finished_at.unwrap() >= done.started_at && done.run_id == run_id);
    assert_eq!(orchestrator.context(&run_id).await.unwrap().lines.iter().len(), 2);
    assert_eq!(orchestrator.status(&run_id).await.unwrap(), RunStatus::Completed);
    pool.stop().await;
    pool.join().await;
    assert!(pool.health().await.iter().all(|health| matches!(health.status, WorkerStatus::Idle)));

    // What was said about the last step is written before its worker stops.
    let metrics = orchestrator.metrics(&run_id).await.unwrap();
    assert_eq!((metrics.total_work_items, metrics.completed, metrics.failed, metrics.retries), (2, 2, 0, 0));
    let items = orchestrator.list_work_items(&run_id).await.unwrap();
    assert!(items.len() == 2 && items.iter().all(|item| item.status == WorkItemStatus::Completed));
    assert!(items.iter().all(|item| item.attempts == 1));
    assert!(orchestrator.pending_work(&run_id).await.unwrap().is_empty());
    assert_eq!(orchestrator.list_runs(Some(RunStatus::Completed)).await.unwrap().len(), 1);
    assert_eq!(orchestrator.list_runs(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_run_that_fails_says_why() {
    let (orchestrator, worker) = both();
    let run_id = orchestrator.start_run(&ctx(), String::new()).await.unwrap();
    let (first, mut ended) = (worker.run_once(7).await, None);
    assert!(matches!(first, Err(FloxideError::Generic(why)) if why == "nobody is there"));
    while ended.is_none() {
        ended = worker.run_once(7).await.err();
        tokio::task::yield_now().await;
    }
    let done = orchestrator.wait_for_completion(&run_id, Duration::from_millis(1)).await.unwrap();
    assert_eq!((done.status, done.output), (RunStatus::Failed, None));
    let errors = orchestrator.errors(&run_id).await.unwrap();
    assert_eq!(errors.iter().map(|error| error.attempt).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(errors[0].error, "Generic error: nobody is there");
    assert_eq!(errors[0].work_item, r#"Greet("")"#);
    assert!(errors[0].timestamp <= Utc::now());
    assert_eq!(orchestrator.metrics(&run_id).await.unwrap().retries, 1);
    let items = orchestrator.list_work_items(&run_id).await.unwrap();
    assert_eq!((items[0].status.clone(), items[0].attempts), (WorkItemStatus::PermanentlyFailed, 2));
}

#[tokio::test]
async fn runs_are_paused_resumed_and_cancelled() {
    let (orchestrator, mut worker) = both();
    worker.set_retry_policy(RetryPolicy::new(
        1,
        Duration::ZERO,
        Duration::ZERO,
        BackoffStrategy::Exponential,
        RetryError::Generic,
    ));
    let run_id = orchestrator.start_run(&ctx(), "bob".to_string()).await.unwrap();
    orchestrator.pause(&run_id).await.unwrap();
    assert_eq!(orchestrator.status(&run_id).await.unwrap(), RunStatus::Paused);
    assert!(worker.run_once(0).await.unwrap().is_none());
    orchestrator.resume(&run_id).await.unwrap();
    let pending = orchestrator.pending_work(&run_id).await.unwrap();
    assert!(matches!(&pending[..], [GreetingWorkItem::Greet(_, name)] if name == "bob"));
    orchestrator.cancel(&run_id).await.unwrap();
    let done = orchestrator.wait_for_completion(&run_id, Duration::from_millis(1)).await.unwrap();
    assert_eq!(done.status, RunStatus::Cancelled);
    assert!(matches!(orchestrator.status("nobody").await, Err(FloxideError::NotStarted)));
    let second = orchestrator.start_run(&ctx(), "cy".to_string()).await.unwrap();
    assert!(worker.run_once(0).await.unwrap().is_none());
    orchestrator.complete_run(&second).await.unwrap();
    assert_eq!(orchestrator.status(&second).await.unwrap(), RunStatus::Completed);
}

#[tokio::test]
async fn workers_give_signs_of_life() {
    let (orchestrator, worker) = both();
    worker.heartbeat(4).await;
    assert_eq!(orchestrator.list_workers().await.unwrap(), [4]);
    let threshold = Duration::from_secs(30);
    let checked: Vec<(usize, LivenessStatus)> = orchestrator.check_worker_liveness(&[4, 5], threshold).await;
    assert_eq!(checked, [(4, LivenessStatus::Alive), (5, LivenessStatus::Dead)]);
    assert_eq!(
        orchestrator.liveness().await.unwrap().len(),
        orchestrator.list_worker_health().await.unwrap().len()
    );

    let store = InMemoryLivenessStore::default();
    let mut health = WorkerHealth::default();
    health.worker_id = 9;
    health.error_count += 1;
    health.status = WorkerStatus::Retrying(1, 3);
    health.current_work_item = Some("Greet".to_string());
    store.update_health(9, health).await.unwrap();
    store.update_heartbeat(9, Utc::now()).await.unwrap();
    assert!(store.get_heartbeat(9).await.unwrap().is_some());
    assert_eq!(store.get_health(9).await.unwrap().unwrap().error_count, 1);
    assert_eq!(store.list_health().await.unwrap()[0].worker_id, 9);
}

#[tokio::test]
async fn a_worker_runs_for_ever() {
    let (orchestrator, worker) = both();
    let forever = tokio::spawn(async move { worker.run_forever(0).await });
    let run_id = orchestrator.start_run(&ctx(), "di".to_string()).await.unwrap();
    let done = orchestrator.wait_for_completion(&run_id, Duration::from_millis(5)).await.unwrap();
    assert_eq!(done.status, RunStatus::Completed);
    forever.abort();
    assert!(forever.await.unwrap_err().is_cancelled());
}

#[test]
fn a_builder_names_what_is_missing() {
    let builder = WorkerBuilder::new()
        .workflow(Greeting { greet: Greet {}, shout: Shout {} })
        .queue(InMemoryWorkQueue::<GreetingWorkItem>::new())
        .context_store(InMemoryContextStore::<Log>::default())
        .run_info_store(InMemoryRunInfoStore::default())
        .metrics_store(InMemoryMetricsStore::default())
        .error_store(InMemoryErrorStore::default())
        .work_item_state_store(InMemoryWorkItemStateStore::<GreetingWorkItem>::default());
    let built: Result<Worker, String> = builder.build();
    assert_eq!(built.err().as_deref(), Some("liveness_store is required"));
}
