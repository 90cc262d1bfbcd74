//! `run_with_checkpoint` and `resume`.

use super::{
    Stores,
    faulty::LostCheckpoints,
    harness::started,
    workflows::{Act, Ctx, Fan, FanWorkItem, Line, LineWorkItem, busy},
};
use jetway_core::{Checkpoint, CheckpointStore, Transition, Workflow};
use jetway_state::Error;
use std::time::Duration;

type Saved = Checkpoint<Ctx, LineWorkItem>;

/// A line whose node `two` fails, and one in which it does not.
fn broken_and_mended() -> (Line, Line) {
    (Line { two: Act::new("two", |_| busy("two")), ..Line::new() }, Line::new())
}

async fn saved<S: Stores>(stores: &S, id: &str) -> Saved {
    stores.checkpoints().load(id).await.unwrap().unwrap()
}

/// A checkpoint is there before the first step, so that a crash in it leaves something to go on from.
pub(super) async fn a_checkpoint_is_saved_before_the_first_step<S: Stores>(stores: S) {
    let line = Line { one: Act::new("one", |_| busy("one")), ..Line::new() };
    let store = stores.checkpoints::<Ctx, LineWorkItem>();
    assert!(store.load("r").await.unwrap().is_none());
    assert_eq!(line.run_with_checkpoint(&started(), 5, &store, "r").await, busy("one"));
    let checkpoint = saved(&stores.another().await, "r").await;
    assert!(matches!(checkpoint.queue.front(), Some(LineWorkItem::One(_, 5))), "{:?}", checkpoint.queue);
    assert_eq!((checkpoint.queue.len(), checkpoint.context.steps.get()), (1, 0));
}

/// The item that failed is in the checkpoint with the context that it began from; going on begins with it, and the
/// checkpoint wins over the input.
pub(super) async fn a_checkpoint_wins_over_the_input<S: Stores>(stores: S) {
    let (broken, mended) = broken_and_mended();
    let store = stores.checkpoints();
    assert_eq!(broken.run_with_checkpoint(&started(), 1, &store, "r").await, busy("two"));
    let checkpoint = saved(&stores, "r").await;
    assert!(matches!(checkpoint.queue.front(), Some(LineWorkItem::Two(_, 2))), "{:?}", checkpoint.queue);
    assert_eq!(checkpoint.context.trail().await, ["one 1"]);
    let store = stores.another().await.checkpoints();
    assert_eq!(mended.run_with_checkpoint(&started(), 70, &store, "r").await, Ok(4));
    assert_eq!((mended.one.inputs(), mended.two.inputs()), (vec![], vec![2]));
    assert_eq!(saved(&stores, "r").await.context.trail().await, ["one 1", "two 2", "three 3"]);
}

/// A run works on a copy of the context that it is given, so that one may be given to several runs.
pub(super) async fn one_context_may_be_given_to_several_runs<S: Stores>(stores: S) {
    let (line, store, ctx) = (Line::new(), stores.checkpoints(), started());
    ctx.store.log.append("before".to_owned());
    for (run, input) in [("a", 1), ("b", 5)] {
        assert_eq!(line.run_with_checkpoint(&ctx, input, &store, run).await, Ok(input + 3));
    }
    for (run, first) in [("a", "one 1"), ("b", "one 5")] {
        let kept = saved(&stores, run).await.context;
        let events = kept.log.iter();
        let events: Vec<_> = events.iter().map(|logged| logged.event.as_str()).take(2).collect();
        assert_eq!((kept.log.iter().len(), events), (4, vec!["before", first]));
        assert_eq!((kept.trail().await.len(), kept.steps.get()), (3, 3));
    }
    assert_eq!((ctx.store.log.iter().len(), ctx.store.steps.get()), (1, 0));
}

/// A run that has ended gives its output again and executes nothing; there is nothing to resume.
pub(super) async fn a_run_that_has_ended_is_not_executed_again<S: Stores>(stores: S) {
    let (line, store) = (Line::new(), stores.checkpoints());
    assert_eq!(line.run_with_checkpoint(&started(), 1, &store, "r").await, Ok(4));
    assert_eq!(saved(&stores, "r").await.queue, []);
    assert_eq!(line.run_with_checkpoint(&started(), 9, &store, "r").await, Ok(4));
    assert_eq!(line.resume(&store, "r").await, Err(Error::AlreadyCompleted));
    assert_eq!(line.three.inputs(), [3]);
}

