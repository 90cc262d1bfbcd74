//! Children, from the record of the parent to the end of both.

use crate::{
    CommitId, Fingerprint, Graph, Incarnation, ItemId, RunId, RunKey, Seen, StoreId, Timestamp, WorkflowName,
    run::{
        Applied, AttemptReport, Begin, Effect, EncodedOutcome, Parent, RunError, RunInput, Snapshot, Status,
        Trace, apply, begin, control, end_effects, tombstone,
    },
};
use bytes::Bytes;

const COMMIT: CommitId = CommitId { writer: 1, number: 2 };
const SEEN: Seen = Seen { revision: 5, store: StoreId(1) };

fn key(run_id: &str) -> RunKey {
    RunKey::new(WorkflowName::new("w").unwrap(), RunId::new(run_id).unwrap())
}

fn answered(snapshot: Snapshot, produced: EncodedOutcome) -> Option<Applied> {
    let attempt = AttemptReport {
        incarnation: snapshot.incarnation,
        item: ItemId::start(),
        node: "a".to_owned(),
        ticket_item: ItemId::start(),
        number: 1,
        timestamp: Timestamp(2),
        span: None,
        produced,
        context: None,
    };
    apply(snapshot, attempt, COMMIT, &Graph::opaque("w"))
}

fn running() -> Snapshot {
    let input = RunInput { node: "a".to_owned(), payload: Bytes::new(), context: Bytes::new() };
    let (commit, at, trace) = (CommitId::default(), Timestamp(1), Trace::default());
    begin(Begin {
        key: key("parent"),
        incarnation: Incarnation::default(),
        commit,
        at,
        trace,
        input,
        due: None,
    })
    .0
}

fn recorded(child: &str) -> Snapshot {
    answered(running(), EncodedOutcome::Await(key(child))).unwrap().snapshot
}

fn failed() -> EncodedOutcome {
    EncodedOutcome::Failed(RunError {
        item: None,
        node: None,
        attempt: 1,
        kind: "error".to_owned(),
        message: "no".to_owned(),
    })
}

#[test]
fn a_child_is_recorded_then_known_to_be_started() {
    let recorded = recorded("c");
    assert!(recorded.waits_for_children() && recorded.started_child(&ItemId::start()).is_none());
    let started = answered(recorded, EncodedOutcome::Started(SEEN)).unwrap().snapshot;
    assert!(
        started.waits_for_children() && started.started_child(&ItemId::start()) == Some((&key("c"), SEEN))
    );
    assert_eq!(answered(started.clone(), EncodedOutcome::Started(SEEN)), None);
    // A second worker that comes late with the same answer takes nothing back.
    let again = answered(started, EncodedOutcome::Await(key("c"))).unwrap();
    assert!(again.snapshot.started_child(&ItemId::start()).is_some() && again.effects.is_empty());
}

#[test]
fn the_end_cancels_started_and_prevents_other_children() {
    let recorded = recorded("c");
    let started = answered(recorded.clone(), EncodedOutcome::Started(SEEN)).unwrap().snapshot;
    for (snapshot, effect) in
        [(recorded, Effect::PreventChild(key("c"))), (started, Effect::CancelChild(key("c"), SEEN))]
    {
        let ended = control::cancel(snapshot, COMMIT, Timestamp(3)).unwrap();
        assert_eq!(ended.effects, [Effect::TellHosts, effect, Effect::PublishResult]);
        // Whoever comes after one that was lost finds the same in the record.
        assert_eq!(end_effects(&ended.snapshot), ended.effects[1..]);
    }
}

#[test]
fn l1_the_parent_is_woken_before_the_result_is_published() {
    let parent = Parent {
        run: key("parent"),
        incarnation: Incarnation::default(),
        item: ItemId::start(),
        node: "a".to_owned(),
        build: Fingerprint(1),
        seen: SEEN,
        span: None,
    };
    let child = Snapshot { parent: Some(parent.clone()), chunked: true, ..recorded("c") };
    let ended = control::cancel(child, COMMIT, Timestamp(3)).unwrap();
    let expected = [
        Effect::TellHosts,
        Effect::PreventChild(key("c")),
        Effect::WakeParent(parent),
        Effect::PublishResult,
        Effect::DropAllChunks,
    ];
    assert_eq!(ended.effects, expected);
}

#[test]
fn a_child_without_a_waiting_item_must_not_start() {
    let ended = answered(recorded("c"), failed()).unwrap();
    assert_eq!(ended.effects, [Effect::PreventChild(key("c")), Effect::PublishResult]);
    assert_eq!(end_effects(&ended.snapshot), ended.effects);
    let other = answered(recorded("c"), EncodedOutcome::Await(key("d"))).unwrap();
    assert_eq!(other.effects, [Effect::PreventChild(key("c"))]);
    assert_eq!(other.snapshot.children[&ItemId::start()].run, key("d"));
}

#[test]
fn a_tombstone_takes_the_place_of_a_child() {
    let parent = |item| {
        let (run, node) = (key("parent"), "a".to_owned());
        Parent {
            run,
            incarnation: Incarnation::default(),
            item,
            node,
            build: Fingerprint(1),
            seen: Seen::default(),
            span: None,
        }
    };
    let never = tombstone(key("c"), Incarnation::default(), Trace::default(), COMMIT, Timestamp(3));
    assert_eq!((never.status, never.pending(), never.steps), (Status::Cancelled, 0, 0));
    let of = |snapshot: &Snapshot, incarnation, item| snapshot.is_child_of(&key("parent"), incarnation, item);
    let (mine, start, next) = (Incarnation::default(), ItemId::start(), ItemId::successor("start", 0));
    assert!(of(&never, mine, &start));
    let child = Snapshot { parent: Some(parent(start.clone())), ..running() };
    assert!(of(&child, mine, &start));
    assert!(!of(&child, mine, &next) && !of(&running(), mine, &start));
    assert!(!of(&child, Incarnation::from_random(1), &start), "it is the child of an earlier parent");
}
