//! Deadlines of runs in memory, with a clock that the test moves.

use super::{DEADLINE, waiters::waits_for};
use jetway_core::{Transition, Workflow, WorkflowCtx, clock::Clock as _};
use jetway_engine::{
    Engine,
    backend::{Backend, StartRequest},
    memory::MemoryBackend,
};
use jetway_macros::{node, workflow};
use jetway_state::{
    Error, RunKey,
    codec::Encoding,
    run::{RunDeadline, WantedResult},
};
use jetway_testing::{TestClock, conformance::TestHost};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

node! { struct Doze {}; input = u64; output = u64; |_ctx, seconds| { Ok(Transition::NextAfter(Duration::from_secs(seconds), seconds)) } }
node! { struct Work {}; input = u64; output = u64; |_ctx, seconds| { Ok(Transition::Next(seconds)) } }
node! { struct Hang {}; input = u64; output = u64; |_ctx, _seconds| { std::future::pending().await } }

workflow! {
    struct Stay { doze: Doze, work: Work }
    name = "stay";
    start = doze;
    deadline = "10 s";
    edges { doze => [work]; work => []; }
}

workflow! { struct Stuck { hang: Hang } name = "stuck"; start = hang; deadline = 10 * SECOND; edges { hang => []; } }

fn stay() -> Stay {
    Stay { doze: Doze {}, work: Work {} }
}

fn backend() -> (TestClock, Arc<dyn Backend>) {
    let clock = TestClock::new();
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new().with_clock(Arc::new(clock.clone())));
    (clock, backend)
}

async fn at_work(backend: &Arc<dyn Backend>) -> TestHost {
    let mut host = TestHost::of(Engine::builder(Arc::clone(backend)).workflow(stay()).build().unwrap());
    host.work(4).await;
    host
}

async fn result(backend: &Arc<dyn Backend>, run: &RunKey) -> Value {
    let result = backend.done(run, WantedResult::Latest, DEADLINE);
    let result = timeout(DEADLINE, result).await.unwrap().unwrap().unwrap();
    serde_json::from_slice(&result).unwrap()
}

#[tokio::test]
async fn w52_a_deadline_comes_before_a_later_timer() {
    let (clock, backend) = backend();
    let host = at_work(&backend).await;
    let (start, run) = (clock.now(), host.start("stay", "r", &20_u64).await);
    waits_for(&clock, 10 * SECOND).await;
    clock.advance(8 * SECOND);
    // The deadline is an instant: a host that comes later does not make it longer.
    drop(host);
    let _host = at_work(&backend).await;
    waits_for(&clock, 2 * SECOND).await;
    clock.advance(2 * SECOND);
    let result = result(&backend, &run).await;
    assert_eq!((&result["status"], &result["error"]["kind"]), (&"failed".into(), &"deadline".into()));
    assert_eq!(result["finished_at"], start.after(10 * SECOND).to_string());
}

#[tokio::test]
async fn a_deadline_of_100_days_is_armed_in_pieces() {
    let (clock, backend) = backend();
    let host = at_work(&backend).await;
    let request = StartRequest {
        workflow: "stay".to_owned(),
        run_id: "r".to_owned(),
        input: "17280000".into(),
        encoding: Encoding::Json,
        deadline: RunDeadline::parse("100d"),
        ..StartRequest::default()
    };
    let run = host.engine.start(request).await.unwrap();
    // The pieces count back from the deadline.
    for days in [10, 30, 30, 30] {
        waits_for(&clock, days * DAY).await;
        assert_eq!(host.status(&run).await.run.status.as_str(), "running");
        clock.advance(days * DAY);
    }
    assert_eq!(result(&backend, &run).await["error"]["kind"], "deadline");
}

#[tokio::test]
async fn a_run_in_this_process_has_its_deadline_too() {
    let clock = TestClock::new();
    let ctx = WorkflowCtx::new(()).with_clock(Arc::new(clock.clone()));
    assert_eq!(stay().run(&ctx, 0).await, Ok(0));
    let deadline = clock.now_after(10 * SECOND);
    let run = tokio::spawn({
        let ctx = WorkflowCtx::new(()).with_clock(Arc::new(clock.clone()));
        async move { stay().run(&ctx, 20).await }
    });
    waits_for(&clock, 10 * SECOND).await;
    clock.advance(10 * SECOND);
    assert_eq!(run.await.unwrap(), Err(Error::Deadline(deadline)));
    // Also while a node is running.
    let run = tokio::spawn(async move { Stuck { hang: Hang {} }.run(&ctx, 1).await });
    waits_for(&clock, 10 * SECOND).await;
    clock.advance(10 * SECOND);
    assert_eq!(run.await.unwrap(), Err(Error::Deadline(deadline.after(10 * SECOND))));
}
