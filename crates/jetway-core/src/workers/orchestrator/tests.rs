//! What orchestrators promise beside what the conformance suite says of all stores.

use super::{DistributedOrchestrator, OrchestratorBuilder};
use crate::{
    Context, Counter,
    stores::{
        ContextStore, InMemoryContextStore, InMemoryErrorStore, InMemoryRunInfoStore, RunInfoStore,
        RunStatus, WorkQueue, WorkQueueError,
    },
    workers::testing::{Fan, Item, Orchestrator, PlainContexts, World, drain, started},
};
use async_trait::async_trait;
use jetway_state::Error;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_is_not_tried_again() {
    let (world, fan) = (<World>::default(), Fan::failing(1));
    let (orchestrator, worker) = (world.orchestrator(), world.worker(&fan));
    let run = orchestrator.start_run(&started(), 1).await.unwrap();
    assert_eq!(drain(&worker).await.len(), 1);
    orchestrator.cancel(&run).await.unwrap();
    advance(60 * SECOND).await;
    assert_eq!(drain(&worker).await, []);
    assert_eq!((fan.calls().len(), orchestrator.status(&run).await), (1, Ok(RunStatus::Cancelled)));
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_waits_and_a_resumed_one_goes_on_where_it_was() {
    let (world, fan) = (<World>::default(), Fan::new());
    let (orchestrator, worker) = (world.orchestrator(), world.worker(&fan));
    let (run, other) = (
        orchestrator.start_run(&started(), 2).await.unwrap(),
        orchestrator.start_run(&started(), 1).await.unwrap(),
    );
    worker.run_once(0).await.unwrap();
    orchestrator.pause(&run).await.unwrap();
    orchestrator.pause(&run).await.unwrap();
    assert_eq!(orchestrator.list_runs(Some(RunStatus::Paused)).await.unwrap().len(), 1);
    for _ in 0..3 {
        // Each item is looked at once in a second, and then there is nothing to do: no busy loop.
        assert_eq!(drain(&worker).await, []);
        assert_eq!(orchestrator.pending_work(&run).await.unwrap().len(), 2);
        advance(SECOND).await;
    }
    assert_eq!(fan.calls().len(), 3);
    assert_eq!(orchestrator.status(&other).await, Ok(RunStatus::Completed));
    assert_eq!(orchestrator.status(&run).await, Ok(RunStatus::Paused));
    let attempts = orchestrator.list_work_items(&run).await.unwrap();
    assert_eq!(attempts.len(), 1, "waiting is no attempt: {attempts:?}");
    orchestrator.resume(&run).await.unwrap();
    assert_eq!(drain(&worker).await, []);
    assert_eq!(orchestrator.status(&run).await, Ok(RunStatus::Completed));
    assert_eq!(fan.calls().len(), 5);
}

#[tokio::test]
async fn what_does_not_exist_is_an_error_and_nobody_waits_for_it() {
    async fn unknown<CS: ContextStore<Counter> + Clone + Default + 'static>() {
        let orchestrator: Orchestrator<CS> = World::<CS>::default().orchestrator();
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

/// Notes which runs were not listed when their work came into it. It has no leases.
#[derive(Clone, Default)]
struct Strict {
    runs: InMemoryRunInfoStore,
    unlisted: Arc<Mutex<Vec<bool>>>,
}

#[async_trait]
impl<C: Context> WorkQueue<C, Item> for Strict {
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

#[tokio::test]
async fn a_run_is_listed_before_its_work_can_be_taken_and_cancelled_where_it_cannot_be_started() {
    let (world, queue) = (<World>::default(), Strict::default());
    let orchestrator = DistributedOrchestrator::new(
        Fan::new(),
        queue.clone(),
        queue.runs.clone(),
        world.metrics,
        world.errors,
        world.liveness,
        world.items,
        world.contexts,
    );
    assert!(orchestrator.start_run(&started(), 1).await.unwrap_err().to_string().contains("full"));
    assert_eq!(*queue.unlisted.lock().unwrap(), [false]);
    let listed = orchestrator.list_runs(Some(RunStatus::Cancelled)).await.unwrap();
    assert_eq!(orchestrator.status(&listed[0].run_id).await, Ok(RunStatus::Cancelled));
}

#[tokio::test]
async fn the_error_that_ended_a_run_is_told_though_it_was_not_recorded() {
    let (world, fan) = (<World>::default(), Fan::doing(|_, _| async { Err(Error::Cancelled) }));
    let run = world.orchestrator().start_run(&started(), 1).await.unwrap();
    drain(&world.worker(&fan)).await;
    let forgetful = World { errors: InMemoryErrorStore::new(), ..world.clone() };
    for world in [world, forgetful] {
        let errors = world.orchestrator().errors(&run).await.unwrap();
        assert_eq!(
            errors.iter().map(|error| error.error.as_str()).collect::<Vec<_>>(),
            ["Workflow cancelled"]
        );
    }
}

#[test]
fn a_builder_names_what_is_missing() {
    let world = <World>::default();
    let refused: Result<Orchestrator, _> = OrchestratorBuilder::new()
        .workflow(Fan::new())
        .queue(world.queue)
        .run_info_store(world.runs)
        .metrics_store(world.metrics)
        .error_store(world.errors)
        .liveness_store(world.liveness)
        .work_item_state_store(world.items)
        .build();
    assert_eq!(refused.unwrap_err(), "context_store is required");
}
