//! Checkpoints of any size, until they are removed.

use super::{connect, stores};
use crate::support::config;
use jetway_core::{Checkpoint, CheckpointStore};
use jetway_nats::NatsCheckpointStore;

#[tokio::test(flavor = "multi_thread")]
async fn a_large_checkpoint_is_stored_in_parts() {
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
async fn a_forgotten_run_has_no_checkpoint() {
    let stores = stores("forget").await;
    let store: NatsCheckpointStore<String, super::Job> = stores.checkpoint_store();
    for run in ["r1", "r2"] {
        store.save(run, &Checkpoint::new("a".repeat(2 << 20), [].into())).await.unwrap();
    }
    stores.forget_run("r1").await.unwrap();
    assert!(store.load("r1").await.unwrap().is_none());
    assert!(store.load("r2").await.unwrap().is_some());
    let refused = store.load("r1.x").await.unwrap_err();
    assert!(refused.to_string().contains("invalid run id"), "{refused}");
}
