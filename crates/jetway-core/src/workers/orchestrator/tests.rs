//! Orchestrators, beyond what the conformance suite checks for all stores.

use super::{DistributedOrchestrator, OrchestratorBuilder};
use crate::{
    Context, Counter, Workflow,
    stores::{
        ContextStore, ErrorStore as _, InMemoryContextStore, InMemoryErrorStore, InMemoryRunInfoStore,
        InMemoryWorkQueue, RunInfoStore, RunStatus, WorkQueue, WorkQueueError,
    },
    workers::testing::{Fan, Harness, Item, Orchestrator, PlainContexts, drain, started},
};
use async_trait::async_trait;
use jetway_state::Error;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_is_not_retried() {
    let (harness, fan) = (<Harness>::default(), Fan::failing(1));
    let (orchestrator, worker) = (harness.orchestrator(), harness.worker(&fan));
    let run = orchestrator.start_run(&started(), 1).await.unwrap();
    assert_eq!(drain(&worker).await.len(), 1);
    orchestrator.cancel(&run).await.unwrap();
    advance(60 * SECOND).await;
    assert_eq!(drain(&worker).await, []);
    assert_eq!((fan.calls().len(), orchestrator.status(&run).await), (1, Ok(RunStatus::Cancelled)));
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_continues_when_it_is_resumed() {
    let (harness, fan) = (<Harness>::default(), Fan::new());
    let (orchestrator, worker) = (harness.orchestrator(), harness.worker(&fan));
    let (run, other) = (
        orchestrator.start_run(&started(), 2).await.unwrap(),
        orchestrator.start_run(&started(), 1).await.unwrap(),
    );
    worker.run_once(0).await.unwrap();
    orchestrator.pause(&run).await.unwrap();
    orchestrator.pause(&run).await.unwrap();
    assert_eq!(orchestrator.list_runs(Some(RunStatus::Paused)).await.unwrap().len(), 1);
    for _ in 0..3 {
        // Each item is leased once a second: no busy loop.
        assert_eq!(drain(&worker).await, []);
        assert_eq!(orchestrator.pending_work(&run).await.unwrap().len(), 2);
        advance(SECOND).await;
    }
    assert_eq!(fan.calls().len(), 3);
    assert_eq!(orchestrator.status(&other).await, Ok(RunStatus::Completed));
    assert_eq!(orchestrator.status(&run).await, Ok(RunStatus::Paused));
    let attempts = orchestrator.list_work_items(&run).await.unwrap();
    assert_eq!(attempts.len(), 1, "an item of a paused run has no attempt: {attempts:?}");
    orchestrator.resume(&run).await.unwrap();
    assert_eq!(drain(&worker).await, []);
    assert_eq!(orchestrator.status(&run).await, Ok(RunStatus::Completed));
    assert_eq!(fan.calls().len(), 5);
}

#[tokio::test]
async fn an_unknown_run_is_an_error() {
    async fn unknown<CS: ContextStore<Counter> + Clone + Default + 'static>() {
        let orchestrator: Orchestrator<CS> = Harness::<CS>::default().orchestrator();
        assert_eq!(orchestrator.wait_for_completion("x", SECOND).await, Err(Error::NotStarted));
        assert_eq!(orchestrator.status("x").await, Err(Error::NotStarted));
        assert_eq!(orchestrator.metrics("x").await, Err(Error::NotStarted));
        assert_eq!(orchestrator.context("x").await.unwrap_err(), Error::NotStarted);
        for refused in [
            orchestrator.cancel("x").await,
            orchestrator.pause("x").await,
            orchestrator.resume("x").await,
            orchestrator.complete_run("x").await,
        ] {
            assert_eq!(refused, Err(Error::NotStarted));
        }
        assert_eq!(orchestrator.errors("x").await, Ok(Vec::new()));
        assert_eq!(orchestrator.pending_work("x").await, Ok(Vec::new()));
    }
    unknown::<InMemoryContextStore<Counter>>().await;
    unknown::<PlainContexts>().await;
}

/// Records for each item whether its run was not listed when it was queued, and refuses the item.
#[derive(Clone, Default)]
struct RefusingQueue {
    runs: InMemoryRunInfoStore,
    unlisted: Arc<Mutex<Vec<bool>>>,
}

#[async_trait]
impl<C: Context> WorkQueue<C, Item> for RefusingQueue {
    async fn enqueue(&self, run: &str, _work: Item) -> Result<(), WorkQueueError> {
        let listed = self.runs.get_run(run).await.unwrap();
        self.unlisted.lock().unwrap().push(listed.is_none_or(|run| run.status != RunStatus::Running));
        Err(WorkQueueError::Io("full".to_owned()))
    }

    async fn dequeue(&self) -> Result<Option<(String, Item)>, WorkQueueError> {
        Ok(None)
    }

    async fn purge_run(&self, _run: &str) -> Result<(), WorkQueueError> {
        Ok(())
    }

    async fn pending_work(&self, _run: &str) -> Result<Vec<Item>, WorkQueueError> {
        Ok(Vec::new())
    }
}

/// Starts another run under the id of one whose items are about to be purged, once.
#[derive(Clone, Default)]
struct SlowPurge {
    queue: InMemoryWorkQueue<Item>,
    contexts: InMemoryContextStore<Counter>,
    purged: Arc<AtomicBool>,
}

