//! What people ask about runs and workers.

use super::{Stores, workflows::LineWorkItem};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::{join_all, try_join_all};
use jetway_core::distributed::{
    ErrorStore as _, LivenessStore as _, MetricsStore as _, RunInfo, RunInfoError, RunInfoStore as _,
    RunMetrics, RunStatus, WorkItemStateStore as _, WorkItemStatus, WorkerHealth, WorkerStatus,
    WorkflowError,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_700_000_000 + seconds)
}

fn info(run_id: &str, seconds: i64) -> RunInfo {
    let (run_id, status) = (run_id.to_owned(), RunStatus::Running);
    RunInfo { run_id, status, started_at: at(seconds), finished_at: None, output: None }
}

/// A run ends once, whole, whoever comes first; an end is not changed any more.
pub(super) async fn runs_end_once<S: Stores>(stores: S) {
    let (store, other) = (stores.runs(), stores.another().await.runs());
    store.insert_run(info("r1", 1)).await.unwrap();
    assert!(!other.insert_new_run(info("r1", 9)).await.unwrap());
    let finish = |n: i64| {
        let store = if n % 2 == 0 { store.clone() } else { other.clone() };
        async move { store.finish_run("r1", RunStatus::Completed, Some(json!(n)), at(n)).await.unwrap() }
    };
    let ends = join_all((0..8).map(finish)).await;
    assert_eq!(ends.iter().filter(|ended| **ended).count(), 1, "{ends:?}");
    let ended = other.get_run("r1").await.unwrap().unwrap();
    let winner = (0..8_i64).zip(&ends).find_map(|(n, ended)| ended.then_some(n)).unwrap();
    let (finished_at, output) = (Some(at(winner.max(1))), Some(json!(winner)));
    assert_eq!(ended, RunInfo { status: RunStatus::Completed, finished_at, output, ..info("r1", 1) });
    assert!(!store.change_status("r1", RunStatus::Running).await.unwrap());
    assert_eq!(store.get_run("r1").await.unwrap(), Some(ended));
    // Who ends a run may have a clock that is behind that of its starter.
    store.insert_run(info("r2", 5)).await.unwrap();
    assert!(other.finish_run("r2", RunStatus::Cancelled, None, at(2)).await.unwrap());
    assert_eq!(store.get_run("r2").await.unwrap().unwrap().finished_at, Some(at(5)));
}

/// Runs are listed by when they began, all of them or those of one status.
pub(super) async fn runs_are_listed_by_when_they_began<S: Stores>(stores: S) {
    let (store, other) = (stores.runs(), stores.another().await.runs());
    assert_eq!((store.get_run("r1").await, store.list_runs(None).await), (Ok(None), Ok(Vec::new())));
    for (run, seconds) in [("r2", 2), ("r1", 1), ("r3", 3)] {
        store.insert_run(info(run, seconds)).await.unwrap();
    }
    assert!(other.insert_new_run(info("r4", 4)).await.unwrap());
    assert!(store.change_status("r2", RunStatus::Paused).await.unwrap());
    let second = RunInfo { status: RunStatus::Paused, ..info("r2", 2) };
    let all = [info("r1", 1), second.clone(), info("r3", 3), info("r4", 4)];
    assert_eq!(other.list_runs(None).await.unwrap(), all);
    assert_eq!(other.list_runs(Some(RunStatus::Paused)).await.unwrap(), [second]);
    assert_eq!(other.list_runs(Some(RunStatus::Running)).await.unwrap().len(), 3);
    assert_eq!(other.list_runs(Some(RunStatus::Failed)).await.unwrap(), []);
}

/// Each field is written by itself, inserting replaces, and what is not known cannot be changed.
pub(super) async fn a_run_s_info_is_replaced_and_updated<S: Stores>(stores: S) {
    let store = stores.runs();
    store.insert_run(info("r", 1)).await.unwrap();
    store.update_status("r", RunStatus::Failed).await.unwrap();
    store.update_output("r", Value::Null).await.unwrap();
    store.update_finished_at("r", at(7)).await.unwrap();
    let (status, finished_at, output) = (RunStatus::Failed, Some(at(7)), Some(Value::Null));
    assert_eq!(
        store.get_run("r").await.unwrap(),
        Some(RunInfo { status, finished_at, output, ..info("r", 1) })
    );
    store.insert_run(info("r", 2)).await.unwrap();
    assert_eq!(store.get_run("r").await.unwrap(), Some(info("r", 2)));
    for refused in [
        store.update_status("x", RunStatus::Paused).await,
        store.update_output("x", Value::Null).await,
        store.update_finished_at("x", at(1)).await,
        store.change_status("x", RunStatus::Paused).await.map(drop),
        store.finish_run("x", RunStatus::Failed, None, at(1)).await.map(drop),
    ] {
        assert_eq!(refused, Err(RunInfoError::NotFound));
    }
    assert_eq!(store.list_runs(None).await.unwrap().len(), 1);
}

