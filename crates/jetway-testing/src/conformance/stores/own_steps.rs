//! What a step returns and tells is its own, whatever the run has.

use super::{
    Stores,
    harness::{Harness, started},
    recording_callbacks::RecordingCallbacks,
    workflows::{Act, Fan, Joined, Split, busy},
};
use crate::conformance::DEADLINE;
use jetway_core::{Transition, distributed::RunStatus};
use jetway_state::{Error, run::Status};
use std::time::Duration;
use tokio::time::timeout;

/// Two workers that each step until they see a terminal output both see one, and not the same.
pub(super) async fn s1_two_workers_each_see_a_terminal_output<S: Stores>(stores: S) {
    let (harness, callbacks) = (Harness::new(&stores, &Split::new()), RecordingCallbacks::new());
    harness.start("r", 1).await;
    let (one, two) = (harness.elsewhere().await, harness.elsewhere().await);
    let until_output = async |harness: &Harness<S, Split>| loop {
        if let Some((run, output)) = harness.step(&callbacks).await.unwrap() {
            assert_eq!(run, "r");
            return output;
        }
        tokio::task::yield_now().await;
    };
    let both = async { tokio::join!(until_output(&one), until_output(&two)) };
    let (one, two) = timeout(DEADLINE, both).await.expect("both workers see an output");
    assert_eq!((one.min(two), one.max(two)), (11, 101));
    let lines = callbacks.lines();
    for told in ["A(1) outputs 11", "B(1) outputs 101"] {
        assert!(lines.iter().any(|line| line == told), "{lines:?}");
    }
}

/// The same of `DistributedWorker`.
pub(super) async fn s1_run_once_returns_the_output_of_its_item<S: Stores>(stores: S) {
    let harness = Harness::new(&stores, &Split::new());
    let (orchestrator, worker) = (harness.orchestrator(), harness.worker());
    let run = orchestrator.start_run(&started(), 1).await.unwrap();
    let own = |output| Ok(Some((run.clone(), output)));
    for expected in [Ok(None), Ok(None), own(11)] {
        assert_eq!(worker.run_once(0).await, expected);
    }
    // The run goes on, and its list does not say otherwise.
    let listed = orchestrator.list_runs(None).await.unwrap();
    assert_eq!((listed[0].status, &listed[0].output), (RunStatus::Running, &None));
    assert_eq!(worker.run_once(1).await, own(101));
    let end = orchestrator.wait_for_completion(&run, Duration::from_secs(1)).await.unwrap();
    assert_eq!((end.status, end.output), (RunStatus::Completed, Some(11.into())));
}

/// A step that ends the run without an output of its own returns none, and is told as what it is.
pub(super) async fn s1_the_last_step_returns_no_output_of_another<S: Stores>(stores: S) {
    let last_holds = Act::new("branch", |n| Ok(if n == 1 { Transition::Hold } else { Transition::Next(n) }));
    let (fan, callbacks) = (Harness::new(&stores, &Fan::of(last_holds)), RecordingCallbacks::new());
    fan.start("r", 2).await;
    let mut returned = Vec::new();
    for _ in 0..3 {
        returned.push(fan.step(&callbacks).await.unwrap().map(|(_run, output)| output));
    }
    assert_eq!(returned, [None, Some(0), None]);
    assert_eq!(fan.snapshot("r").await.status, Status::Completed);
    let told: Vec<_> = callbacks.lines().into_iter().filter(|line| !line.ends_with("starts")).collect();
    assert_eq!(told, ["Open(2) is done", "Branch(0) outputs 0", "Branch(1) is done"]);
}

/// A run that ends without an output has failed, and the step that succeeded last has not.
pub(super) async fn s1_a_run_without_an_output_is_no_failed_step<S: Stores>(stores: S) {
    let (joined, callbacks) = (Harness::new(&stores, &Joined::new(3)), RecordingCallbacks::new());
    joined.start("r", 2).await;
    for _ in 0..3 {
        assert_eq!(joined.step(&callbacks).await.unwrap(), None);
    }
    assert_eq!(joined.snapshot("r").await.status, Status::Failed);
    assert_eq!(joined.drive("r", &callbacks).await, Err(Error::NoOutput));
    assert!(!callbacks.lines().iter().any(|line| line.contains("failed")), "{:?}", callbacks.lines());
}

/// The failure of one branch is no failure of a step of another, which is thrown away.
pub(super) async fn s1_a_step_does_not_fail_with_another_s_error<S: Stores>(stores: S) {
    let (held, begun, go_on) = Act::held("a");
    let split = Split { a: held, b: Act::new("b", |_| busy("b")), ..Split::new() };
    let (harness, callbacks) = (Harness::new(&stores, &split), RecordingCallbacks::new());
    harness.start("r", 1).await;
    for _ in 0..2 {
        harness.step(&callbacks).await.unwrap();
    }
    let (other, told) = (harness.elsewhere().await, callbacks.clone());
    let under_way = tokio::spawn(async move { other.step(&told).await });
    begun.notified().await;
    let failed = harness.step(&callbacks).await.unwrap_err();
    assert_eq!(failed.error, busy::<()>("b").unwrap_err());
    go_on.notify_one();
    assert_eq!(under_way.await.unwrap().unwrap(), None);
    let of_a: Vec<_> = callbacks.lines().into_iter().filter(|line| line.starts_with("A(")).collect();
    assert_eq!(of_a, ["A(1) starts"]);
}
