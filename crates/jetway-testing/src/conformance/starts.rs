//! Start messages.

use super::{BackendUnderTest, DEADLINE, LEASE, TestHost, host::request, snapshots::key, workflows::Probe};
use crate::wait_until;
use bytes::Bytes;
use futures::StreamExt;
use jetway_core::Transition;
use jetway_engine::{Engine, backend::StartRequest};
use jetway_macros::{node, workflow};
use jetway_state::{RunKey, StartMessage, codec::Encoding, run::WantedResult};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

pub(super) async fn a_start_is_delivered_until_it_is_settled(tested: BackendUnderTest) {
    let (backend, run) = (&tested.backend, key("w", "r"));
    backend.publish_start(&request("w", "r", &1)).await.expect("it is published");
    let mut starts = backend.starts(&run.workflow, Arc::new(Semaphore::new(2))).await.expect("starts come");
    let mut next = async || {
        let delivery = tokio::time::timeout(DEADLINE, starts.next()).await.expect("it comes in time");
        delivery.expect("the stream goes on").expect("a start is delivered")
    };
    let first = next().await;
    assert_eq!((first.request.workflow.as_str(), first.request.run_id.as_str()), ("w", "r"));
    assert_eq!(first.request.input, "1");
    assert_eq!(first.original.payload, "1");
    drop(first);
    let again = next().await;
    assert_eq!(again.request.run_id, "r");
    again.lease.ack().await.expect("it is settled");
    let third = tokio::time::timeout(LEASE + LEASE / 2, starts.next()).await;
    assert!(third.is_err(), "a settled start came again");
}

pub(super) async fn starts_of_unknown_workflows_are_expelled(tested: BackendUnderTest) {
    let (backend, run) = (&tested.backend, key("known", "r"));
    let starts = backend.starts(&run.workflow, Arc::new(Semaphore::new(1))).await.expect("starts come");
    drop(starts);
    backend.publish_start(&request("known", "r", &1)).await.expect("it is published");
    backend.publish_start(&request("unknown", "r", &1)).await.expect("it is published");
    let early =
        backend.dead_letter_unroutable_starts(Duration::from_secs(600)).await.expect("it can be asked");
    assert_eq!(early, 0, "the grace period is not kept");
    wait_until("the unknown start is expelled", DEADLINE, async || {
        backend.dead_letter_unroutable_starts(Duration::from_millis(1)).await.expect("it can be asked") == 1
    })
    .await;
    assert_eq!(backend.dead_letter_unroutable_starts(Duration::ZERO).await.expect("it can be asked"), 0);
    let mut starts = backend.starts(&run.workflow, Arc::new(Semaphore::new(1))).await.expect("starts come");
    let kept = tokio::time::timeout(DEADLINE, starts.next()).await.expect("the known one is still there");
    assert_eq!(kept.expect("the stream goes on").expect("it comes").request.workflow, "known");
}

pub(super) async fn u11_whoever_waits_for_a_refused_start_is_told(tested: BackendUnderTest) {
    let host = TestHost::at_work(&tested, &Probe::open()).await;
    let run = key("chain3", "r");
    let refusal = async |input: &Value| {
        let sequence = tested.backend.publish_start(&request("chain3", "r", input)).await;
        let sequence = sequence.expect("it is published");
        let told = tested.backend.done(&run, WantedResult::New(sequence), DEADLINE).await;
        serde_json::from_slice::<Value>(&told.expect("it can be asked").expect("somebody is told"))
            .expect("it is JSON")
    };
    for bad in [json!("text"), json!([1])] {
        let told = refusal(&bad).await;
        assert_eq!((&told["status"], &told["run_id"]), (&json!("failed"), &json!("r")), "{told}");
        assert_eq!(told["error"]["kind"], "bad-input", "{told}");
        assert!(told["error"]["message"].as_str().is_some_and(|why| why.contains("input")), "{told}");
    }
    // The result of a run takes its place, and a later refusal does not take the place of the result.
    let sequence = tested.backend.publish_start(&request("chain3", "r", &1)).await.expect("it is published");
    let done = tested.backend.done(&run, WantedResult::New(sequence), DEADLINE).await;
    let done: Value =
        serde_json::from_slice(&done.expect("it can be asked").expect("it ends")).expect("JSON");
    assert_eq!((&done["status"], &done["output"]), (&json!("completed"), &json!(4)));
    tested.backend.publish_start(&request("chain3", "r", &json!("text"))).await.expect("it is published");
    tested.backend.publish_start(&request("chain3", "last", &1)).await.expect("it is published");
    assert_eq!(host.output::<u64>(&key("chain3", "last")).await, 4);
    assert_eq!(host.output::<u64>(&run).await, 4);
}