/// Numbers are replaced, added to and raised, and no addition is lost.
pub(super) async fn no_addition_to_the_numbers_is_lost<S: Stores>(stores: S) {
    let both = [stores.metrics(), stores.another().await.metrics()];
    assert_eq!(both[0].get_metrics("r").await.unwrap(), None);
    let more = RunMetrics { total_work_items: 2, completed: 1, failed: 0, retries: 1 };
    try_join_all((0..50).map(|n| both[n % 2].add_metrics("r", more))).await.unwrap();
    let sum = RunMetrics { total_work_items: 100, completed: 50, failed: 0, retries: 50 };
    assert_eq!(both[1].get_metrics("r").await.unwrap(), Some(sum));
    both[0].raise_metrics("r", RunMetrics { failed: 3, ..more }).await.unwrap();
    assert_eq!(both[1].get_metrics("r").await.unwrap(), Some(RunMetrics { failed: 3, ..sum }));
    both[0].update_metrics("r", more).await.unwrap();
    assert_eq!(both[1].get_metrics("r").await.unwrap(), Some(more));
    assert_eq!(both[1].get_metrics("other").await.unwrap(), None);
}

/// Errors are kept for their run, in the order in which they were recorded.
pub(super) async fn errors_are_kept_in_their_order<S: Stores>(stores: S) {
    let both = [stores.errors(), stores.another().await.errors()];
    let failed = |attempt: usize| WorkflowError {
        work_item: "Fetch(start)".to_owned(),
        error: "no route to host".to_owned(),
        attempt,
        timestamp: at(1),
    };
    assert_eq!(both[0].get_errors("r").await.unwrap(), []);
    for attempt in 1..=10 {
        both[attempt % 2].record_error("r", failed(attempt)).await.unwrap();
    }
    assert_eq!(both[1].get_errors("r").await.unwrap(), (1..=10).map(failed).collect::<Vec<_>>());
    assert_eq!(both[1].get_errors("other").await.unwrap(), []);
}

/// Workers are listed by their ids, with their last sign of life and how they are.
pub(super) async fn workers_are_listed_with_their_signs_of_life<S: Stores>(stores: S) {
    let (store, other) = (stores.liveness(), stores.another().await.liveness());
    assert_eq!((store.get_heartbeat(3).await, store.get_health(3).await), (Ok(None), Ok(None)));
    assert_eq!(store.list_workers().await.unwrap(), [0; 0]);
    for (worker, seconds) in [(11, 4), (3, 1), (11, 5)] {
        store.update_heartbeat(worker, at(seconds)).await.unwrap();
    }
    assert_eq!(
        (other.get_heartbeat(11).await, other.get_heartbeat(3).await),
        (Ok(Some(at(5))), Ok(Some(at(1))))
    );
    assert_eq!(other.list_workers().await.unwrap(), [3, 11]);
    let health = |worker_id: usize, status| WorkerHealth {
        worker_id,
        last_heartbeat: at(1),
        error_count: 2,
        status,
        current_work_item: Some("Fetch(start)".to_owned()),
        current_work_item_run_id: Some("r1".to_owned()),
    };
    store.update_health(11, health(11, WorkerStatus::InProgress)).await.unwrap();
    store.update_health(3, health(3, WorkerStatus::Idle)).await.unwrap();
    store.update_health(3, health(3, WorkerStatus::Retrying(2, 5))).await.unwrap();
    let third = health(3, WorkerStatus::Retrying(2, 5));
    assert_eq!(other.get_health(3).await.unwrap(), Some(third.clone()));
    assert_eq!(other.list_health().await.unwrap(), [third, health(11, WorkerStatus::InProgress)]);
}

/// Attempts at an item are counted from 1, and no two have one number.
pub(super) async fn no_two_attempts_have_one_number<S: Stores>(stores: S) {
    let both = [stores.items::<LineWorkItem>(), stores.another().await.items::<LineWorkItem>()];
    let (store, item) = (&both[0], LineWorkItem::One("a".to_owned(), 1));
    assert_eq!(store.get_attempts("r", &item).await.unwrap(), 0);
    let counted = try_join_all((0..40).map(|n| both[n % 2].increment_attempts("r", &item))).await.unwrap();
    assert_eq!(counted.into_iter().collect::<BTreeSet<_>>(), (1..=40).collect());
    assert_eq!(store.get_attempts("other", &item).await.unwrap(), 0);
    store.reset_attempts("r", &item).await.unwrap();
    assert_eq!(both[1].get_attempts("r", &item).await.unwrap(), 0);
}

/// How items fare is kept by run and id; asking about one leaves no mark.
pub(super) async fn items_are_listed_as_they_fare<S: Stores>(stores: S) {
    let (store, other) = (stores.items(), stores.another().await.items::<LineWorkItem>());
    let (a, b) = (LineWorkItem::One("a".to_owned(), 1), LineWorkItem::Two("b".to_owned(), 2));
    assert_eq!(store.get_status("r", &a).await.unwrap(), WorkItemStatus::Pending);
    assert_eq!(store.get_attempts("r", &a).await.unwrap(), 0);
    assert_eq!(store.get_all("r").await.unwrap(), []);
    store.set_status("r", &b, WorkItemStatus::Completed).await.unwrap();
    store.increment_attempts("r", &a).await.unwrap();
    store.set_status("r", &a, WorkItemStatus::WaitingRetry).await.unwrap();
    store.set_status("other", &a, WorkItemStatus::Failed).await.unwrap();
    let all = other.get_all("r").await.unwrap();
    let seen: Vec<_> = all.iter().map(|state| (&state.work_item, state.attempts, state.status)).collect();
    assert_eq!(seen, [(&a, 1, WorkItemStatus::WaitingRetry), (&b, 0, WorkItemStatus::Completed)]);
    assert_eq!(other.get_status("other", &a).await.unwrap(), WorkItemStatus::Failed);
}
