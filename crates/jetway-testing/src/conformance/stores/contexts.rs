//! Contexts, records, and merging: nothing is lost, and nothing counts twice.

use super::{
    Stores,
    every_way::every_way,
    harness::Harness,
    recording_callbacks::RecordingCallbacks,
    workflows::{Ctx, Fan, Joined, Line},
};
use crate::{conformance::DEADLINE, wait_until};
use futures::future::{join_all, try_join_all};
use jetway_core::{Counter, Fixed, Workflow as _, WorkflowCtx, distributed::ContextStore};
use jetway_state::{
    CommitId, Incarnation, RunId, RunKey, WorkflowName, codec,
    run::{Begin, RunInput, Snapshot, Trace, begin},
};

/// A number that adds up.
type Number = Counter;

fn record(run_id: &str, number: i64) -> Snapshot {
    let context = codec::encode(&Number::new(number), "the context").unwrap();
    let input = RunInput { node: "charge".to_owned(), payload: b"x".as_slice().into(), context };
    let key = RunKey::new(WorkflowName::new("pay").unwrap(), RunId::new(run_id).unwrap());
    let (commit, at, trace) = (CommitId::default(), jetway_core::clock::now(), Trace::default());
    begin(Begin { key, incarnation: Incarnation::default(), commit, at, trace, input, due: None }).0
}

async fn number(store: &impl ContextStore<Number>, run_id: &str) -> Option<i64> {
    store.get(run_id).await.unwrap().map(|number| number.get())
}

/// A context is replaced or merged into what is kept, and kept for its run alone.
pub(super) async fn contexts_are_set_and_merged<S: Stores>(stores: S) {
    let (store, other) = (stores.contexts::<Number>(), stores.another().await.contexts::<Number>());
    assert_eq!(number(&store, "r1").await, None);
    store.merge("r1", Counter::new(2)).await.unwrap();
    other.merge("r1", Counter::new(3)).await.unwrap();
    assert_eq!(number(&store, "r1").await, Some(5));
    other.set("r1", Counter::new(1)).await.unwrap();
    assert_eq!((number(&store, "r1").await, number(&store, "r2").await), (Some(1), None));
    assert!(store.snapshot("r1").await.unwrap().is_none());
}

/// Every field is merged in its own way: counters add, logs are united by their events, fixed values stay.
pub(super) async fn every_field_is_merged_in_its_own_way<S: Stores>(stores: S) {
    let store = stores.contexts::<Ctx>();
    let kept = Ctx { limit: Fixed::new(1), ..Ctx::default() };
    kept.steps.add(2);
    kept.log.append("both".to_owned());
    store.set("r", kept.clone()).await.unwrap();
    let mine = store.get("r").await.unwrap().unwrap();
    mine.log.append("mine".to_owned());
    let theirs =
        Ctx { steps: Counter::new(5), limit: Fixed::new(9), log: mine.log.clone(), ..Ctx::default() };
    store.merge("r", theirs).await.unwrap();
    let merged = store.get("r").await.unwrap().unwrap();
    let events: Vec<_> = merged.log.iter().into_iter().map(|logged| logged.event).collect();
    assert_eq!(
        (merged.steps.get(), *merged.limit, events),
        (7, 1, vec!["both".to_owned(), "mine".to_owned()])
    );
}

/// What is read shares nothing with what is kept: only what is written is seen by others.
pub(super) async fn what_is_read_shares_nothing_with_what_is_kept<S: Stores>(stores: S) {
    let store = stores.contexts::<Ctx>();
    let written = Ctx::default();
    store.set("r", written.clone()).await.unwrap();
    written.steps.increment();
    let read = store.get("r").await.unwrap().unwrap();
    read.steps.increment();
    read.log.append("mine".to_owned());
    let again = store.get("r").await.unwrap().unwrap();
    assert_eq!((again.steps.get(), again.log.iter().len()), (0, 0));
}

/// Merges that meet lose nothing.
pub(super) async fn merges_that_meet_lose_nothing<S: Stores>(stores: S) {
    let both = [stores.contexts::<Number>(), stores.another().await.contexts::<Number>()];
    try_join_all((0..60).map(|n: i64| both[usize::from(n % 2 == 0)].merge("r", Counter::new(n))))
        .await
        .unwrap();
    assert_eq!(number(&both[0], "r").await, Some((0..60).sum()));
}