/// Without a checkpoint there is nothing to resume.
pub(super) async fn a_run_that_was_not_started_is_not_resumed<S: Stores>(stores: S) {
    let (line, store) = (Line::new(), stores.checkpoints::<Ctx, LineWorkItem>());
    assert_eq!(line.resume(&store, "r").await, Err(Error::NotStarted));
    assert!(store.load("r").await.unwrap().is_none());
}

/// A terminal item that is left is work to be done: the run has not ended before it has.
pub(super) async fn a_run_is_resumed_at_its_last_item<S: Stores>(stores: S) {
    let line = Line { three: Act::new("three", |_| busy("three")), ..Line::new() };
    let store = stores.checkpoints();
    assert_eq!(line.run_with_checkpoint(&started(), 1, &store, "r").await, busy("three"));
    assert_eq!(saved(&stores, "r").await.queue.len(), 1);
    let mended = Line::new();
    assert_eq!(mended.resume(&store, "r").await, Ok(4));
    assert_eq!((mended.two.inputs(), mended.three.inputs()), (vec![], vec![3]));
    assert_eq!(mended.resume(&store, "r").await, Err(Error::AlreadyCompleted));
}

/// The token and the limit are those of the call: `run_with_checkpoint` has the caller's, `resume` none.
pub(super) async fn a_limit_is_that_of_the_call<S: Stores>(stores: S) {
    let slow = Act::doing("two", |input, _| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(Transition::Next(input))
    });
    let (line, store) = (Line { two: slow, ..Line::new() }, stores.checkpoints());
    let limit = Duration::from_millis(10);
    let mut ctx = started();
    ctx.set_timeout(limit);
    assert_eq!(line.run_with_checkpoint(&ctx, 1, &store, "r").await, Err(Error::Timeout(limit)));
    let ctx = started();
    ctx.cancel();
    assert_eq!(line.run_with_checkpoint(&ctx, 1, &store, "r").await, Err(Error::Cancelled));
    assert_eq!(line.resume(&store, "r").await, Ok(3));
}

/// A checkpoint with nothing but work items is a place to begin, with all of them.
pub(super) async fn a_checkpoint_made_by_hand_is_a_place_to_begin<S: Stores>(stores: S) {
    let (line, store) = (Line::new(), stores.checkpoints());
    let item = |id: &str, number| LineWorkItem::Two(id.to_owned(), number);
    store.save("r", &Saved::new(Ctx::default(), [item("a", 5), item("b", 7)].into())).await.unwrap();
    assert_eq!(line.resume(&store, "r").await, Ok(7));
    assert_eq!((line.two.inputs(), line.three.inputs()), (vec![5, 7], vec![6, 8]));
}

/// What was saved before the process was lost is not executed again, and every branch counts once.
pub(super) async fn a_lost_process_s_run_is_resumed_elsewhere<S: Stores>(stores: S) {
    let (fan, store) = (Fan::new(), stores.checkpoints::<Ctx, FanWorkItem>());
    let lost = LostCheckpoints::after(&store, 4);
    let error = fan.run_with_checkpoint(&started(), 6, &lost, "r").await.unwrap_err();
    assert!(error.to_string().contains("the process is lost"), "{error}");
    let store = stores.another().await.checkpoints::<Ctx, FanWorkItem>();
    let checkpoint = store.load("r").await.unwrap().unwrap();
    // The start, then the fan-out and two of its branches.
    assert_eq!((checkpoint.context.steps.get(), checkpoint.queue.len()), (3, 4));
    let elsewhere = Fan::new();
    assert_eq!(elsewhere.resume(&store, "r").await, Ok(0));
    assert_eq!((elsewhere.open.inputs(), elsewhere.branch.inputs()), (vec![], vec![2, 3, 4, 5]));
    assert_eq!(store.load("r").await.unwrap().unwrap().context.steps.get(), 7);
    assert!(matches!(fan.resume(&store, "r").await, Err(Error::AlreadyCompleted)));
}
