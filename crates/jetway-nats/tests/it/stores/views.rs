//! Records about runs and workers.

use super::{
    Job, connect,
    runs::{Ctx, Fan},
    stores,
};
use crate::support::{DEADLINE, config, config_for};
use chrono::{DateTime, Utc};
use jetway_core::{
    Workflow as _, WorkflowCtx,
    distributed::{
        ContextStore as _, ErrorStore as _, LivenessStore as _, MetricsStore as _, RunInfo,
        RunInfoStore as _, RunMetrics, RunStatus, WorkItemStateStore as _, WorkflowError,
    },
};
use jetway_nats::{NatsStores, NatsWorkItemStateStore};
use jetway_testing::{NatsServer, wait_until};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio_util::sync::CancellationToken;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn info(run_id: &str, seconds: i64) -> RunInfo {
    let (run_id, status) = (run_id.to_owned(), RunStatus::Running);
    RunInfo { run_id, status, started_at: at(seconds), finished_at: None, output: None }
}

/// Two connections.
async fn two(label: &str) -> (NatsStores, NatsStores) {
    let config = config(label).await;
    (connect(&config).await, connect(&config).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn more_runs_than_one_page_are_listed() {
    let stores = stores("pages").await;
    let store = stores.run_info_store();
    let inserts = (0..600).map(|number| store.insert_run(info(&format!("r{number:03}"), number)));
    futures::future::try_join_all(inserts).await.unwrap();
    let listed = store.list_runs(None).await.unwrap();
    assert_eq!(listed.len(), 600);
    assert!(listed.iter().enumerate().all(|(number, run)| run.run_id == format!("r{number:03}")));
    // Runs with another status are not listed.
    stores.metrics_store().add_metrics("r000", RunMetrics::default()).await.unwrap();
    assert_eq!(store.list_runs(Some(RunStatus::Failed)).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_heartbeat_does_not_replace_a_newer_one() {
    let (one, two) = two("workers").await;
    one.liveness_store().update_heartbeat(11, at(5)).await.unwrap();
    two.liveness_store().update_heartbeat(11, at(4)).await.unwrap();
    assert_eq!(two.liveness_store().get_heartbeat(11).await.unwrap(), Some(at(5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_a_run_affects_no_other() {
    let (one, two) = two("forget").await;
    let (work_item, error) = ("Fetch(start)".to_owned(), "no route to host".to_owned());
    let failed = WorkflowError { work_item, error, attempt: 1, timestamp: at(1) };
    for run in ["11", "12"] {
        one.error_store().record_error(run, failed.clone()).await.unwrap();
    }
    one.liveness_store().update_heartbeat(11, at(5)).await.unwrap();
    one.forget_run("11").await.unwrap();
    assert_eq!(two.error_store().get_errors("11").await.unwrap(), []);
    assert_eq!(two.error_store().get_errors("12").await.unwrap(), [failed]);
    // The worker with this number is not affected.
    assert_eq!(two.liveness_store().list_workers().await.unwrap(), [11]);
}

/// A new run removes what an expired run with its id has left. A second start removes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_with_a_used_id_starts_clean() {
    let (one, two) = two("clean").await;
    let (metrics, errors) = (one.metrics_store(), one.error_store());
    let items: NatsWorkItemStateStore<Job> = one.work_item_state_store();
    let leave = async |run: &str| {
        let (work_item, error) = ("Fetch(start)".to_owned(), "no route to host".to_owned());
        let failed = WorkflowError { work_item, error, attempt: 1, timestamp: at(1) };
        errors.record_error(run, failed).await.unwrap();
        metrics.add_metrics(run, RunMetrics { failed: 1, ..RunMetrics::default() }).await.unwrap();
        items.increment_attempts(run, &Job::new("start")).await.unwrap()
    };
    let left = async |run: &str| {
        let kept = metrics.get_metrics(run).await.unwrap().is_some();
        (kept, errors.get_errors(run).await.unwrap().len(), items.get_all(run).await.unwrap().len())
    };
    assert_eq!((leave("nightly").await, leave("other").await), (1, 1));
    let start = async || {
        let (contexts, queue) = (two.context_store::<Ctx>(), two.work_queue());
        let ctx = WorkflowCtx::new(Ctx::default());
        Fan::new().start_distributed(&ctx, 1, &contexts, &queue, "nightly").await.unwrap();
        let record = contexts.snapshot("nightly").await.unwrap();
        assert!(record.is_some_and(|(record, _)| record.steps == 0));
    };
    start().await;
    assert_eq!((left("nightly").await, left("other").await), ((false, 0, 0), (true, 1, 1)));
    assert_eq!(leave("nightly").await, 1);
    start().await;
    assert_eq!(left("nightly").await, (true, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn items_with_invalid_names_are_refused() {
    let store: NatsWorkItemStateStore<Job> = stores("names").await.work_item_state_store();
    assert!(store.get_status("r1", &Job::new("a.b")).await.is_err());
    assert!(store.get_all("r1.*").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_addition_counts_twice_after_lost_replies() {
    let mut server = NatsServer::start().await.unwrap();
    let config = config_for(&server, "twice");
    let both = [connect(&config).await, connect(&config).await];
    let (added, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
    let adders: Vec<_> = (0..6)
        .map(|number: usize| {
            let (store, added, stop) = (both[number % 2].metrics_store(), Arc::clone(&added), stop.clone());
            tokio::spawn(async move {
                while !stop.is_cancelled() {
                    let one = RunMetrics { completed: 1, ..RunMetrics::default() };
                    store.add_metrics("r1", one).await.unwrap();
                    added.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for _ in 0..4 {
        let before = added.load(Ordering::SeqCst);
        wait_until("additions go on", DEADLINE, async || added.load(Ordering::SeqCst) > before + 50).await;
        server.kill().await.unwrap();
        server.restart().await.unwrap();
    }
    stop.cancel();
    for adder in adders {
        adder.await.unwrap();
    }
    let metrics = both[0].metrics_store().get_metrics("r1").await.unwrap().unwrap();
    assert_eq!(metrics.completed, added.load(Ordering::SeqCst));
}
