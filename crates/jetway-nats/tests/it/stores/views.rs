//! What people ask about runs and workers.

use super::{Job, connect, stores};
use crate::support::{DEADLINE, config, config_for};
use chrono::{DateTime, TimeDelta, Utc};
use jetway_core::distributed::{
    ErrorStore as _, LivenessStore as _, MetricsStore as _, RunInfo, RunInfoError, RunInfoStore as _,
    RunMetrics, RunStatus, WorkItemStateStore as _, WorkItemStatus, WorkerHealth, WorkerStatus,
    WorkflowError,
};
use jetway_nats::{NatsStores, NatsWorkItemStateStore};
use jetway_testing::{NatsServer, wait_until};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
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
async fn runs_are_listed_and_end_once() {
    let (one, two) = two("infos").await;
    let (store, other) = (one.run_info_store(), two.run_info_store());
    assert_eq!(store.get_run("r1").await.unwrap(), None);
    assert_eq!(store.update_status("r1", RunStatus::Paused).await, Err(RunInfoError::NotFound));
    assert_eq!(store.change_status("r1", RunStatus::Paused).await, Err(RunInfoError::NotFound));
    for (run, seconds) in [("r2", 2), ("r1", 1), ("r3", 3)] {
        store.insert_run(info(run, seconds)).await.unwrap();
    }
    assert!(!other.insert_new_run(info("r1", 9)).await.unwrap());
    assert!(other.insert_new_run(info("r4", 4)).await.unwrap());
    let finish = |number: i64| {
        let store = if number % 2 == 0 { store.clone() } else { other.clone() };
        async move { store.finish_run("r1", RunStatus::Completed, Some(json!(number)), at(number)).await.unwrap() }
    };
    let ends = futures::future::join_all((0..8).map(finish)).await;
    assert_eq!(ends.iter().filter(|ended| **ended).count(), 1);
    let ended = other.get_run("r1").await.unwrap().unwrap();
    let winner = ends.iter().position(|ended| *ended).unwrap() as i64;
    let expected = RunInfo {
        status: RunStatus::Completed,
        finished_at: Some(at(winner)),
        output: Some(json!(winner)),
        ..info("r1", 1)
    };
    assert_eq!(ended, expected);
    assert!(!store.change_status("r1", RunStatus::Running).await.unwrap());
    assert!(store.change_status("r2", RunStatus::Paused).await.unwrap());
    store.update_output("r3", Value::Null).await.unwrap();
    store.update_finished_at("r3", at(7)).await.unwrap();
    let third = RunInfo { finished_at: Some(at(7)), output: Some(Value::Null), ..info("r3", 3) };
    assert_eq!(other.get_run("r3").await.unwrap(), Some(third.clone()));
    let second = RunInfo { status: RunStatus::Paused, ..info("r2", 2) };
    assert_eq!(other.list_runs(None).await.unwrap(), [expected, second, third.clone(), info("r4", 4)]);
    assert_eq!(other.list_runs(Some(RunStatus::Running)).await.unwrap(), [third, info("r4", 4)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_runs_than_fit_one_answer_are_listed() {
    let stores = stores("pages").await;
    let store = stores.run_info_store();
    let inserts = (0..600).map(|number| store.insert_run(info(&format!("r{number:03}"), number)));
    futures::future::try_join_all(inserts).await.unwrap();
    let listed = store.list_runs(None).await.unwrap();
    assert_eq!(listed.len(), 600);
    assert!(listed.iter().enumerate().all(|(number, run)| run.run_id == format!("r{number:03}")));
    // Another application of the namespace lists its own alone.
    stores.metrics_store().add_metrics("r000", RunMetrics::default()).await.unwrap();
    assert_eq!(store.list_runs(Some(RunStatus::Failed)).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_addition_to_the_numbers_is_lost() {
    let (one, two) = two("metrics").await;
    assert_eq!(one.metrics_store().get_metrics("r1").await.unwrap(), None);
    let more = RunMetrics { total_work_items: 2, completed: 1, failed: 0, retries: 1 };
    let adds = (0..50).map(|number| {
        let store = if number % 2 == 0 { one.metrics_store() } else { two.metrics_store() };
        async move { store.add_metrics("r1", more).await }
    });
    futures::future::try_join_all(adds).await.unwrap();
    let sum = RunMetrics { total_work_items: 100, completed: 50, failed: 0, retries: 50 };
    assert_eq!(two.metrics_store().get_metrics("r1").await.unwrap(), Some(sum));
    one.metrics_store().raise_metrics("r1", RunMetrics { failed: 3, ..more }).await.unwrap();
    let raised = RunMetrics { failed: 3, ..sum };
    assert_eq!(two.metrics_store().get_metrics("r1").await.unwrap(), Some(raised));
    one.metrics_store().update_metrics("r1", more).await.unwrap();
    assert_eq!(two.metrics_store().get_metrics("r1").await.unwrap(), Some(more));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_kept_in_their_order() {
    let (one, two) = two("errors").await;
    let failed = |attempt: usize| WorkflowError {
        work_item: "Fetch(start)".to_owned(),
        error: "no route to host".to_owned(),
        attempt,
        timestamp: at(1),
    };
    assert_eq!(one.error_store().get_errors("r1").await.unwrap(), []);
    for attempt in 1..=20 {
        let store = if attempt % 2 == 0 { one.error_store() } else { two.error_store() };
        store.record_error("r1", failed(attempt)).await.unwrap();
    }
    let expected: Vec<_> = (1..=20).map(failed).collect();
    assert_eq!(two.error_store().get_errors("r1").await.unwrap(), expected);
    assert_eq!(two.error_store().get_errors("r2").await.unwrap(), []);
    one.forget_run("r1").await.unwrap();
    assert_eq!(two.error_store().get_errors("r1").await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_listed_with_their_last_sign_of_life() {
    let (one, two) = two("workers").await;
    let (store, other) = (one.liveness_store(), two.liveness_store());
    assert_eq!(store.get_heartbeat(3).await.unwrap(), None);
    let long_ago = Utc::now() - TimeDelta::hours(5);
    store.update_heartbeat(11, at(5)).await.unwrap();
    store.update_heartbeat(3, long_ago).await.unwrap();
    // A sign that was overtaken takes nothing back.
    other.update_heartbeat(11, at(4)).await.unwrap();
    assert_eq!(other.get_heartbeat(11).await.unwrap(), Some(at(5)));
    // A stale one is read as it is.
    assert_eq!(other.get_heartbeat(3).await.unwrap(), Some(long_ago));
    assert_eq!(other.list_workers().await.unwrap(), [3, 11]);
    let health = |worker_id: usize, status| WorkerHealth {
        worker_id,
        last_heartbeat: at(1),
        error_count: 2,
        status,
        current_work_item: Some("Fetch(start)".to_owned()),
        current_work_item_run_id: Some("r1".to_owned()),
    };
    assert_eq!(store.get_health(3).await.unwrap(), None);
    store.update_health(11, health(11, WorkerStatus::InProgress)).await.unwrap();
    store.update_health(3, health(3, WorkerStatus::Idle)).await.unwrap();
    store.update_health(3, health(3, WorkerStatus::Retrying(2, 5))).await.unwrap();
    assert_eq!(other.get_health(3).await.unwrap(), Some(health(3, WorkerStatus::Retrying(2, 5))));
    let both = [health(3, WorkerStatus::Retrying(2, 5)), health(11, WorkerStatus::InProgress)];
    assert_eq!(other.list_health().await.unwrap(), both);
    // A run of that name has nothing to do with a worker.
    one.forget_run("11").await.unwrap();
    assert_eq!(other.list_workers().await.unwrap(), [3, 11]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_attempts_have_one_number() {
    let (one, two) = two("items").await;
    let item = Job::new("a");
    let store: NatsWorkItemStateStore<Job> = one.work_item_state_store();
    assert_eq!(store.get_status("r1", &item).await.unwrap(), WorkItemStatus::Pending);
    assert_eq!(store.get_attempts("r1", &item).await.unwrap(), 0);
    // Asking leaves no mark.
    assert_eq!(store.get_all("r1").await.unwrap(), []);
    let counts = (0..40).map(|number| {
        let store = if number % 2 == 0 { one.work_item_state_store() } else { two.work_item_state_store() };
        async move { store.increment_attempts("r1", &Job::new("a")).await }
    });
    let counted: BTreeSet<u32> = futures::future::try_join_all(counts).await.unwrap().into_iter().collect();
    assert_eq!(counted, (1..=40).collect());
    store.set_status("r1", &item, WorkItemStatus::WaitingRetry).await.unwrap();
    store.set_status("r1", &Job::new("b"), WorkItemStatus::Completed).await.unwrap();
    store.set_status("r2", &item, WorkItemStatus::Failed).await.unwrap();
    let all = store.get_all("r1").await.unwrap();
    let seen: Vec<_> =
        all.iter().map(|state| (state.work_item.id.as_str(), state.attempts, state.status)).collect();
    assert_eq!(seen, [("a", 40, WorkItemStatus::WaitingRetry), ("b", 0, WorkItemStatus::Completed)]);
    store.reset_attempts("r1", &item).await.unwrap();
    assert_eq!(store.get_attempts("r1", &item).await.unwrap(), 0);
    assert!(store.get_status("r1", &Job::new("a.b")).await.is_err());
    assert!(store.get_all("r1.*").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_addition_counts_twice_when_answers_are_lost() {
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
