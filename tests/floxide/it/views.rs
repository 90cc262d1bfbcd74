//! The stores in memory by themselves, and literals of what they keep.

use chrono::{DateTime, Utc};
use floxide::{
    distributed::{
        types::{RunInfo, RunMetrics, RunStatus, WorkflowError},
        ErrorStore, InMemoryErrorStore, InMemoryMetricsStore, InMemoryRunInfoStore,
        InMemoryWorkItemStateStore, MetricsStore, RunInfoError, RunInfoStore, StepError, WorkItemState,
        WorkItemStateStore, WorkItemStatus,
    },
    node, workflow, FloxideError, Transition,
};

node! { pub struct Pass {}; context = (); input = u8; output = u8; |_ctx, x| { Ok(Transition::Next(x)) } }

workflow! { pub struct Passing { pass: Pass } start = pass; edges { pass => {}; } }

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

#[tokio::test]
async fn runs_are_listed() {
    let store = InMemoryRunInfoStore::default();
    let run = |id: &str, status| RunInfo {
        run_id: id.to_string(),
        status,
        started_at: at(10),
        finished_at: None,
        output: None,
    };
    for (id, status) in [("a", RunStatus::Running), ("b", RunStatus::Paused), ("c", RunStatus::Cancelled)] {
        store.insert_run(run(id, status)).await.unwrap();
    }
    store.update_status("a", RunStatus::Completed).await.unwrap();
    store.update_finished_at("a", at(20)).await.unwrap();
    store.update_output("a", serde_json::json!([1])).await.unwrap();
    let done = store.clone().get_run("a").await.unwrap().unwrap();
    assert_eq!((done.finished_at, done.output), (Some(at(20)), Some(serde_json::json!([1]))));
    assert_eq!(store.list_runs(Some(RunStatus::Paused)).await.unwrap()[0].run_id, "b");
    assert_eq!(store.list_runs(None).await.unwrap().len(), 3);
    assert!(matches!(store.update_status("d", RunStatus::Failed).await, Err(RunInfoError::NotFound)));
    let json = serde_json::to_value(run("e", RunStatus::Failed)).unwrap();
    assert_eq!(json["status"], "Failed");
    assert_eq!(json["started_at"], "1970-01-01T00:00:10Z");
}

#[tokio::test]
async fn numbers_and_errors_are_kept() {
    let (metrics, errors) = (InMemoryMetricsStore::default(), InMemoryErrorStore::default());
    let numbers = RunMetrics { total_work_items: 3, completed: 1, ..RunMetrics::default() };
    metrics.update_metrics("a", numbers.clone()).await.unwrap();
    let kept = metrics.get_metrics("a").await.unwrap().unwrap();
    assert_eq!((kept.total_work_items, kept.completed, kept.failed, kept.retries), (3, 1, 0, 0));
    assert!(metrics.get_metrics("b").await.unwrap().is_none());
    let error = WorkflowError {
        work_item: "Pass(1)".to_string(),
        error: "broken".to_string(),
        attempt: 2,
        timestamp: at(5),
    };
    errors.record_error("a", error.clone()).await.unwrap();
    assert_eq!(errors.get_errors("a").await.unwrap()[0].attempt, 2);
    assert!(errors.get_errors("b").await.unwrap().is_empty());
}

#[tokio::test]
async fn work_items_are_followed() {
    let (store, item) = (InMemoryWorkItemStateStore::default(), PassingWorkItem::Pass("1".to_string(), 7));
    assert_eq!(store.get_status("a", &item).await.unwrap(), WorkItemStatus::Pending);
    for status in [
        WorkItemStatus::InProgress,
        WorkItemStatus::Failed,
        WorkItemStatus::WaitingRetry,
        WorkItemStatus::PermanentlyFailed,
        WorkItemStatus::Completed,
    ] {
        store.set_status("a", &item, status.clone()).await.unwrap();
        assert_eq!(store.get_status("a", &item).await.unwrap(), status);
    }
    assert_eq!(store.increment_attempts("a", &item).await.unwrap(), 1);
    assert_eq!(store.increment_attempts("a", &item).await.unwrap(), 2);
    let all: Vec<WorkItemState<PassingWorkItem>> = store.get_all("a").await.unwrap();
    assert_eq!((all[0].attempts, &all[0].work_item), (2, &item));
    store.reset_attempts("a", &item).await.unwrap();
    assert_eq!(store.get_attempts("a", &item).await.unwrap(), 0);
}

#[test]
fn a_step_error_is_made_by_hand() {
    let error: StepError<PassingWorkItem> =
        StepError { error: FloxideError::Cancelled, run_id: Some("a".to_string()), work_item: None };
    assert!(matches!(error.clone().error, FloxideError::Cancelled));
    assert!(format!("{error:?}").contains("Cancelled"));
}
