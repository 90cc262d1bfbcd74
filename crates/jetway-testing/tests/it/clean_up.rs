//! The clean-up of cancelled runs in memory, with a clock that the test moves.

use super::{DEADLINE, waiters::waits_for};
use jetway_core::{Transition, clock::Clock as _};
use jetway_engine::{Engine, backend::Backend, memory::MemoryBackend};
use jetway_macros::{node, workflow};
use jetway_state::{RunKey, run::WantedResult, run::control::Control};
use jetway_testing::{TestClock, conformance::TestHost};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

const MINUTE: Duration = Duration::from_secs(60);

node! { struct Doze {}; input = u32; output = u32; |_ctx, minutes| { Ok(Transition::NextAfter(MINUTE * 60, minutes)) } }
node! { struct Work {}; input = u32; output = u32; |_ctx, minutes| { Ok(Transition::Next(minutes)) } }
node! { struct Undo {}; input = u32; output = u32; |_ctx, minutes| { Ok(Transition::NextAfter(MINUTE * minutes, minutes)) } }
node! { struct Tell {}; input = u32; output = String; |_ctx, minutes| { Ok(Transition::Next(minutes.to_string())) } }

workflow! {
    struct Stay { doze: Doze, work: Work, undo: Undo, tell: Tell }
    name = "stay";
    start = doze;
    edges { doze => [work]; work => []; work on_cancel => [undo]; undo => [tell]; tell => []; }
}

/// A run whose clean-up takes so many minutes, and the time of its cancel.
struct Cancelled {
    clock: TestClock,
    backend: Arc<dyn Backend>,
    run: RunKey,
}

async fn at_work(backend: &Arc<dyn Backend>) -> TestHost {
    let stay = Stay { doze: Doze {}, work: Work {}, undo: Undo {}, tell: Tell {} };
    let mut host = TestHost::of(Engine::builder(Arc::clone(backend)).workflow(stay).build().unwrap());
    host.work(4).await;
    host
}

impl Cancelled {
    async fn with_clean_up(minutes: u32) -> (Self, TestHost) {
        let clock = TestClock::new();
        let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new().with_clock(Arc::new(clock.clone())));
        let host = at_work(&backend).await;
        let run = host.start("stay", "r", &minutes).await;
        waits_for(&clock, MINUTE * 60).await;
        host.engine.control(&run, Control::Cancel).await.unwrap().unwrap();
        (Self { clock, backend, run }, host)
    }

    async fn result(&self) -> Value {
        let result = self.backend.done(&self.run, WantedResult::Latest, DEADLINE);
        let result = timeout(DEADLINE, result).await.unwrap().unwrap().unwrap();
        serde_json::from_slice(&result).unwrap()
    }
}

#[tokio::test]
async fn w47_a_clean_up_sleeps_for_minutes() {
    let (cancelled, _host) = Cancelled::with_clean_up(4).await;
    let start = cancelled.clock.now();
    waits_for(&cancelled.clock, MINUTE * 4).await;
    cancelled.clock.advance(MINUTE * 4);
    let result = cancelled.result().await;
    assert_eq!((&result["status"], &result["cancel"]["reason"]), (&"cancelled".into(), &"requested".into()));
    assert_eq!(
        (cancelled.clock.now().since(start), &result["outputs"]),
        (MINUTE * 4, &serde_json::json!([]))
    );
}

#[tokio::test]
async fn w47_the_limit_of_a_clean_up_is_an_instant() {
    let (cancelled, host) = Cancelled::with_clean_up(30).await;
    let start = cancelled.clock.now();
    waits_for(&cancelled.clock, MINUTE * 5).await;
    timeout(DEADLINE, async {
        while host.status(&cancelled.run).await.pending.iter().all(|pending| pending.sleeping == 0) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    cancelled.clock.advance(MINUTE * 3);
    drop(host);
    let _host = at_work(&cancelled.backend).await;
    waits_for(&cancelled.clock, MINUTE * 2).await;
    cancelled.clock.advance(MINUTE * 2);
    let result = cancelled.result().await;
    assert_eq!(result["cancel"]["reason"], "cleanup_timeout", "{result:#}");
    assert_eq!(result["cancel"]["not_run"], serde_json::json!(["tell"]));
    assert_eq!(cancelled.clock.now().since(start), MINUTE * 5);
}
