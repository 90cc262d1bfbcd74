//! Trying again within a step, and policies.

use super::{
    Stores,
    every_way::{Ended, every_way},
    harness::{Harness, retrying, started},
    recording_callbacks::RecordingCallbacks,
    workflows::{Act, Caught, Ctx, busy, failure},
};
use jetway_core::{
    RetryNode, Transition, Workflow as _,
    distributed::{RunMetrics, WorkItemStateStore as _, WorkItemStatus},
    nodes::retry::{BackoffStrategy, RetryError, RetryPolicy, with_retry},
};
use jetway_macros::workflow;
use jetway_state::Error;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

workflow! {
    /// A node that is tried again.
    struct Again { again: RetryNode<Act> }
    name = "again";
    context = Ctx;
    start = again;
    edges { again => []; }
}

workflow! {
    /// The same by attribute, with a fallback.
    struct Marked { #[retry = backoff] first: Act, backoff: RetryPolicy, fallback: Act }
    name = "marked";
    context = Ctx;
    start = first;
    edges { first => []; first on_failure => {[fallback]}; fallback => []; }
}

/// Fails so many times in all.
fn failing(times: u32) -> Act {
    let calls = Arc::new(AtomicU32::new(0));
    Act::new("again", move |input| {
        if calls.fetch_add(1, Ordering::SeqCst) < times { busy("again") } else { Ok(Transition::Next(input)) }
    })
}

/// A node is tried again with the same input until it succeeds, and all that is one step.
pub(super) async fn a_node_is_tried_again_within_its_step<S: Stores>(stores: S) {
    let harness = Harness::new(&stores, &Again { again: with_retry(failing(2), retrying(3)) });
    harness.start("r", 7).await;
    let callbacks = RecordingCallbacks::new();
    assert_eq!(harness.drive("r", &callbacks).await, Ok(7));
    assert_eq!(harness.workflow.again.inner.calls(), [(7, 1); 3]);
    assert_eq!((harness.snapshot("r").await.steps, callbacks.lines().len()), (1, 2));
    assert_eq!(
        every_way(&stores, || Again { again: with_retry(failing(2), retrying(3)) }, || 7).await.answer,
        Ok(7)
    );
}

/// When the policy says that it is enough, the last error is the answer.
pub(super) async fn a_node_that_gives_up_has_failed<S: Stores>(stores: S) {
    let giving_up = || Again { again: with_retry(failing(9), retrying(2)) };
    assert_eq!(every_way(&stores, giving_up, || 7).await.answer, busy("again"));
}

/// An abort is the node's own last word.
pub(super) async fn an_abort_is_not_tried_again<S: Stores>(stores: S) {
    let act = Act::new("again", |_| Ok(Transition::Abort(failure("stop"))));
    let harness = Harness::new(&stores, &Again { again: with_retry(act, retrying(5)) });
    harness.start("r", 7).await;
    assert_eq!(harness.drive("r", &RecordingCallbacks::new()).await, Err(failure("stop")));
    assert_eq!(harness.workflow.again.inner.calls().len(), 1);
}

/// The attribute does what the node around the node does, and the fallback comes after the last attempt.
pub(super) async fn a_fallback_comes_after_the_last_attempt<S: Stores>(stores: S) {
    let marked = || Marked { first: failing(9), backoff: retrying(3), fallback: Act::adding("fallback", 1) };
    let Ended { answer, ctx, alone } = every_way(&stores, marked, || 4).await;
    assert_eq!((answer, ctx.trail().await), (Ok(5), vec!["fallback 4".to_owned()]));
    assert_eq!(alone.trail().await, ["again 4", "again 4", "again 4", "fallback 4"]);
}

/// A failure that a fallback is to catch is one like any other: a worker records it, tries the node again as its policy
/// says, and takes the fallback after the last attempt. Without a policy the fallback comes at once.
pub(super) async fn a_worker_takes_the_fallback_after_its_last_attempt<S: Stores>(stores: S) {
    let harness = Harness::new(&stores, &Caught::of(Act::failing("first", 9)));
    let run = harness.orchestrator().start_run(&started(), 4).await.unwrap();
    let item = harness.pending(&run).await.remove(0);
    let worker = harness.worker();
    assert_eq!(worker.run_once(0).await, busy("first"));
    assert_eq!(harness.pending(&run).await, std::slice::from_ref(&item));
    harness.work_off(&worker, &run).await;
    assert_eq!(harness.workflow.first.calls(), [(4, 1), (4, 2), (4, 3)]);
    assert_eq!((harness.workflow.second.inputs(), harness.workflow.fallback.inputs()), (vec![], vec![4]));
    let errors = harness.orchestrator().errors(&run).await.unwrap();
    let attempts: Vec<_> = errors.iter().map(|error| (error.work_item.as_str(), error.attempt)).collect();
    assert_eq!(attempts, [("First(4)", 1), ("First(4)", 2), ("First(4)", 3)]);
    let metrics = RunMetrics { total_work_items: 2, completed: 1, failed: 1, retries: 2 };
    assert_eq!(harness.orchestrator().metrics(&run).await, Ok(metrics));
    let status = stores.items().get_status(&run, &item).await.unwrap();
    assert_eq!(status, WorkItemStatus::PermanentlyFailed);
    // One that is overcome takes no fallback.
    let harness = Harness::new(&stores, &Caught::of(Act::failing("first", 1)));
    let run = harness.orchestrator().start_run(&started(), 4).await.unwrap();
    harness.work_off(&harness.worker(), &run).await;
    assert_eq!((harness.workflow.second.inputs(), harness.workflow.fallback.inputs()), (vec![4], vec![]));
    // Nobody who steps by hand asks for another attempt.
    let harness = Harness::new(&stores, &Caught::of(Act::failing("first", 1)));
    harness.start("by-hand", 4).await;
    assert_eq!(harness.drive("by-hand", &RecordingCallbacks::new()).await, Ok(104));
    assert_eq!(harness.workflow.first.calls(), [(4, 1)]);
}

/// The retries of a node and those of a worker know nothing of each other: they multiply.
pub(super) async fn retries_of_nodes_and_of_workers_multiply<S: Stores>(stores: S) {
    let harness = Harness::new(&stores, &Again { again: with_retry(failing(9), retrying(3)) });
    harness.start("r", 7).await;
    harness.work_off(&harness.worker_with(retrying(2)), "r").await;
    assert_eq!(harness.workflow.again.inner.calls(), [(7, 1), (7, 1), (7, 1), (7, 2), (7, 2), (7, 2)]);
}

/// The limit of the context is around all attempts: no policy sees it.
pub(super) async fn a_limit_is_around_all_attempts<S: Stores>(stores: S) {
    let again = || {
        let policy = RetryPolicy { retry_error: RetryError::All, ..retrying(5) };
        Again { again: with_retry(Act::endless("again"), policy) }
    };
    let limit = Duration::from_millis(50);
    let mut ctx = started();
    ctx.set_timeout(limit);
    let (alone, saved) = (again(), again());
    assert_eq!(alone.run(&ctx, 7).await, Err(Error::Timeout(limit)));
    let store = stores.checkpoints();
    assert_eq!(saved.run_with_checkpoint(&ctx, 7, &store, "r").await, Err(Error::Timeout(limit)));
    assert_eq!((alone.again.inner.inputs().len(), saved.again.inner.inputs().len()), (1, 1));
}

/// Pauses grow with the attempts up to their cap, and chance makes them longer within it.
pub(super) async fn pauses_grow_up_to_their_cap<S: Stores>(stores: S) {
    let ms = Duration::from_millis;
    let pauses = |strategy| {
        let policy = RetryPolicy::new(9, ms(10), ms(50), strategy, RetryError::All);
        [1, 2, 3, 4, usize::MAX].map(|attempt| policy.backoff_duration(attempt).as_millis())
    };
    assert_eq!(pauses(BackoffStrategy::Linear), [10, 20, 30, 40, 50]);
    assert_eq!(pauses(BackoffStrategy::Exponential), [10, 20, 40, 50, 50]);
    let policy =
        RetryPolicy::new(9, ms(10), ms(50), BackoffStrategy::Linear, RetryError::All).with_jitter(ms(5));
    let by_chance: Vec<_> = (0..200).map(|_| policy.backoff_duration(2)).collect();
    assert!(by_chance.iter().all(|pause| (ms(20)..=ms(25)).contains(pause)), "{by_chance:?}");
    assert!(by_chance.iter().min() < by_chance.iter().max(), "{by_chance:?}");
    assert_eq!(policy.backoff_duration(9), ms(50));
    // A worker keeps them: before its time the item is in the queue and cannot be taken.
    let harness = Harness::new(&stores, &Again { again: with_retry(failing(9), retrying(1)) });
    harness.start("r", 1).await;
    let hour = Duration::from_secs(3600);
    let worker =
        harness.worker_with(RetryPolicy::new(2, hour, hour, BackoffStrategy::Linear, RetryError::All));
    assert!(worker.run_once(0).await.is_err());
    assert_eq!(worker.run_once(0).await, Ok(None));
    assert_eq!((harness.workflow.again.inner.inputs().len(), harness.pending("r").await.len()), (1, 1));
}

/// A policy covers the errors of its class, and has an end.
pub(super) async fn a_policy_covers_its_class_of_errors<S: Stores>(stores: S) {
    let errors = [failure("busy"), Error::Cancelled, Error::Timeout(Duration::ZERO)];
    for (class, covered) in [
        (RetryError::All, [true, true, true]),
        (RetryError::Generic, [true, false, false]),
        (RetryError::Cancelled, [false, true, false]),
        (RetryError::Timeout, [false, false, true]),
    ] {
        let policy = RetryPolicy { retry_error: class, ..retrying(2) };
        assert_eq!(errors.each_ref().map(|error| policy.should_retry(error, 1)), covered, "{class:?}");
        assert!(errors.iter().all(|error| !policy.should_retry(error, 2)), "{class:?}");
        // A worker asks the same.
        let run = format!("{class:?}");
        let harness = Harness::new(&stores, &Again { again: with_retry(failing(9), retrying(1)) });
        harness.start(&run, 1).await;
        harness.work_off(&harness.worker_with(policy), &run).await;
        assert_eq!(harness.workflow.again.inner.inputs().len(), if covered[0] { 2 } else { 1 }, "{class:?}");
    }
}