/// Of all who swap one revision of a record, one does.
pub(super) async fn a_record_is_swapped_by_one_alone<S: Stores>(stores: S) {
    let both = [stores.contexts::<Number>(), stores.another().await.contexts::<Number>()];
    let (store, first) = (&both[0], record("r1", 1));
    assert!(store.keeps_snapshots());
    assert!(store.swap_snapshot("r1", 0, &first).await.unwrap());
    assert!(!store.swap_snapshot("r1", 0, &first).await.unwrap());
    let (found, revision) = store.snapshot("r1").await.unwrap().unwrap();
    assert_eq!(found, first);
    assert!(revision > 0);
    let swaps = (0..20).map(|n: i64| {
        let store = &both[usize::from(n % 2 == 0)];
        async move { store.swap_snapshot("r1", revision, &record("r1", n)).await.unwrap() }
    });
    assert_eq!(join_all(swaps).await.into_iter().filter(|won| *won).count(), 1);
    assert!(!store.swap_snapshot("r1", revision, &first).await.unwrap());
    // A swap that fails leaves no run behind.
    assert!(!store.swap_snapshot("r2", revision, &first).await.unwrap());
    assert_eq!(number(store, "r2").await, None);
}

/// The context of a run and that of its record are one.
pub(super) async fn a_record_and_its_context_are_one<S: Stores>(stores: S) {
    let store = stores.contexts::<Number>();
    // A context that was there before gives way to the first record.
    store.set("r", Counter::new(9)).await.unwrap();
    assert!(store.swap_snapshot("r", 0, &record("r", 1)).await.unwrap());
    assert_eq!(number(&store, "r").await, Some(1));
    let (before, revision) = store.snapshot("r").await.unwrap().unwrap();
    store.merge("r", Counter::new(4)).await.unwrap();
    let (after, merged) = store.snapshot("r").await.unwrap().unwrap();
    let expected = Snapshot { context: codec::encode(&Number::new(5), "it").unwrap(), ..before };
    assert_eq!(after, expected);
    assert!(!store.swap_snapshot("r", revision, &expected).await.unwrap());
    assert!(store.swap_snapshot("r", merged, &expected).await.unwrap());
    store.set("r", Counter::new(7)).await.unwrap();
    let (set, _) = store.snapshot("r").await.unwrap().unwrap();
    assert_eq!(set.context, codec::encode(&Number::new(7), "it").unwrap());
    assert_eq!(number(&store, "r").await, Some(7));
}

/// Steps that commit at once count exactly, also on top of what there was before them.
pub(super) async fn branches_that_commit_at_once_count_exactly<S: Stores>(stores: S) {
    const BRANCHES: u64 = 40;
    let (one, callbacks) = (Harness::new(&stores, &Fan::new()), RecordingCallbacks::new());
    let two = one.elsewhere().await;
    let ctx = Ctx { steps: Counter::new(100), limit: Fixed::new(3), ..Ctx::default() };
    let ctx = WorkflowCtx::new(ctx);
    one.workflow.start_distributed(&ctx, BRANCHES, &one.contexts(), &one.queue(), "r").await.unwrap();
    let stepping = async |harness: &Harness<S, Fan>| {
        wait_until("the run ends", DEADLINE, async || {
            harness.step(&callbacks).await.unwrap();
            harness.snapshot("r").await.status.is_terminal()
        })
        .await;
    };
    tokio::join!(stepping(&one), stepping(&two), stepping(&one), stepping(&two));
    let ended = one.context("r").await;
    assert_eq!((ended.steps.get(), *ended.limit), (101 + 40, 3));
    let mut trail = ended.trail().await;
    let mut events: Vec<_> = ended.log.iter().into_iter().map(|logged| logged.event).collect();
    assert_eq!((trail[0].as_str(), events[0].as_str()), ("open 40", "open 40"));
    trail.sort();
    events.sort();
    assert_eq!((trail.len(), &trail), (41, &events));
    trail.dedup();
    assert_eq!(trail.len(), 41);
}

/// A join by hand goes on once, also where its branches commit at once.
pub(super) async fn a_join_by_hand_goes_on_once_among_many_workers<S: Stores>(stores: S) {
    let (one, callbacks) = (Harness::new(&stores, &Joined::new(20)), RecordingCallbacks::new());
    let two = one.elsewhere().await;
    one.start("r", 20).await;
    let stepping = async |harness: &Harness<S, Joined>| {
        let mut output = None;
        wait_until("the run ends", DEADLINE, async || {
            output = output.or(harness.step(&callbacks).await.unwrap().map(|(_, output)| output));
            harness.snapshot("r").await.status.is_terminal()
        })
        .await;
        output
    };
    let (a, b, c) = tokio::join!(stepping(&one), stepping(&two), stepping(&one));
    assert_eq!([a, b, c].into_iter().flatten().collect::<Vec<_>>(), [(0..20).sum::<u64>()]);
    assert_eq!(one.context("r").await.collected.get().await.len(), 20);
}

/// An event stands behind those that were there when it was appended.
pub(super) async fn events_stand_in_the_order_of_cause_and_effect<S: Stores>(stores: S) {
    let ended = every_way(&stores, Line::new, || 1).await;
    let events: Vec<_> = ended.ctx.log.iter().into_iter().map(|logged| logged.event).collect();
    assert_eq!(events, ["one 1", "two 2", "three 3"]);
}
