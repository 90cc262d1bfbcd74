//! A view that could not be written is written later, and the work goes on meanwhile.

use crate::{
    Workflow,
    stores::{
        InMemoryRunInfoStore, MetricsStore, RunInfo, RunInfoError, RunInfoStore, RunMetrics, RunStatus,
    },
    workers::{
        testing::{Fan, World, drain, started},
        worker::DistributedWorker,
    },
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use jetway_state::Error;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::advance;

/// Cannot be written while the flag is set.
#[derive(Clone, Default)]
struct Stuck(InMemoryRunInfoStore, Arc<AtomicBool>);

impl Stuck {
    fn writable(&self) -> Result<(), RunInfoError> {
        if self.1.load(Relaxed) { Err(RunInfoError::Io("no space".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl RunInfoStore for Stuck {
    async fn insert_run(&self, info: RunInfo) -> Result<(), RunInfoError> {
        self.writable()?;
        self.0.insert_run(info).await
    }

    async fn update_status(&self, run_id: &str, status: RunStatus) -> Result<(), RunInfoError> {
        self.writable()?;
        self.0.update_status(run_id, status).await
    }

    async fn update_finished_at(&self, run_id: &str, at: DateTime<Utc>) -> Result<(), RunInfoError> {
        self.writable()?;
        self.0.update_finished_at(run_id, at).await
    }

    async fn get_run(&self, run_id: &str) -> Result<Option<RunInfo>, RunInfoError> {
        self.0.get_run(run_id).await
    }

    async fn list_runs(&self, filter: Option<RunStatus>) -> Result<Vec<RunInfo>, RunInfoError> {
        self.0.list_runs(filter).await
    }

    async fn update_output(&self, run_id: &str, output: serde_json::Value) -> Result<(), RunInfoError> {
        self.writable()?;
        self.0.update_output(run_id, output).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_lags_catches_up_and_the_record_is_right_all_the_while() {
    let (world, stuck) = (<World>::default(), Stuck::default());
    let worker = DistributedWorker::new(
        Fan::new(),
        world.queue.clone(),
        world.contexts.clone(),
        stuck.clone(),
        world.metrics.clone(),
        world.errors.clone(),
        world.liveness.clone(),
        world.items.clone(),
    );
    let orchestrator = World { runs: stuck.0.clone(), ..world.clone() }.orchestrator();
    let run = orchestrator.start_run(&started(), 1).await.unwrap();
    assert_eq!(worker.run_once(0).await, Ok(None));
    stuck.1.store(true, Relaxed);
    assert!(matches!(worker.run_once(0).await, Err(Error::Storage(said)) if said.contains("no space")));
    let listed = || async { stuck.get_run(&run).await.unwrap().unwrap().status };
    assert_eq!(listed().await, RunStatus::Running);
    assert_eq!(orchestrator.status(&run).await, Ok(RunStatus::Completed));
    stuck.1.store(false, Relaxed);
    // Not at once: a store that fails is not asked without a pause.
    assert_eq!(worker.run_once(0).await, Ok(None));
    assert_eq!(listed().await, RunStatus::Running);
    advance(Duration::from_secs(1)).await;
    assert_eq!(worker.run_once(0).await, Ok(None));
    let end = orchestrator.wait_for_completion(&run, Duration::from_secs(1)).await.unwrap();
    assert_eq!((end.status, end.output.clone()), (RunStatus::Completed, Some(0.into())));
    let kept = stuck.get_run(&run).await.unwrap().unwrap();
    assert_eq!((kept.status, kept.output), (end.status, end.output));
    let done = RunMetrics { total_work_items: 2, completed: 2, failed: 0, retries: 0 };
    assert_eq!(world.metrics.get_metrics(&run).await.unwrap(), Some(done));
    assert_eq!(orchestrator.context(&run).await.unwrap().get(), 1);
}

#[tokio::test]
async fn a_run_that_was_started_elsewhere_is_listed_when_it_ends() {
    let (world, fan) = (<World>::default(), Fan::new());
    let ctx = started();
    fan.start_distributed(&ctx, 1, &world.contexts, &world.queue, "elsewhere").await.unwrap();
    drain(&world.worker(&fan)).await;
    let listed = world.runs.list_runs(None).await.unwrap();
    assert_eq!((listed.len(), listed[0].status), (1, RunStatus::Completed));
}
