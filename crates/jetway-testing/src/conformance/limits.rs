//! Limits, and what goes beside the snapshot.

use super::{
    BackendUnderTest, TestHost,
    workflows::{Ends, FanInput, FanOutput, Probe, Trouble},
};
use jetway_engine::{Engine, PlainTracer, StepInfo, StepSpan, Tracer};
use jetway_state::{
    Seen,
    run::{RunError, Snapshot},
};
use serde_json::json;
use std::sync::{Arc, Mutex};

pub(super) async fn p9_a_wide_fan_out_keeps_the_snapshot_small(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let mut host = TestHost::idle(&tested, &probe);
    host.work(256).await;
    let input = FanInput { branches: 3000, bytes: 500, ..FanInput::default() };
    let run = host.start("fan", "r", &input).await;
    probe.arrived().await;
    let stored =
        tested.backend.load(&run, Seen::default()).await.expect("it can be read").expect("it is there");
    assert!(stored.bytes.len() < 64 * 1024, "the snapshot takes {} bytes", stored.bytes.len());
    probe.let_through(100_000);
    let output: FanOutput = host.output(&run).await;
    assert_eq!(output.positions, (0..3000).collect::<Vec<_>>());
    assert_eq!(output.counted, 3002);
}

pub(super) async fn p9_a_context_that_is_too_large_fails_its_run_alone(tested: BackendUnderTest) {
    let host = TestHost::at_work(&tested, &Probe::open()).await;
    let run = host.start("trouble", "large", &Ends::Large(5_000_000)).await;
    let result = host.result(&run).await;
    assert_eq!((&result["status"], &result["error"]["kind"]), (&json!("failed"), &json!("limit")));
    let message = result["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("snapshot"), "{message}");
    let run = host.start("trouble", "small", &Ends::Large(10)).await;
    assert_eq!(host.output::<String>(&run).await, "large");
}

/// Records how attempts end.
#[derive(Debug, Default)]
struct RecordingTracer(Mutex<Vec<String>>);

impl Tracer for RecordingTracer {
    fn step(&self, info: &StepInfo<'_>) -> StepSpan {
        PlainTracer.step(info)
    }

    fn step_failed(&self, _span: &StepSpan, error: &RunError) {
        self.0.lock().expect("no test panicked").push(error.kind.clone());
    }

    fn step_ended(&self, _span: &StepSpan, outcome: &'static str) {
        self.0.lock().expect("no test panicked").push(outcome.to_owned());
    }

    fn run_ended(&self, _snapshot: &Snapshot) {}
}

pub(super) async fn s1_a_span_tells_the_outcome_that_is_committed(tested: BackendUnderTest) {
    let tracer = Arc::new(RecordingTracer::default());
    let engine = Engine::builder(Arc::clone(&tested.backend)).workflow(Trouble::new());
    let host = TestHost::of(engine.tracer(Arc::clone(&tracer) as _).build().expect("the workflow is sound"));
    host.start("trouble", "large", &Ends::Large(5_000_000)).await;
    host.work_off(host.ticket("trouble").await).await;
    assert_eq!(*tracer.0.lock().expect("no test panicked"), ["limit", "failed"]);
}

pub(super) async fn p9_large_values_travel(tested: BackendUnderTest) {
    let host = TestHost::at_work(&tested, &Probe::open()).await;
    // Each value is larger than a message may be.
    let input = FanInput { branches: 3, bytes: 1_500_000, fail_every: Some(2) };
    let run = host.start("fan", "r", &input).await;
    let output: FanOutput = host.output(&run).await;
    assert_eq!(output.positions, [0, 1, 2]);
}
