//! Contexts and snapshots of any size, until they expire.

use super::{connect, stores};
use crate::support::{DEADLINE, client, config};
use bytes::Bytes;
use jetway_core::{
    Counter,
    distributed::{ContextStore, ContextStoreError},
};
use jetway_nats::{NatsConfig, NatsContextStore};
use jetway_state::{
    CommitId, Incarnation, RunId, RunKey, WorkflowName, codec,
    run::{Begin, RunInput, Snapshot, Status, Trace, begin},
};
use jetway_testing::wait_until;
use std::time::Duration;

/// A counter and text.
type Ctx = (Counter, String);

fn counted(number: i64) -> Ctx {
    (Counter::new(number), String::new())
}

fn snapshot(run_id: &str, ctx: &Ctx) -> Snapshot {
    let context = codec::encode(ctx, "the context").unwrap();
    let input = RunInput { node: "charge".to_owned(), payload: Bytes::from_static(b"x"), context };
    let key = RunKey::new(WorkflowName::new("pay").unwrap(), RunId::new(run_id).unwrap());
    let (commit, at, trace) = (CommitId::default(), jetway_core::clock::now(), Trace::default());
    begin(Begin { key, incarnation: Incarnation::default(), commit, at, trace, input, due: None }).0
}

async fn number(store: &NatsContextStore<Ctx>, run_id: &str) -> Option<i64> {
    store.get(run_id).await.unwrap().map(|ctx| ctx.0.get())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parts_of_a_replaced_context_are_removed() {
    let config = config("large").await;
    let (one, two) = (connect(&config).await.context_store(), connect(&config).await.context_store());
    let stream = format!("KV_JETWAY_{}_STORE_STATE", config.namespace);
    let stream = async_nats::jetstream::new(client().await).get_stream(stream).await.unwrap();
    let messages = async || stream.get_info().await.unwrap().state.messages;
    let large = |letter: &str| -> Ctx { (Counter::new(1), letter.repeat(3 << 20)) };
    one.set("r1", large("a")).await.unwrap();
    assert_eq!(messages().await, 8);
    let found: Ctx = two.get("r1").await.unwrap().unwrap();
    assert_eq!(found.1, large("a").1);
    two.set("r1", large("b")).await.unwrap();
    assert_eq!(messages().await, 8);
    assert!(one.get("r1").await.unwrap().unwrap().1 == large("b").1);
    // A writer that loses removes its parts.
    assert!(!one.swap_snapshot("r1", 1, &snapshot("r1", &large("c"))).await.unwrap());
    assert_eq!(messages().await, 8);
    two.set("r1", counted(1)).await.unwrap();
    assert_eq!(messages().await, 1);
    let found: Ctx = one.get("r1").await.unwrap().unwrap();
    assert_eq!(found.1, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_context_can_be_read_while_it_is_replaced() {
    let config = config("replaced").await;
    let (one, two) = (connect(&config).await.context_store(), connect(&config).await.context_store());
    let large = |letter: char| -> Ctx { (Counter::new(1), letter.to_string().repeat(2 << 20)) };
    one.set("r1", large('a')).await.unwrap();
    let writing = tokio::spawn(async move {
        for letter in 'b'..='m' {
            one.set("r1", large(letter)).await.unwrap();
        }
    });
    while !writing.is_finished() {
        let (_, text): Ctx = two.get("r1").await.unwrap().unwrap();
        let first = text.chars().next().unwrap();
        assert!(text == large(first).1, "a mixture of two values");
    }
    writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_run_expires() {
    let config = NatsConfig { keep_finished: Duration::from_secs(1), ..config("ended").await };
    let store = connect(&config).await.context_store::<Ctx>();
    let ended = Snapshot { status: Status::Completed, ..snapshot("r1", &counted(1)) };
    assert!(store.swap_snapshot("r1", 0, &ended).await.unwrap());
    assert!(store.swap_snapshot("r2", 0, &snapshot("r2", &counted(1))).await.unwrap());
    assert_eq!(number(&store, "r1").await, Some(1));
    wait_until("the run expires", DEADLINE, async || number(&store, "r1").await.is_none()).await;
    assert_eq!(number(&store, "r2").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_names_are_refused() {
    let store = stores("names").await.context_store::<Ctx>();
    for bad in ["", "a.b", "*", ">", "a b", "r1.context"] {
        let refusals = [
            store.get(bad).await.map(drop),
            store.set(bad, counted(1)).await,
            store.merge(bad, counted(1)).await,
            store.snapshot(bad).await.map(drop),
            store.swap_snapshot(bad, 0, &snapshot("r1", &counted(1))).await.map(drop),
        ];
        for refusal in refusals {
            let error = refusal.unwrap_err();
            assert!(matches!(error, ContextStoreError::Other(_)), "{bad:?}: {error}");
            assert!(error.to_string().contains("invalid run id"), "{error}");
        }
    }
}
