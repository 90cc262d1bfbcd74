//! Nodes around nodes, and what feeds a workflow.

use super::{
    Stores,
    every_way::{Ended, every_way},
    harness::{Harness, started},
    recording_callbacks::RecordingCallbacks,
    workflows::{Act, Ctx, Line, failure},
};
use crate::{conformance::DEADLINE, wait_until};
use jetway_core::{
    BatchNode, CompositeNode, SplitNode, Transition, Workflow, distributed::WorkerPool, nodes::source,
};
use jetway_macros::workflow;
use jetway_state::Error;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

workflow! {
    /// Many inputs in one step.
    struct Batched { all: BatchNode<Ctx, Act> }
    name = "batched";
    context = Ctx;
    start = all;
    edges { all => []; }
}

/// 7 is two values, 8 none; 9 ends it all.
fn batched() -> Batched {
    let act = Act::doing("one", |input, _| async move {
        // The later ones are done first.
        tokio::time::sleep(Duration::from_millis(20 / (input + 1))).await;
        Ok(match input {
            7 => Transition::NextAll(vec![70, 71]),
            8 => Transition::Hold,
            9 => Transition::Abort(failure("nine")),
            _ => Transition::Next(input),
        })
    });
    Batched { all: BatchNode::new(act, 3) }
}

/// A batch is one step; its outputs are in the order of its inputs, many values of one flattened, held ones left out.
pub(super) async fn a_batch_is_one_step_in_the_order_of_its_inputs<S: Stores>(stores: S) {
    let Ended { answer, .. } = every_way(&stores, batched, || vec![0, 8, 7, 2, 1]).await;
    assert_eq!(answer, Ok(vec![0, 70, 71, 2, 1]));
    let harness = Harness::new(&stores, &batched());
    harness.start("r", vec![1; 5]).await;
    assert_eq!(harness.drive("r", &RecordingCallbacks::new()).await, Ok(vec![1; 5]));
    assert_eq!((harness.snapshot("r").await.steps, harness.context("r").await.steps.get()), (1, 5));
}

/// No more inputs are worked on at once than the batch says, and as many as that.
pub(super) async fn a_batch_works_on_so_many_at_once<S: Stores>(stores: S) {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&most);
    let act = Act::doing("one", move |input, _| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&counted));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(Transition::Next(input))
        }
    });
    let harness = Harness::new(&stores, &Batched { all: BatchNode::new(act, 3) });
    harness.start("r", (0..9).collect()).await;
    assert_eq!(harness.drive("r", &RecordingCallbacks::new()).await, Ok((0..9).collect()));
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

/// One failure fails the batch, and nothing of it is kept.
pub(super) async fn a_batch_fails_as_one<S: Stores>(stores: S) {
    let Ended { answer, ctx, .. } = every_way(&stores, batched, || vec![1, 9, 2]).await;
    assert_eq!((answer, ctx.steps.get()), (Err(failure("nine")), 0));
}

/// A batch that is cancelled ends at once, with the inputs that it works on: nothing of it is kept, and it can be made
/// again.
pub(super) async fn a_batch_is_cancelled_with_what_is_in_flight<S: Stores>(stores: S) {
    let in_flight = Arc::new(());
    let held = Arc::clone(&in_flight);
    let act = Act::doing("one", move |_input, _| {
        let held = Arc::clone(&held);
        async move {
            let _held_until_dropped = held;
            std::future::pending().await
        }
    });
    // One is here, one in the node.
    let now = || Arc::strong_count(&in_flight) - 2;
    let begun = async || wait_until("the batch is under way", DEADLINE, async || now() == 3).await;
    let (stuck, store) = (Batched { all: BatchNode::new(act, 3) }, stores.checkpoints());
    let ctx = started();
    let (ended, ()) = tokio::join!(stuck.run_with_checkpoint(&ctx, vec![1; 5], &store, "r"), async {
        begun().await;
        ctx.cancel();
    });
    assert_eq!((ended, now()), (Err(Error::Cancelled), 0));
    assert_eq!(batched().resume(&store, "r").await, Ok(vec![1; 5]));

    let harness = Harness::new(&stores, &stuck);
    harness.start("r", vec![1; 5]).await;
    let mut pool = WorkerPool::new(harness.worker(), 1);
    pool.start();
    begun().await;
    timeout(DEADLINE, pool.stop_within(Duration::from_millis(10))).await.unwrap();
    assert_eq!((now(), harness.snapshot("r").await.steps, harness.context("r").await.steps.get()), (0, 0, 0));
    let mended = Harness::new(&stores, &batched());
    assert_eq!(mended.drive("r", &RecordingCallbacks::new()).await, Ok(vec![1; 5]));
    assert_eq!(mended.context("r").await.steps.get(), 5);
}

type Splitter = SplitNode<u64, u64, fn(u64) -> Vec<u64>>;

workflow! {
    /// A function that splits.
    struct Splitting { split: Splitter, branch: Act }
    name = "splitting";
    context = Ctx;
    start = split;
    edges { split => [branch]; branch => []; }
}

/// A split is a fan-out of what its function gives.
pub(super) async fn a_split_is_a_fan_out<S: Stores>(stores: S) {
    let splitting = || {
        let split: fn(u64) -> Vec<u64> = |number| vec![number, number * 2];
        Splitting { split: SplitNode::new(split), branch: Act::adding("branch", 1) }
    };
    let Ended { answer, ctx, .. } = every_way(&stores, splitting, || 4).await;
    assert_eq!((answer, ctx.trail().await), (Ok(5), vec!["branch 4".to_owned(), "branch 8".to_owned()]));
}

