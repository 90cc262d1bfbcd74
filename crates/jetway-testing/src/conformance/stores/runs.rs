//! Running to the end: in one process, with checkpoints, and step by step.

use super::{
    Stores,
    every_way::{Ended, every_way},
    workflows::{Act, Fan, Line, Tree, failure},
};
use jetway_core::Transition;
use jetway_state::Error;

/// Items run one after the other, in the order in which they were begotten, and each successor has its own copy.
pub(super) async fn items_run_in_the_order_they_were_begotten<S: Stores>(stores: S) {
    let Ended { answer, ctx, .. } = every_way(&stores, Tree::new, || 1).await;
    assert_eq!(ctx.trail().await, ["root 1", "left 1", "right 1", "leaf 2", "leaf 3"]);
    assert_eq!(answer, Ok(12));
}

/// The first output is the answer, and the other branches have run too.
pub(super) async fn the_first_output_is_the_answer_and_no_branch_is_dropped<S: Stores>(stores: S) {
    let Ended { answer, ctx, .. } = every_way(&stores, || Fan::of(Act::adding("branch", 70)), || 4).await;
    assert_eq!((answer, ctx.steps.get()), (Ok(70), 5));
}

/// Work that ends without an output is an error and no panic.
pub(super) async fn a_run_without_an_output_is_an_error<S: Stores>(stores: S) {
    let held = || Fan::of(Act::new("branch", |_| Ok(Transition::Hold)));
    let Ended { answer, ctx, .. } = every_way(&stores, held, || 2).await;
    assert_eq!((answer, ctx.steps.get()), (Err(Error::NoOutput), 3));
}

/// A fan-out of nothing begets nothing.
pub(super) async fn a_fan_out_of_nothing_is_a_run_without_an_output<S: Stores>(stores: S) {
    let Ended { answer, ctx, .. } = every_way(&stores, Fan::new, || 0).await;
    assert_eq!((answer, ctx.trail().await.len()), (Err(Error::NoOutput), 1));
}

/// A failure that nothing catches ends the run with the node's own error, be it returned or answered.
pub(super) async fn a_failure_is_the_answer<S: Stores>(stores: S) {
    let failing = || Line { two: Act::new("two", |_| Err(failure("no"))), ..Line::new() };
    let Ended { answer, ctx, .. } = every_way(&stores, failing, || 1).await;
    assert_eq!((answer, ctx.trail().await), (Err(failure("no")), vec!["one 1".to_owned()]));
}

/// An abort is a failure like an error.
pub(super) async fn an_abort_is_a_failure<S: Stores>(stores: S) {
    let aborting =
        || Line { two: Act::new("two", |_| Ok(Transition::Abort(failure("stop")))), ..Line::new() };
    let Ended { answer, ctx, .. } = every_way(&stores, aborting, || 1).await;
    assert_eq!((answer, ctx.steps.get()), (Err(failure("stop")), 1));
}
