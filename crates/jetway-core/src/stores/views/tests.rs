//! A view that could not be written is written later; the run continues meanwhile.

use crate::{
    Workflow,
    stores::{
        InMemoryRunInfoStore, MetricsStore, RunInfo, RunInfoError, RunInfoStore, RunMetrics, RunStatus,
    },
    workers::{
        testing::{Fan, Harness, drain, started},
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

/// Fails to write while its flag is set.
#[derive(Clone, Default)]
struct FailingRunStore(InMemoryRunInfoStore, Arc<AtomicBool>);

impl FailingRunStore {
    fn writable(&self) -> Result<(), RunInfoError> {
        if self.1.load(Relaxed) { Err(RunInfoError::Io("no space".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl RunInfoStore for FailingRunStore {
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
async fn a_stale_view_catches_up_and_the_snapshot_is_right() {
    let (harness, failing) = (<Harness>::default(), FailingRunStore::default());
    let worker = DistributedWorker::new(
        Fan::new(),
        harness.queue.clone(),
        harness.contexts.clone(),
        failing.clone(),
        harness.metrics.clone(),
        harness.errors.clone(),
        harness.liveness.clone(),
        harness.items.clone(),
    );
    let orchestrator = Harness { runs: failing.0.clone(), ..harness.clone() }.orchestrator();
    let run = orchestrator.start_run(&started(), 1).await.unwrap();
    assert_eq!(worker.run_once(0).await, Ok(None));
    failing.1.store(true, Relaxed);
    assert!(matches!(worker.run_once(0).await, Err(Error::Storage(error)) if error.contains("no space")));
    let listed = || async { failing.get_run(&run).await.unwrap().unwrap().status };
    assert_eq!(listed().await, RunStatus::Running);
    assert_eq!(orchestrator.status(&run).await, Ok(RunStatus::Completed));
    failing.1.store(false, Relaxed);
    // A worker waits before it tries a store again that failed.
    assert_eq!(worker.run_once(0).await, Ok(None));
    assert_eq!(listed().await, RunStatus::Running);
    advance(Duration::from_secs(1)).await;
    assert_eq!(worker.run_once(0).await, Ok(None));
    let end = orchestrator.wait_for_completion(&run, Duration::from_secs(1)).await.unwrap();
    assert_eq!((end.status, end.output.clone()), (RunStatus::Completed, Some(0.into())));
    let kept = failing.get_run(&run).await.unwrap().unwrap();
    assert_eq!((kept.status, kept.output), (end.status, end.output));
    let done = RunMetrics { total_work_items: 2, completed: 2, failed: 0, retries: 0 };
    assert_eq!(harness.metrics.get_metrics(&run).await.unwrap(), Some(done));
    assert_eq!(orchestrator.context(&run).await.unwrap().get(), 1);
}

#[tokio::test]
async fn a_run_that_was_started_elsewhere_is_listed_when_it_ends() {
    let (harness, fan) = (<Harness>::default(), Fan::new());
    let ctx = started();
    fan.start_distributed(&ctx, 1, &harness.contexts, &harness.queue, "elsewhere").await.unwrap();
    drain(&harness.worker(&fan)).await;
    let listed = harness.runs.list_runs(None).await.unwrap();
    assert_eq!((listed.len(), listed[0].status), (1, RunStatus::Completed));
}
