//! A run goes on in another process.

use super::{
    connect,
    runs::{Ctx, Fan, FanWorkItem},
    stores,
};
use crate::support::config;
use jetway_core::{
    Checkpoint, CheckpointError, CheckpointStore, Context, Error, WorkItem, Workflow as _, WorkflowCtx,
};
use jetway_nats::NatsCheckpointStore;
use std::sync::atomic::{AtomicU32, Ordering};

/// A store that fails from the given save on, as that of a process which is lost.
struct Failing<'a, C, WI> {
    store: &'a NatsCheckpointStore<C, WI>,
    saves: AtomicU32,
}

#[async_trait::async_trait]
impl<C: Context, WI: WorkItem> CheckpointStore<C, WI> for Failing<'_, C, WI> {
    async fn save(&self, id: &str, checkpoint: &Checkpoint<C, WI>) -> Result<(), CheckpointError> {
        let left = self.saves.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map_err(|_none| CheckpointError::Store("the process is lost".to_owned()))?;
        self.store.save(id, checkpoint).await
    }

    async fn load(&self, id: &str) -> Result<Option<Checkpoint<C, WI>>, CheckpointError> {
        self.store.load(id).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_resumed_over_another_connection() {
    let config = config("resume").await;
    let first = connect(&config).await.checkpoint_store();
    let lost = Failing { store: &first, saves: AtomicU32::new(4) };
    let error = Fan::new().run_with_checkpoint(&WorkflowCtx::new(Ctx::default()), 6, &lost, "r1").await;
    assert!(error.unwrap_err().to_string().contains("the process is lost"));
    drop(first);
    let second: NatsCheckpointStore<Ctx, FanWorkItem> = connect(&config).await.checkpoint_store();
    let checkpoint = second.load("r1").await.unwrap().unwrap();
    // The start, then the fan-out and two of its branches.
    assert_eq!((checkpoint.context.steps.get(), checkpoint.queue.len()), (3, 4));
    assert_eq!(Fan::new().resume(&second, "r1").await.unwrap(), 0);
    let ended = second.load("r1").await.unwrap().unwrap();
    assert_eq!((ended.context.steps.get(), ended.context.sum.get()), (7, (0..6).sum::<i64>()));
    assert!(matches!(Fan::new().resume(&second, "r1").await, Err(Error::AlreadyCompleted)));
    assert!(matches!(Fan::new().resume(&second, "r2").await, Err(Error::NotStarted)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_above_the_servers_limit_is_kept_in_parts() {
    let config = config("parts").await;
    let store: NatsCheckpointStore<String, super::Job> = connect(&config).await.checkpoint_store();
    for text in ["a".repeat(5 << 20), "b".repeat(2 << 20), "c".to_owned()] {
        store.save("r1", &Checkpoint::new(text.clone(), [super::Job::new("x")].into())).await.unwrap();
        let other: NatsCheckpointStore<String, super::Job> = connect(&config).await.checkpoint_store();
        let loaded = other.load("r1").await.unwrap().unwrap();
        assert!(loaded.context == text);
        assert_eq!(loaded.queue, [super::Job::new("x")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_forgotten_has_no_checkpoint() {
    let stores = stores("forget").await;
    let store: NatsCheckpointStore<String, super::Job> = stores.checkpoint_store();
    for run in ["r1", "r2"] {
        store.save(run, &Checkpoint::new("a".repeat(2 << 20), [].into())).await.unwrap();
    }
    stores.forget_run("r1").await.unwrap();
    assert!(store.load("r1").await.unwrap().is_none());
    assert!(store.load("r2").await.unwrap().is_some());
    let refused = store.load("r1.x").await.unwrap_err();
    assert!(refused.to_string().contains("bad run id"), "{refused}");
}
