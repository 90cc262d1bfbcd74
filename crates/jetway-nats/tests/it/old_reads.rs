//! Reads that are older than what their reader knows.

use crate::support::{backend, client, run, write};
use async_nats::jetstream;
use jetway_engine::backend::SnapshotStore as _;
use jetway_state::Seen;

#[tokio::test(flavor = "multi_thread")]
async fn h4_a_run_of_a_bucket_that_was_made_again_is_gone() {
    let backend = backend("again").await;
    let (old, run) = (backend.store_id(), run("r"));
    let mut last = 0;
    for _ in 0..5 {
        last = backend.commit(write(&run, last, "v")).await.unwrap();
    }
    let seen = Seen::new(last, old);
    assert!(backend.load(&run, seen).await.unwrap().is_some());
    let name = format!("KV_JETWAY_{}_RUNS", backend.namespace());
    let context = jetstream::new(client().await);
    let config = context.get_stream(&name).await.unwrap().cached_info().config.clone();
    context.delete_stream(&name).await.unwrap();
    context.create_stream(config).await.unwrap();
    // A ticket of before knows a later revision than the bucket has.
    assert_eq!(backend.load(&run, seen).await.unwrap(), None);
    assert_ne!(backend.store_id(), old);
    let revision = backend.commit(write(&run, 0, "w")).await.unwrap();
    assert!(revision < last);
    let found = backend.load(&run, seen).await.unwrap();
    assert_eq!(found.map(|stored| stored.revision), Some(revision));
}
