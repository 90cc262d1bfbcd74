//! Ids, answers and edges.

use super::{
    Stores,
    every_way::{Ended, every_way},
    harness::Harness,
    recording_callbacks::RecordingCallbacks,
    workflows::{Act, Caught, Ctx, Fan, Joined, Line, Sorted, Tree, failure},
};
use jetway_core::{Transition, WorkItem as _, distributed::ContextStore as _};
use jetway_state::ItemId;
use std::collections::BTreeSet;

/// The ids of a run's items follow from their parent, the edge and the position: apart from the incarnation they are the same
/// in every run, and no two items of a run have one.
pub(super) async fn the_ids_of_items_are_derived<S: Stores>(stores: S) {
    let (harness, callbacks) = (Harness::new(&stores, &Fan::new()), RecordingCallbacks::new());
    let mut of_runs = Vec::new();
    for run in ["r1", "r2"] {
        harness.start(run, 5).await;
        let mut ids: BTreeSet<_> = harness.pending(run).await.iter().map(|item| item.instance_id()).collect();
        harness.step(&callbacks).await.unwrap();
        ids.extend(harness.pending(run).await.iter().map(|item| item.instance_id()));
        assert_eq!(ids.len(), 6, "{ids:?}");
        let incarnation = harness.snapshot(run).await.incarnation;
        let own = |id: &String| ItemId::from_incarnation(id, &incarnation).expect("it names the incarnation");
        of_runs.push(ids.iter().map(own).collect::<BTreeSet<_>>());
        harness.drive(run, &callbacks).await.unwrap();
    }
    assert_eq!(of_runs[0], of_runs[1]);
}

/// Every value of a fan-out goes to every successor, in the order of the values and of the edges.
pub(super) async fn a_fan_out_goes_to_every_successor_in_order<S: Stores>(stores: S) {
    let tree = || Tree { root: Act::new("root", |_| Ok(Transition::NextAll(vec![1, 2]))), ..Tree::new() };
    let Ended { answer, ctx, .. } = every_way(&stores, tree, || 0).await;
    let trail = ["root 0", "left 1", "right 1", "left 2", "right 2", "leaf 2", "leaf 3", "leaf 3", "leaf 4"];
    assert_eq!((ctx.trail().await, answer), (trail.map(ToOwned::to_owned).to_vec(), Ok(12)));
}

/// The values of a terminal node's fan-out are outputs, all of them, and the first is the answer.
pub(super) async fn many_values_of_a_terminal_node_are_outputs<S: Stores>(stores: S) {
    let line =
        || Line { three: Act::new("three", |n| Ok(Transition::NextAll(vec![n, 7, 8]))), ..Line::new() };
    let Ended { answer, .. } = every_way(&stores, line, || 1).await;
    assert_eq!(answer, Ok(3));
    let record = stores.contexts::<Ctx>().snapshot("every-way").await.unwrap().unwrap().0;
    assert_eq!(record.outputs.len(), 3);
}

/// A failure with a fallback begets the fallback with the node's own input. Over stores the node leaves nothing behind;
/// within a process the context is the caller's own.
pub(super) async fn a_failure_takes_the_fallback_with_the_input<S: Stores>(stores: S) {
    let error = || Caught::of(Act::new("first", |_| Err(failure("no"))));
    let Ended { answer, ctx, alone } = every_way(&stores, error, || 5).await;
    assert_eq!((answer, ctx.trail().await), (Ok(105), vec!["fallback 5".to_owned()]));
    assert_eq!(alone.trail().await, ["first 5", "fallback 5"]);
}

/// An abort is caught like an error.
pub(super) async fn an_abort_takes_the_fallback<S: Stores>(stores: S) {
    let abort = || Caught::of(Act::new("first", |_| Ok(Transition::Abort(failure("no")))));
    assert_eq!(every_way(&stores, abort, || 6).await.answer, Ok(106));
}

/// A node that succeeds does not go to its fallback.
pub(super) async fn a_success_passes_the_fallback_by<S: Stores>(stores: S) {
    let Ended { answer, ctx, .. } = every_way(&stores, || Caught::of(Act::adding("first", 1)), || 5).await;
    assert_eq!((answer, ctx.trail().await), (Ok(7), vec!["first 5".to_owned(), "second 6".to_owned()]));
}

/// A value goes where its variant's arm says; arms are tried in order, and a circle may be gone round.
pub(super) async fn a_value_goes_where_its_arm_says<S: Stores>(stores: S) {
    let Ended { answer, ctx, .. } = every_way(&stores, Sorted::new, || 12).await;
    let trail = ["judge 12", "judge 11", "judge 10", "judge 9", "small 9"];
    assert_eq!((answer, ctx.trail().await), (Ok(9), trail.map(ToOwned::to_owned).to_vec()));
}

/// An arm with a guard is taken where the guard holds; one without successors ends the run with the payload.
pub(super) async fn an_arm_may_end_the_run<S: Stores>(stores: S) {
    let Ended { answer, ctx, .. } = every_way(&stores, Sorted::new, || 150).await;
    assert_eq!((answer, ctx.trail().await), (Ok(150), vec!["judge 150".to_owned()]));
}

/// Each value of a fan-out goes where its own arm says.
pub(super) async fn a_fan_out_may_go_different_ways<S: Stores>(stores: S) {
    let Ended { answer, ctx, .. } = every_way(&stores, Sorted::new, || 1000).await;
    // The output of the arm that ends the run is there before those of the nodes.
    assert_eq!(answer, Ok(500));
    assert_eq!(ctx.trail().await, ["judge 1000", "small 1", "big 50"]);
}

/// A failure of a node whose edges go by variant fails the run.
pub(super) async fn a_failure_has_no_arm<S: Stores>(stores: S) {
    assert_eq!(every_way(&stores, Sorted::new, || 0).await.answer, Err(failure("nothing to judge")));
}

/// A join by hand: append to the context, count, hold until the last.
pub(super) async fn a_join_by_hand_goes_on_once<S: Stores>(stores: S) {
    let Ended { answer, ctx, .. } = every_way(&stores, || Joined::new(5), || 5).await;
    assert_eq!(answer, Ok(10));
    assert_eq!(*ctx.collected.get().await, [0, 1, 2, 3, 4]);
}
