//! The store in memory, and one that overrides no provided method.

use super::*;
use std::sync::Mutex as SyncMutex;

/// A store with the required methods alone. Records the names of the calls that write.
#[derive(Default)]
struct RequiredOnly(InMemoryRunInfoStore, SyncMutex<Vec<&'static str>>);

impl RequiredOnly {
    fn record(&self, call: &'static str) {
        self.1.lock().unwrap().push(call);
    }
}

#[async_trait]
impl RunInfoStore for RequiredOnly {
    async fn insert_run(&self, info: RunInfo) -> Result<(), RunInfoError> {
        self.record("insert");
        self.0.insert_run(info).await
    }

    async fn update_status(&self, run_id: &str, status: RunStatus) -> Result<(), RunInfoError> {
        self.record("status");
        self.0.update_status(run_id, status).await
    }

    async fn update_finished_at(&self, run_id: &str, at: DateTime<Utc>) -> Result<(), RunInfoError> {
        self.record("finished_at");
        self.0.update_finished_at(run_id, at).await
    }

    async fn get_run(&self, run_id: &str) -> Result<Option<RunInfo>, RunInfoError> {
        self.0.get_run(run_id).await
    }

    async fn list_runs(&self, filter: Option<RunStatus>) -> Result<Vec<RunInfo>, RunInfoError> {
        self.0.list_runs(filter).await
    }

    async fn update_output(&self, run_id: &str, output: serde_json::Value) -> Result<(), RunInfoError> {
        self.record("output");
        self.0.update_output(run_id, output).await
    }
}

fn run(run_id: &str) -> RunInfo {
    let (run_id, status, started_at) = (run_id.to_owned(), RunStatus::Running, DateTime::default());
    RunInfo { run_id, status, started_at, finished_at: None, output: None }
}

async fn check_rules(store: &dyn RunInfoStore) {
    assert!(store.insert_new_run(run("a")).await.unwrap());
    assert!(store.change_status("a", RunStatus::Paused).await.unwrap());
    assert!(!store.insert_new_run(run("a")).await.unwrap());
    let now = Utc::now();
    assert!(store.finish_run("a", RunStatus::Completed, Some(7.into()), now).await.unwrap());
    let ended = store.get_run("a").await.unwrap().unwrap();
    let (status, finished_at, output) = (RunStatus::Completed, Some(now), Some(7.into()));
    assert_eq!(ended, RunInfo { status, finished_at, output, ..run("a") });
    assert!(!store.finish_run("a", RunStatus::Failed, None, Utc::now()).await.unwrap());
    assert!(!store.change_status("a", RunStatus::Running).await.unwrap());
    assert_eq!(store.get_run("a").await.unwrap().unwrap(), ended);
    store.insert_run(run("b")).await.unwrap();
    assert_eq!(store.list_runs(Some(RunStatus::Running)).await.unwrap(), [run("b")]);
    assert_eq!(store.list_runs(None).await.unwrap(), [ended, run("b")]);
    let unknown = Err(RunInfoError::NotFound);
    assert_eq!(store.change_status("x", RunStatus::Paused).await, unknown);
    assert_eq!(store.finish_run("x", RunStatus::Failed, None, now).await, unknown);
    assert_eq!(store.update_status("x", RunStatus::Failed).await, Err(RunInfoError::NotFound));
}

#[tokio::test]
async fn the_first_end_of_a_run_stays() {
    check_rules(&InMemoryRunInfoStore::new()).await;
    let store = RequiredOnly::default();
    check_rules(&store).await;
    // The status is written last: a reader that sees it also sees the output.
    let calls = store.1.lock().unwrap().clone();
    assert_eq!(calls, ["insert", "status", "output", "finished_at", "status", "insert", "status"]);
}
