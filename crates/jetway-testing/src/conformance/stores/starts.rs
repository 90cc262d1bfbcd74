//! `start_distributed`.

use super::{
    Stores,
    harness::{Harness, started},
    recording_callbacks::RecordingCallbacks,
    workflows::{Act, Ctx, Line, LineWorkItem},
};
use jetway_core::{Fixed, Transition, WorkQueue as _, Workflow, WorkflowCtx, distributed::ContextStore as _};
use jetway_state::run::Status;
use std::time::Duration;

/// A start makes the context and the first item exist, and executes nothing.
pub(super) async fn a_start_executes_nothing<S: Stores>(stores: S) {
    let harness = Harness::new(&stores, &Line::new());
    assert!(harness.contexts().get("r").await.unwrap().is_none());
    let ctx = WorkflowCtx::new(Ctx { limit: Fixed::new(8), ..Ctx::default() });
    harness.workflow.start_distributed(&ctx, 5, &harness.contexts(), &harness.queue(), "r").await.unwrap();
    let elsewhere = harness.elsewhere().await;
    assert_eq!(*elsewhere.context("r").await.limit, 8);
    let pending = elsewhere.pending("r").await;
    assert!(matches!(pending[..], [LineWorkItem::One(_, 5)]), "{pending:?}");
    let record = elsewhere.snapshot("r").await;
    assert_eq!((record.status, record.steps), (Status::Running, 0));
    assert_eq!(harness.workflow.one.inputs(), [0_u64; 0]);
}

/// A second start with the same input changes nothing, and one with another input is refused.
pub(super) async fn a_second_start_is_the_same_run<S: Stores>(stores: S) {
    let harness = Harness::new(&stores, &Line::new());
    harness.start("r", 1).await;
    let elsewhere = harness.elsewhere().await;
    elsewhere.start("r", 1).await;
    assert_eq!(harness.pending("r").await.len(), 1);
    let refused =
        harness.workflow.start_distributed(&started(), 2, &harness.contexts(), &harness.queue(), "r").await;
    assert!(refused.unwrap_err().to_string().contains("another input"));
    assert_eq!(harness.drive("r", &RecordingCallbacks::new()).await, Ok(4));
    // Also after the end: nothing comes into the queue again.
    elsewhere.start("r", 1).await;
    assert_eq!(harness.pending("r").await, []);
    assert_eq!(harness.workflow.one.inputs(), [1]);
}

/// A start that was lost between the record and the queue is made good by the same start.
pub(super) async fn a_start_that_was_lost_half_way_is_made_good<S: Stores>(stores: S) {
    let harness = Harness::new(&stores, &Line::new());
    harness.start("r", 1).await;
    harness.queue().purge_run("r").await.unwrap();
    assert_eq!(harness.step(&RecordingCallbacks::new()).await.unwrap(), None);
    harness.start("r", 1).await;
    assert_eq!(harness.drive("r", &RecordingCallbacks::new()).await, Ok(4));
}

/// The token and the limit of the starter's context are not the run's.
pub(super) async fn a_start_keeps_no_token_and_no_limit<S: Stores>(stores: S) {
    let slow = Act::doing("one", |input, _| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(Transition::Next(input))
    });
    let harness = Harness::new(&stores, &Line { one: slow, ..Line::new() });
    let mut ctx = started();
    ctx.set_timeout(Duration::from_millis(1));
    ctx.cancel();
    harness.workflow.start_distributed(&ctx, 1, &harness.contexts(), &harness.queue(), "r").await.unwrap();
    assert_eq!(harness.drive("r", &RecordingCallbacks::new()).await, Ok(3));
}
