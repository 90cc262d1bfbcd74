//! Runs from start to end.

use super::{
    BackendUnderTest, DEADLINE, TestHost,
    host::request,
    snapshots::key,
    workflows::{Ends, FanInput, FanOutput, Probe, Shared, Trouble},
};
use crate::wait_until;
use bytes::Bytes;
use jetway_engine::{
    Engine, StartError,
    backend::{Api, HostInfo, StartRequest},
};
use jetway_state::{
    Seen, codec,
    run::{Snapshot, StartTime, Status, control::Control},
    view::WaitKind,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

async fn snapshot(host: &TestHost, run: &jetway_state::RunKey) -> Snapshot {
    let stored =
        host.engine.backend().load(run, Seen::default()).await.expect("it can be read").expect("it is there");
    codec::open(&stored.bytes, "a snapshot").expect("it opens").0
}

pub(super) async fn a_chain_runs_to_its_end(tested: BackendUnderTest) {
    let probe = Probe::open();
    let host = TestHost::at_work(&tested, &probe).await;
    let runs = futures::future::join_all((0..20_u64).map(|number| {
        let host = &host;
        async move { (number, host.start("chain3", &format!("r{number}"), &number).await) }
    }))
    .await;
    for (number, run) in runs {
        assert_eq!(host.output::<u64>(&run).await, number + 3);
        assert_eq!(host.status(&run).await.run.steps, 3);
    }
    assert_eq!(probe.executed(), 60);
}

pub(super) async fn p1_an_acknowledged_start_is_a_run(tested: BackendUnderTest) {
    let host = TestHost::idle(&tested, &Probe::open());
    let run = host.start("chain3", "r", &5).await;
    let status = host.status(&run).await;
    assert_eq!((status.run.status, status.pending.len()), (Status::Running, 1));
    let live = tested.backend.items_with_tickets(&run, None).await.expect("it can be asked");
    assert_eq!(live.len(), 1, "the first item has no ticket");
}

pub(super) async fn p1_a_second_start_gives_the_same_run(tested: BackendUnderTest) {
    let probe = Probe::open();
    let host = TestHost::at_work(&tested, &probe).await;
    let first = host.start("chain3", "r", &5).await;
    assert_eq!(host.output::<u64>(&first).await, 8);
    let second = host.start("chain3", "r", &5).await;
    assert_eq!(second, first);
    assert_eq!(host.output::<u64>(&second).await, 8);
    assert_eq!(probe.executed(), 3);
}

pub(super) async fn p1_a_second_start_with_another_input_is_refused(tested: BackendUnderTest) {
    let host = TestHost::idle(&tested, &Probe::open());
    let run = host.start("chain3", "r", &5).await;
    let before = snapshot(&host, &run).await;
    let refused = host.engine.start(request("chain3", "r", &6)).await.expect_err("it is refused");
    assert!(matches!(&refused, StartError::OtherInput(of) if *of == run), "{refused}");
    assert_eq!(snapshot(&host, &run).await, before);
}

pub(super) async fn p2_a_failed_step_leaves_nothing_behind(tested: BackendUnderTest) {
    let host = TestHost::at_work(&tested, &Probe::open()).await;
    let run = host.start("trouble", "r", &Ends::Error).await;
    let result = host.result(&run).await;
    assert_eq!(result["status"], "failed");
    assert_eq!(result["error"]["node"], "end");
    assert_eq!(result["error"]["attempt"], 1);
    assert_eq!(result["error"]["message"], "Generic error: as told");
    let shared: Shared =
        codec::decode(&snapshot(&host, &run).await.context, "the context").expect("it decodes");
    assert_eq!(shared.steps.get(), 0, "the failed node's change of the context was kept");
}

pub(super) async fn p5_terminal_is_final(tested: BackendUnderTest) {
    let host = TestHost::at_work(&tested, &Probe::open()).await;
    let run = host.start("chain3", "r", &1).await;
    let result = host.result(&run).await;
    let before = snapshot(&host, &run).await;
    host.start("chain3", "r", &1).await;
    assert_eq!(host.result(&run).await, result);
    assert_eq!(snapshot(&host, &run).await, before);
    wait_until("the ticket is settled", DEADLINE, async || {
        tested.backend.items_with_tickets(&run, None).await.expect("it can be asked").is_empty()
    })
    .await;
}

pub(super) async fn p5_a_run_without_an_output_has_failed(tested: BackendUnderTest) {
    let host = TestHost::at_work(&tested, &Probe::open()).await;
    let run = host.start("trouble", "r", &Ends::Held).await;
    let result = host.result(&run).await;
    assert_eq!((&result["status"], &result["error"]["kind"]), (&json!("failed"), &json!("no_output")));
}

pub(super) async fn p6_counters_of_many_branches_are_exact(tested: BackendUnderTest) {
    // Two engines that know nothing of each other write to the same run at the same time.
    let (first, second) = (Probe::open(), Probe::open());
    let here = TestHost::at_work(&tested, &first).await;
    let mut there = TestHost::idle(&tested, &second);
    there.work(8).await;
    let input = FanInput { branches: 100, fail_every: Some(10), ..FanInput::default() };
    let run = here.start("fan", "r", &input).await;
    let output: FanOutput = here.output(&run).await;
    assert_eq!(output.positions, (0..100).collect::<Vec<_>>());
    // The scatter, every branch that did not fail, every rescue, and the join.
    assert_eq!(output.counted, 1 + 90 + 10 + 1);
}

pub(super) async fn p7_a_bad_start_is_refused_and_leaves_nothing_behind(tested: BackendUnderTest) {
    let host = TestHost::at_work(&tested, &Probe::open()).await;
    let garbage =
        StartRequest { input: Bytes::from_static(b"{not json"), ..request("chain3", "garbage", &1) };
    for (why, bad) in [
        ("bad-input", garbage),
        ("bad-input", request("chain3", "shape", &"text")),
        ("bad-run-id", request("chain3", "a b", &1)),
        ("unknown-workflow", request("nobody", "r", &1)),
        ("bad-input", request("trouble", "unreadable", &json!({ "Touchy": "read" }))),
        ("bad-input", request("trouble", "unwritable", &json!({ "Touchy": "written" }))),
    ] {
        let refused = host.engine.start(bad).await.expect_err("it is refused");
        assert_eq!(refused.why(), why, "{refused}");
        assert!(!refused.is_retryable());
    }
    tested.backend.publish_start(&request("chain3", "shape", &"text")).await.expect("it is published");
    tested.backend.publish_start(&request("chain3", "good", &1)).await.expect("it is published");
    assert_eq!(host.output::<u64>(&key("chain3", "good")).await, 4);
    let shape = tested.backend.load(&key("chain3", "shape"), Seen::default()).await.expect("it can be read");
    assert_eq!(shape, None, "a refused start left something behind");
}

pub(super) async fn a_panic_is_a_failed_attempt(tested: BackendUnderTest) {
    let host = TestHost::at_work(&tested, &Probe::open()).await;
    let run = host.start("trouble", "r", &Ends::Panic).await;
    let result = host.result(&run).await;
    assert_eq!((&result["status"], &result["error"]["kind"]), (&json!("failed"), &json!("panic")));
    let message = result["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("panicked as told"), "{message}");
    let run = host.start("trouble", "r2", &Ends::Well).await;
    assert_eq!(host.output::<String>(&run).await, "well");
}

pub(super) async fn a_fallback_goes_on_with_the_input(tested: BackendUnderTest) {
    let host = TestHost::at_work(&tested, &Probe::open()).await;
    let input = FanInput { branches: 4, fail_every: Some(1), ..FanInput::default() };
    let run = host.start("fan", "r", &input).await;
    let output: FanOutput = host.output(&run).await;
    assert_eq!(output.positions, [0, 1, 2, 3]);
    let status =
        wait_until("the record says what was caught", DEADLINE, async || Some(host.status(&run).await)).await;
    assert_eq!(status.handled_failures, 4);
    assert_eq!(status.latest_handled_failures[0].kind, "error");
}

pub(super) async fn p10_a_waiting_run_says_why(tested: BackendUnderTest) {
    let host = TestHost::idle(&tested, &Probe::open());
    let run = host.start("chain3", "r", &1).await;
    assert_eq!(host.status(&run).await.waiting_for, None);
    // Asked of a host that does not serve the workflow, while none that does is alive.
    let other =
        Engine::builder(Arc::clone(&tested.backend)).workflow(Trouble::new()).build().expect("it is sound");
    let status = Api::status(&other, "chain3", "r").await.expect("the run is there");
    let why = status.waiting_for.as_deref().unwrap_or_default();
    assert!(why.contains("chain3") && why.contains("host"), "{status:#?}");
    assert_eq!((status.pending[0].node.as_deref(), status.pending[0].items), (Some("one"), 1));
}

/// Nobody writes to the record meanwhile: the clock alone makes the difference.
pub(super) async fn p10_a_run_that_is_due_waits_for_a_host(tested: BackendUnderTest) {
    let host = TestHost::idle(&tested, &Probe::open());
    let due = tested.backend.clock().now().after(Duration::from_secs(2));
    let start = StartRequest { start_time: StartTime::At(due), ..request("chain3", "r", &1) };
    host.engine.start(start).await.expect("it is started");
    let other =
        Engine::builder(Arc::clone(&tested.backend)).workflow(Trouble::new()).build().expect("it is sound");
    let status = async || Api::status(&other, "chain3", "r").await.expect("the run is there");
    let before = status().await;
    assert_eq!(
        (before.waits[0].kind, before.waits[0].until.clone()),
        (WaitKind::Start, Some(due.to_string()))
    );
    assert_eq!(before.waiting_for, Some(format!("the time of its start, {due}")));
    let after = wait_until("it is due", DEADLINE, async || {
        let status = status().await;
        (status.waits[0].kind != WaitKind::Start).then_some(status)
    })
    .await;
    assert_eq!(after.updated_at, before.updated_at);
    let wait = &after.waits[0];
    assert_eq!((wait.kind, wait.due_since.clone()), (WaitKind::NoHost, Some(due.to_string())));
    let why = format!("due since {due}, for node \"one\"; no live host serves the workflow \"chain3\"");
    assert_eq!(after.waiting_for, Some(why));
}

pub(super) async fn p10_a_wait_has_a_kind_and_what_ends_it(tested: BackendUnderTest) {
    let host = TestHost::idle(&tested, &Probe::open());
    let run = host.start("chain3", "r", &1).await;
    let kinds = async |engine: &Engine| {
        let status = Api::status(engine, "chain3", "r").await.expect("the run is there");
        let waits = status.waits.into_iter();
        waits.map(|wait| (wait.kind, wait.node, wait.items, wait.moved_by)).collect::<Vec<_>>()
    };
    let one = |kind, moved_by: &str| vec![(kind, Some("one".to_owned()), 1, moved_by.to_owned())];
    assert_eq!(kinds(&host.engine).await, one(WaitKind::Worker, "a worker"));
    let other =
        Engine::builder(Arc::clone(&tested.backend)).workflow(Trouble::new()).build().expect("it is sound");
    assert_eq!(kinds(&other).await, one(WaitKind::NoHost, "a host that serves the workflow"));
    let workflows = vec![(run.workflow.clone(), "0".repeat(16))];
    let (started_at, version) = (tested.backend.clock().now().to_string(), "0".to_owned());
    let full =
        HostInfo { host: "busy".to_owned(), workflows, slots: 1, started_at, version, no_room_at: None };
    tested.backend.announce(&full).await.expect("it is announced");
    // It takes no ticket, although there is one: it has no free slot.
    let slots = Arc::new(Semaphore::new(0));
    let _tickets = tested.backend.tickets(&run.workflow, slots).await.expect("it listens");
    let waits = kinds(&other).await;
    assert_eq!(waits, one(WaitKind::HostFull, "the end of another step on a host, or a further host"));
    let control = async |control| {
        Api::control(&other, control, "chain3", "r").await.expect("it is possible");
    };
    control(Control::Pause).await;
    let paused = (WaitKind::Paused, None, 1, "a resume of the run".to_owned());
    assert_eq!(kinds(&other).await, [paused]);
    control(Control::Cancel).await;
    assert_eq!(kinds(&other).await, []);
}
