//! Cancellation and time limits.

use super::{
    Stores,
    harness::{Harness, retrying, started},
    workflows::{Act, Caught, Line},
};
use jetway_core::{
    CheckpointStore, Transition, Workflow,
    nodes::retry::{RetryError, RetryPolicy},
    step,
};
use jetway_state::{Error, run::Status};
use std::time::Duration;

/// A limit is for each node, not for the run.
pub(super) async fn a_limit_is_for_each_node<S: Stores>(stores: S) {
    let slow = |name| {
        Act::doing(name, |input, _| async move {
            tokio::time::sleep(Duration::from_millis(400)).await;
            Ok(Transition::Next(input))
        })
    };
    let line = Line { one: slow("one"), two: slow("two"), three: slow("three") };
    let mut ctx = started();
    ctx.set_timeout(Duration::from_secs(1));
    let store = stores.checkpoints();
    let (alone, saved) = tokio::join!(line.run(&ctx, 1), line.run_with_checkpoint(&ctx, 1, &store, "r"));
    assert_eq!((alone, saved), (Ok(1), Ok(1)));
    let limit = Duration::from_millis(20);
    ctx.set_timeout(limit);
    assert_eq!(line.run(&ctx, 1).await, Err(Error::Timeout(limit)));
    assert_eq!(line.run_with_checkpoint(&ctx, 1, &store, "other").await, Err(Error::Timeout(limit)));
}

/// With a cancelled token no node is executed, and what is saved can be resumed.
pub(super) async fn a_cancelled_run_executes_nothing<S: Stores>(stores: S) {
    let (line, ctx, store) = (Line::new(), started(), stores.checkpoints());
    ctx.cancel();
    assert_eq!(line.run(&ctx, 1).await, Err(Error::Cancelled));
    assert_eq!(line.run_with_checkpoint(&ctx, 1, &store, "r").await, Err(Error::Cancelled));
    assert_eq!(line.one.inputs(), [0_u64; 0]);
    assert_eq!(line.resume(&store, "r").await, Ok(4));
}

/// A cancellation reaches the node that runs, and the run can be resumed at it.
pub(super) async fn a_cancellation_reaches_the_node_that_runs<S: Stores>(stores: S) {
    let (held, begun, _never) = Act::held("two");
    let (line, ctx, store) = (Line { two: held, ..Line::new() }, started(), stores.checkpoints());
    let (ended, ()) = tokio::join!(line.run_with_checkpoint(&ctx, 1, &store, "r"), async {
        begun.notified().await;
        ctx.cancel();
    });
    assert_eq!(ended, Err(Error::Cancelled));
    let saved = store.load("r").await.unwrap().unwrap();
    assert_eq!((saved.queue.len(), saved.context.trail().await), (1, vec!["one 1".to_owned()]));
    let mended = Line::new();
    assert_eq!(mended.resume(&store, "r").await, Ok(4));
    assert_eq!(mended.one.inputs(), [0_u64; 0]);
}

/// A worker's limit is for each attempt at a node: one that takes longer has failed, is tried again as the policy says,
/// and is caught by a fallback after that.
pub(super) async fn a_worker_s_limit_is_for_each_attempt<S: Stores>(stores: S) {
    let limit = Duration::from_millis(50);
    let policy = RetryPolicy { retry_error: RetryError::Timeout, ..retrying(2) };
    let hangs_once = || {
        Act::doing("first", move |input, attempt| async move {
            assert!(step().is_some_and(|step| step.deadline().is_some()), "the node knows its deadline");
            if attempt == 1 { std::future::pending().await } else { Ok(Transition::Next(input)) }
        })
    };
    let harness = Harness::new(&stores, &Caught::of(hangs_once()));
    harness.start("overcome", 1).await;
    let worker = harness.builder().retry_policy(policy.clone()).step_timeout(limit).build().unwrap();
    assert_eq!(worker.run_once(0).await, Err(Error::Timeout(limit)));
    harness.work_off(&worker, "overcome").await;
    assert_eq!(harness.workflow.first.calls(), [(1, 1), (1, 2)]);
    assert_eq!((harness.workflow.second.inputs(), harness.workflow.fallback.inputs()), (vec![1], vec![]));

    let harness = Harness::new(&stores, &Caught::of(Act::endless("first")));
    harness.start("handled", 2).await;
    let mut worker = harness.worker_with(policy.clone());
    worker.set_step_timeout(limit);
    harness.work_off(&worker, "handled").await;
    assert_eq!((harness.workflow.first.inputs(), harness.workflow.fallback.inputs()), (vec![2, 2], vec![2]));

    let harness = Harness::new(&stores, &Line { one: Act::endless("one"), ..Line::new() });
    harness.start("failed", 3).await;
    let worker = harness.builder().retry_policy(retrying(2)).step_timeout(limit).build().unwrap();
    assert_eq!(worker.run_once(0).await, Err(Error::Timeout(limit)));
    let record = harness.snapshot("failed").await;
    assert_eq!((record.status, record.error.unwrap().kind.as_str()), (Status::Failed, "timeout"));
}

/// A limit that has passed takes the fallback like any failure; a cancellation is no failure.
pub(super) async fn a_limit_takes_the_fallback_and_a_cancellation_does_not<S: Stores>(stores: S) {
    let (caught, store) = (Caught::of(Act::endless("first")), stores.checkpoints());
    let mut ctx = started();
    ctx.set_timeout(Duration::from_millis(20));
    assert_eq!(caught.run(&ctx, 3).await, Ok(103));
    assert_eq!(caught.run_with_checkpoint(&ctx, 4, &store, "r").await, Ok(104));
    let ctx = started();
    ctx.cancel();
    assert_eq!(caught.run(&ctx, 5).await, Err(Error::Cancelled));
    assert_eq!(caught.run_with_checkpoint(&ctx, 6, &store, "other").await, Err(Error::Cancelled));
    assert_eq!(caught.fallback.inputs(), [3, 4]);
}
