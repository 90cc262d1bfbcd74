//! One run in every way there is.

use super::{
    Stores,
    harness::{Harness, ItemOf, started},
    recording_callbacks::RecordingCallbacks,
    workflows::Ctx,
};
use jetway_core::{CheckpointStore as _, Workflow};
use jetway_state::Error;
use std::fmt::Debug;

/// How a run ended.
#[derive(Debug)]
pub(super) struct Ended<O> {
    pub(super) answer: Result<O, Error>,
    /// The context over the stores.
    pub(super) ctx: Ctx,
    /// The context within the process.
    pub(super) alone: Ctx,
}

/// Runs a fresh workflow from `make` in every way there is: by `run`, by `run_with_checkpoint`, and step by step over
/// the stores. The ways agree about the answer and, where no step failed, about the context.
pub(super) async fn every_way<S, W>(
    stores: &S,
    make: impl Fn() -> W,
    input: impl Fn() -> W::Input,
) -> Ended<W::Output>
where
    S: Stores,
    W: Workflow<Ctx, WorkItem: 'static, Output: PartialEq + Debug> + 'static,
{
    let within = started();
    let alone = make().run(&within, input()).await;

    let store = stores.checkpoints::<Ctx, ItemOf<W>>();
    let saved = make().run_with_checkpoint(&started(), input(), &store, "every-way").await;
    assert_eq!(saved, alone, "`run_with_checkpoint` and `run`");
    let checkpoint = store.load("every-way").await.unwrap().expect("there is a checkpoint").context;

    let harness = Harness::new(stores, &make());
    harness.start("every-way", input()).await;
    let answer = harness.drive("every-way", &RecordingCallbacks::new()).await;
    assert_eq!(answer, alone, "`step_distributed` and `run`");
    let ctx = harness.context("every-way").await;
    if answer.is_ok() {
        assert_eq!(
            checkpoint.trail().await,
            within.store.trail().await,
            "what `run_with_checkpoint` executed"
        );
    }
    // Within a process the context is the caller's own: what a failed node did to it stays.
    if harness.snapshot("every-way").await.handled_failures.is_empty() {
        assert_eq!(checkpoint.trail().await, ctx.trail().await, "what `step_distributed` executed");
    }
    assert_eq!(harness.pending("every-way").await, [], "a run that has ended leaves no items behind");
    Ended { answer, ctx, alone: within.store }
}