/// The refusal of a start, or the result of its run, as its sender sees it.
async fn told(tested: &BackendUnderTest, run: &RunKey, start: StartMessage) -> Value {
    let told = tested.backend.done(run, WantedResult::New(start), DEADLINE).await.expect("it can be asked");
    serde_json::from_slice(&told.expect("somebody is told")).expect("it is JSON")
}

/// No host is up while it is published, and the record of the run that has the id is still there.
pub(super) async fn u11_no_run_of_another_input_answers_a_start(tested: BackendUnderTest) {
    let (backend, run) = (&tested.backend, key("chain3", "used"));
    let host = TestHost::at_work(&tested, &Probe::open()).await;
    let first = backend.publish_start(&request("chain3", "used", &1)).await.expect("it is published");
    assert_eq!(told(&tested, &run, first).await["output"], 4);
    drop(host);
    let other = backend.publish_start(&request("chain3", "used", &7)).await.expect("it is published");
    let same = backend.publish_start(&request("chain3", "used", &1)).await.expect("it is published");
    for start in [other, same] {
        let early = backend.done(&run, WantedResult::New(start), Duration::from_millis(200)).await;
        assert_eq!(early.expect("it can be asked"), None, "no host has seen the message");
    }
    let host = TestHost::at_work(&tested, &Probe::open()).await;
    // Whoever asks later is told the same.
    for _ in 0..2 {
        let refusal = told(&tested, &run, other).await;
        assert_eq!((&refusal["status"], &refusal["steps"]), (&json!("failed"), &json!(0)), "{refusal}");
        assert_eq!(refusal["error"]["kind"], "other-input", "{refusal}");
        for joined in [first, same] {
            assert_eq!(told(&tested, &run, joined).await["output"], 4);
        }
    }
    // The result of the run stays what it was.
    assert_eq!(host.output::<u64>(&run).await, 4);
}

/// A refusal quotes the input, which may be as large as a message.
pub(super) async fn u11_a_long_refusal_is_cut_and_told(tested: BackendUnderTest) {
    let _host = TestHost::at_work(&tested, &Probe::open()).await;
    let run = key("chain3", "long");
    let long = "x".repeat(900_000);
    let start = tested.backend.publish_start(&request("chain3", "long", &long)).await;
    let refusal = told(&tested, &run, start.expect("it is published")).await;
    assert_eq!(refusal["error"]["kind"], "bad-input");
    let message = refusal["error"]["message"].as_str().expect("it has a reason");
    assert!(message.len() < 9_000 && message.contains("(the first "), "{} bytes", message.len());
}

node! {
    struct Tick {};
    context = ();
    input = ();
    output = u8;
    |_ctx, _nothing| { Ok(Transition::Next(7)) }
}

workflow! {
    /// Takes nothing.
    struct Ticking { tick: Tick }
    name = "ticking";
    start = tick;
    edges { tick => []; }
}

pub(super) async fn an_input_of_nothing_is_an_empty_payload(tested: BackendUnderTest) {
    let engine = Engine::builder(Arc::clone(&tested.backend)).workflow(Ticking { tick: Tick {} }).build();
    let mut host = TestHost::of(engine.expect("it is sound"));
    host.work(4).await;
    for (run_id, encoding) in [("json", Encoding::Json), ("cbor", Encoding::Cbor)] {
        let nothing = StartRequest { input: Bytes::new(), encoding, ..request("ticking", run_id, &()) };
        tested.backend.publish_start(&nothing).await.expect("it is published");
        assert_eq!(host.output::<u8>(&key("ticking", run_id)).await, 7);
    }
    let chain = TestHost::idle(&tested, &Probe::open());
    let nothing = StartRequest { input: Bytes::new(), ..request("chain3", "nothing", &1) };
    let refused = chain.engine.start(nothing).await.expect_err("it takes a number").to_string();
    assert!(refused.contains("payload is empty"), "{refused}");
}