workflow! {
    /// A workflow as a node of another.
    struct Outer { inner: CompositeNode<Ctx, Line>, last: Act }
    name = "outer";
    context = Ctx;
    start = inner;
    edges { inner => [last]; last => []; }
}

fn outer(line: Line) -> Outer {
    Outer { inner: CompositeNode::new(line, &started()), last: Act::adding("last", 10) }
}

/// A nested workflow is one step, on the context of that step.
pub(super) async fn a_nested_workflow_is_one_step<S: Stores>(stores: S) {
    let Ended { answer, ctx, .. } = every_way(&stores, || outer(Line::new()), || 1).await;
    assert_eq!((answer, ctx.trail().await.len()), (Ok(14), 4));
    let harness = Harness::new(&stores, &outer(Line::new()));
    harness.start("r", 1).await;
    let callbacks = RecordingCallbacks::new();
    assert_eq!(harness.drive("r", &callbacks).await, Ok(14));
    assert_eq!((harness.snapshot("r").await.steps, callbacks.lines().len()), (2, 4));
}

/// A nested workflow that fails leaves nothing of itself behind.
pub(super) async fn a_nested_workflow_fails_whole<S: Stores>(stores: S) {
    let failing = || outer(Line { three: Act::new("three", |_| Err(failure("three"))), ..Line::new() });
    let Ended { answer, ctx, .. } = every_way(&stores, failing, || 1).await;
    assert_eq!((answer, ctx.steps.get()), (Err(failure("three")), 0));
}

/// A nested workflow keeps the limit of the context that it was made with, and not its token: what cancels the step
/// cancels it.
pub(super) async fn a_nested_workflow_keeps_its_limit_and_not_its_token<S: Stores>(stores: S) {
    let limit = Duration::from_millis(50);
    let mut ctx = started();
    ctx.cancel();
    let cancelled = || Outer { inner: CompositeNode::new(Line::new(), &ctx), ..outer(Line::new()) };
    assert_eq!(every_way(&stores, cancelled, || 1).await.answer, Ok(14));
    ctx.set_timeout(limit);
    let endless = Line { two: Act::endless("two"), ..Line::new() };
    let limited = Outer { inner: CompositeNode::new(endless, &ctx), ..outer(Line::new()) };
    let harness = Harness::new(&stores, &limited);
    harness.start("limited", 1).await;
    assert_eq!(harness.drive("limited", &RecordingCallbacks::new()).await, Err(Error::Timeout(limit)));
    let (held, begun, _never) = Act::held("two");
    let (ctx, outer) = (started(), outer(Line { two: held, ..Line::new() }));
    let (ended, ()) = tokio::join!(outer.run(&ctx, 1), async {
        begun.notified().await;
        ctx.cancel();
    });
    assert_eq!(ended, Err(Error::Cancelled));
}

/// A source runs its workflow for one value after the other until the channel is closed; the first error ends it, and
/// what is left in the channel stays there. Each run starts one over the stores.
pub(super) async fn a_source_runs_one_after_the_other<S: Stores>(stores: S) {
    let (values, source) = source::<Ctx, u64>(10);
    for value in 1..=4 {
        values.send(value).await.unwrap();
    }
    drop(values);
    let starting = |fails: u64| {
        let harness = Harness::new(&stores, &Line::new());
        let one = Act::doing("one", move |value, _| {
            let harness = harness.clone();
            async move {
                if value == fails {
                    return Err(failure("refused"));
                }
                harness.start(&format!("r{value}"), value).await;
                Ok(Transition::Next(value))
            }
        });
        Line { one, ..Line::new() }
    };
    let ctx = started();
    assert_eq!(source.run(&starting(2), &ctx).await, Err(failure("refused")));
    assert_eq!(source.run(&starting(0), &ctx).await, Ok(()));
    let trail =
        ["one 1", "two 1", "three 2", "one 2", "one 3", "two 3", "three 4", "one 4", "two 4", "three 5"];
    assert_eq!(ctx.store.trail().await, trail);
    let harness = Harness::new(&stores, &Line::new());
    for (run, output) in [("r1", 4), ("r3", 6), ("r4", 7)] {
        assert_eq!(harness.drive(run, &RecordingCallbacks::new()).await, Ok(output));
    }
    assert_eq!(harness.pending("r2").await, []);
}

/// A timer is a task that feeds a source.
pub(super) async fn a_timer_feeds_a_source<S: Stores>(stores: S) {
    let (ticks, source) = source::<Ctx, u64>(1);
    let (line, ctx, store) = (Line::new(), started(), stores.checkpoints());
    let timer = async move {
        let mut interval = tokio::time::interval(Duration::from_millis(2));
        for tick in 1..=3 {
            interval.tick().await;
            ticks.send(tick).await.unwrap();
        }
    };
    let both = async { tokio::join!(source.run(&line, &ctx), timer) };
    let (ran, ()) = timeout(DEADLINE, both).await.unwrap();
    assert_eq!((ran, line.one.inputs()), (Ok(()), vec![1, 2, 3]));
    // Each tick was a run of its own: none of them is known to the stores.
    assert_eq!(line.resume(&store, "1").await, Err(Error::NotStarted));
}
