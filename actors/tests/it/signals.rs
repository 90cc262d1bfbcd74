//! Signals to the runs of a host.

use crate::support::{DEADLINE, Host, Probe};
use bytes::Bytes;
use jetway_actors::{ActorSystem, SystemConfig};
use jetway_core::{Answered, WaitForSignal};
use jetway_engine::{
    Engine,
    backend::{Backend, NewSignal, StartRequest},
    memory::MemoryBackend,
};
use jetway_macros::workflow;
use jetway_state::{RunId, RunKey, WorkflowName, run::WantedResult};
use std::{sync::Arc, time::Duration};
use tokio::runtime::Handle;

workflow! {
    struct Ask { ask: WaitForSignal<u32, u32> }
    name = "ask";
    start = ask;
    edges { ask => []; }
}

fn signal(workflow: &str, name: &str) -> NewSignal {
    NewSignal {
        run: RunKey::new(WorkflowName::new(workflow).unwrap(), RunId::new("r").unwrap()),
        name: name.to_owned(),
        id: None,
        incarnation: None,
        content_type: None,
        payload: Bytes::from_static(b"2"),
    }
}

#[tokio::test]
async fn a_signal_goes_to_its_run() {
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    let engine = Engine::builder(Arc::clone(&backend)).workflow(Ask { ask: WaitForSignal::new("price") });
    let engine = Arc::new(engine.build().unwrap());
    let system =
        ActorSystem::start(Arc::clone(&engine), SystemConfig::new("host-1"), Handle::current()).unwrap();
    // It comes before its run, waits for it, and is delivered again.
    backend.publish_signal(&signal("ask", "price")).await.unwrap();
    jetway_testing::wait_until("the signal is put off", DEADLINE, async || {
        system.observe().await.coordinator.signals == 1
    })
    .await;
    let start = StartRequest {
        workflow: "ask".to_owned(),
        run_id: "r".to_owned(),
        input: Bytes::from_static(b"1"),
        ..StartRequest::default()
    };
    let run = engine.start(start).await.unwrap();
    let done = backend.done(&run, WantedResult::Latest, DEADLINE).await.unwrap().unwrap();
    let done: serde_json::Value = serde_json::from_slice(&done).unwrap();
    let output: Answered<u32, u32> = serde_json::from_value(done["output"].clone()).unwrap();
    assert_eq!(output, Answered { input: 1, answer: Some(2) });
    assert_eq!(system.drain(Duration::from_secs(5)).await.abandoned, 0);
}

#[tokio::test]
async fn a_signal_that_no_node_waits_for_is_refused() {
    let memory = MemoryBackend::new();
    let (backend, chain) = (Arc::new(memory.clone()) as Arc<dyn Backend>, Probe::new("chain", async || ()));
    let host = Host::start(&backend, &chain);
    backend.publish_signal(&signal("chain", "price")).await.unwrap();
    host.until("it is refused", |status| status.coordinator.refused_signals == 1).await;
    assert_eq!(memory.dead_letters()[0].why, "unknown_signal");
    host.drain(Duration::ZERO).await;
}