#[async_trait]
impl WorkQueue<Counter, Item> for SlowPurge {
    async fn enqueue(&self, run: &str, work: Item) -> Result<(), WorkQueueError> {
        WorkQueue::<Counter, Item>::enqueue(&self.queue, run, work).await
    }

    async fn dequeue(&self) -> Result<Option<(String, Item)>, WorkQueueError> {
        WorkQueue::<Counter, Item>::dequeue(&self.queue).await
    }

    async fn purge_run(&self, run: &str) -> Result<(), WorkQueueError> {
        if !self.purged.swap(true, Relaxed) {
            self.contexts.remove(run).await;
            Fan::new().start_distributed(&started(), 2, &self.contexts, self, run).await.unwrap();
        }
        WorkQueue::<Counter, Item>::purge_run(&self.queue, run).await
    }

    async fn pending_work(&self, run: &str) -> Result<Vec<Item>, WorkQueueError> {
        WorkQueue::<Counter, Item>::pending_work(&self.queue, run).await
    }
}

#[tokio::test]
async fn h3_the_purge_of_an_ended_run_spares_the_later_one() {
    let (harness, queue) = (<Harness>::default(), SlowPurge::default());
    let orchestrator = DistributedOrchestrator::new(
        Fan::new(),
        queue.clone(),
        harness.runs,
        harness.metrics,
        harness.errors,
        harness.liveness,
        harness.items,
        queue.contexts.clone(),
    );
    let run = orchestrator.start_run(&started(), 1).await.unwrap();
    orchestrator.cancel(&run).await.unwrap();
    assert_eq!(orchestrator.status(&run).await, Ok(RunStatus::Running));
    let pending = orchestrator.pending_work(&run).await.unwrap();
    assert!(matches!(pending[..], [Item::Start(_, 2)]), "{pending:?}");
}

#[tokio::test]
async fn a_run_is_listed_before_its_first_item_is_queued() {
    let (harness, queue) = (<Harness>::default(), RefusingQueue::default());
    let orchestrator = DistributedOrchestrator::new(
        Fan::new(),
        queue.clone(),
        queue.runs.clone(),
        harness.metrics,
        harness.errors,
        harness.liveness,
        harness.items,
        harness.contexts,
    );
    assert!(orchestrator.start_run(&started(), 1).await.unwrap_err().to_string().contains("full"));
    assert_eq!(*queue.unlisted.lock().unwrap(), [false]);
    let listed = orchestrator.list_runs(Some(RunStatus::Cancelled)).await.unwrap();
    assert_eq!(orchestrator.status(&listed[0].run_id).await, Ok(RunStatus::Cancelled));
}

#[tokio::test]
async fn the_last_error_is_returned_without_the_error_store() {
    let (harness, fan) = (<Harness>::default(), Fan::doing(|_, _| async { Err(Error::Cancelled) }));
    let run = harness.orchestrator().start_run(&started(), 1).await.unwrap();
    drain(&harness.worker(&fan)).await;
    let without_errors = Harness { errors: InMemoryErrorStore::new(), ..harness.clone() };
    for harness in [harness, without_errors] {
        let errors = harness.orchestrator().errors(&run).await.unwrap();
        assert_eq!(
            errors.iter().map(|error| error.error.as_str()).collect::<Vec<_>>(),
            ["Workflow cancelled"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s1_the_last_error_is_not_taken_for_another_item_s() {
    let fan = Fan::doing(|item, attempt| async move {
        let fails = item == "branch 1" || item == "branch 0" && attempt == 1;
        if fails { Err(Error::Generic("it is busy".to_owned())) } else { Ok(()) }
    });
    let harness = <Harness>::default();
    let (orchestrator, worker) = (harness.orchestrator(), harness.worker(&fan));
    let run = orchestrator.start_run(&started(), 2).await.unwrap();
    for _ in 0..3 {
        drain(&worker).await;
        advance(60 * SECOND).await;
    }
    assert_eq!(orchestrator.status(&run).await, Ok(RunStatus::Failed));
    // The error store has the failure of the other branch alone.
    let errors = InMemoryErrorStore::new();
    for error in harness.errors.get_errors(&run).await.unwrap() {
        if error.work_item == "branch 0" {
            errors.record_error(&run, error).await.unwrap();
        }
    }
    let errors = Harness { errors, ..harness }.orchestrator().errors(&run).await.unwrap();
    let items: Vec<_> = errors.iter().map(|error| error.work_item.as_str()).collect();
    assert_eq!(items, ["branch 0", "branch 1"]);
}

#[tokio::test]
async fn s1_a_run_without_an_output_is_no_error_of_its_last_item() {
    let (harness, fan) = (<Harness>::default(), Fan::new());
    let run = harness.orchestrator().start_run(&started(), 0).await.unwrap();
    assert_eq!(harness.worker(&fan).run_once(0).await, Ok(None));
    let errors = harness.orchestrator().errors(&run).await.unwrap();
    assert_eq!(errors.iter().map(|error| error.work_item.as_str()).collect::<Vec<_>>(), [""]);
}

#[test]
fn a_builder_names_what_is_missing() {
    let harness = <Harness>::default();
    let refused: Result<Orchestrator, _> = OrchestratorBuilder::new()
        .workflow(Fan::new())
        .queue(harness.queue)
        .run_info_store(harness.runs)
        .metrics_store(harness.metrics)
        .error_store(harness.errors)
        .liveness_store(harness.liveness)
        .work_item_state_store(harness.items)
        .build();
    assert_eq!(refused.unwrap_err(), "context_store is required");
}
