//! Children, from the record of the parent to the end of both.

use crate::{
    CommitId, Fingerprint, Graph, Incarnation, ItemId, RunId, RunKey, Seen, StoreId, Timestamp, WorkflowName,
    run::{
        Applied, AttemptReport, Begin, ChildIntent, ChildStart, ChildWanted, Effect, EncodedEmission,
        EncodedOutcome, EncodedOutput, EndedChild, ManyWanted, OnParentCancel, Parent, RunError, RunInput,
        Snapshot, Status, Trace, apply, begin, clean_up::end_clean_up, close_intents, control, end_effects,
        tombstone,
    },
};
use bytes::Bytes;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const COMMIT: CommitId = CommitId { writer: 1, number: 2 };
const SEEN: Seen = Seen { revision: 5, store: StoreId(1) };

fn key(run_id: &str) -> RunKey {
    RunKey::new(WorkflowName::new("w").unwrap(), RunId::new(run_id).unwrap())
}

fn answered(snapshot: Snapshot, produced: EncodedOutcome) -> Option<Applied> {
    let attempt = report(&snapshot, produced);
    apply(snapshot, attempt, COMMIT, &Graph::opaque("w"))
}

fn report(snapshot: &Snapshot, produced: EncodedOutcome) -> AttemptReport {
    AttemptReport {
        incarnation: snapshot.incarnation,
        item: ItemId::start(),
        node: "a".to_owned(),
        ticket_item: ItemId::start(),
        number: 1,
        timestamp: Timestamp(2),
        span: None,
        produced,
        context: None,
    }
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
    answered(running(), EncodedOutcome::Await(key(child).into())).unwrap().snapshot
}

fn prevent(child: &str) -> Effect {
    Effect::Child(ChildIntent::Prevent { run: key(child), item: ItemId::start(), spare: false, of: None })
}

fn cancel(child: &str) -> ChildIntent {
    ChildIntent::Cancel { run: key(child), item: ItemId::start(), seen: SEEN, of: None }
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
    let again = answered(started, EncodedOutcome::Await(key("c").into())).unwrap();
    assert!(again.snapshot.started_child(&ItemId::start()).is_some() && again.effects.is_empty());
}

#[test]
fn the_end_cancels_started_and_prevents_other_children() {
    let recorded = recorded("c");
    let started = answered(recorded.clone(), EncodedOutcome::Started(SEEN)).unwrap().snapshot;
    for (snapshot, effect) in [(recorded, prevent("c")), (started, Effect::Child(cancel("c")))] {
        let ended = control::cancel(snapshot, COMMIT, Timestamp(3)).unwrap();
        assert_eq!(ended.effects, [Effect::TellHosts, effect, Effect::CloseIntents, Effect::PublishResult]);
        assert!(!ended.snapshot.may_expire());
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
        prevent("c"),
        Effect::CloseIntents,
        Effect::WakeParent(parent),
        Effect::PublishResult,
        Effect::DropAllChunks,
    ];
    assert_eq!(ended.effects, expected);
}

#[test]
fn a_child_without_a_waiting_item_must_not_start() {
    let ended = answered(recorded("c"), failed()).unwrap();
    assert_eq!(ended.effects, [prevent("c"), Effect::CloseIntents, Effect::PublishResult]);
    assert_eq!(end_effects(&ended.snapshot), ended.effects);
    let other = answered(recorded("c"), EncodedOutcome::Await(key("d").into())).unwrap();
    assert_eq!(other.effects, [prevent("c"), Effect::CloseIntents]);
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

fn of_policy(on_cancel: OnParentCancel, within: Option<Duration>) -> Snapshot {
    let child = ChildWanted { run: key("c"), on_cancel, within, or: None };
    let recorded = answered(running(), EncodedOutcome::Await(child)).unwrap().snapshot;
    answered(recorded, EncodedOutcome::Started(SEEN)).unwrap().snapshot
}

#[test]
fn a_child_follows_the_policy_of_its_parent() {
    use OnParentCancel::{Abandon, Cancel, Wait};
    for (policy, intents) in [(Cancel, vec![cancel("c")]), (Abandon, vec![]), (Wait, vec![])] {
        let ended = control::Control::Terminate;
        let ended = ended.decide(of_policy(policy, None), COMMIT, Timestamp(3), LIMIT).unwrap().snapshot;
        assert_eq!((ended.status, ended.intents), (Status::Cancelled, intents), "{policy:?}");
    }
    let unstarted = ChildWanted { on_cancel: Abandon, ..key("c").into() };
    let unstarted = answered(running(), EncodedOutcome::Await(unstarted)).unwrap().snapshot;
    let ended = control::cancel(unstarted, COMMIT, Timestamp(3)).unwrap().snapshot;
    let spared = ChildIntent::Prevent { run: key("c"), item: ItemId::start(), spare: true, of: None };
    assert_eq!(ended.intents, [spared], "if it is started already, it goes on");
}

#[test]
fn a_cancelled_parent_waits_if_its_policy_says_so() {
    let cancelled = |policy| {
        let snapshot = of_policy(policy, None);
        control::Control::Cancel.decide(snapshot, COMMIT, Timestamp(3), LIMIT).unwrap().snapshot
    };
    assert_eq!(cancelled(OnParentCancel::Abandon).status, Status::Cancelled);
    let waiting = cancelled(OnParentCancel::Wait);
    assert_eq!(waiting.status, Status::Cancelling);
    assert_eq!(waiting.started_child(&ItemId::start()), Some((&key("c"), SEEN)));
    // The child has ended: its item is cleaned up, which ends the run.
    let ended = answered(waiting.clone(), EncodedOutcome::CleanUp(None)).unwrap().snapshot;
    assert_eq!((ended.status, ended.intents), (Status::Cancelled, vec![]));
    let late = end_clean_up(waiting, COMMIT, Timestamp(3).after(LIMIT)).unwrap().snapshot;
    assert_eq!((late.status, late.intents), (Status::Cancelled, vec![]));
}

#[test]
fn a_child_that_is_late_is_cancelled() {
    let waiting = of_policy(OnParentCancel::Abandon, Some(Duration::from_millis(2)));
    assert_eq!(waiting.dues().collect::<Vec<_>>(), [Timestamp(4)], "2 ms after the step");
    assert_eq!(waiting.alarm(Timestamp(2)).unwrap().due, Timestamp(4));
    assert!(!waiting.child_is_late(&ItemId::start(), Timestamp(3)));
    assert!(waiting.child_is_late(&ItemId::start(), Timestamp(4)));
    for (at, intents) in [(3, vec![]), (4, vec![cancel("c")])] {
        let report = AttemptReport { timestamp: Timestamp(at), ..report(&waiting, failed()) };
        let ended = apply(waiting.clone(), report, COMMIT, &Graph::opaque("w")).unwrap();
        assert_eq!(ended.snapshot.intents, intents, "at {at}");
    }
}

#[test]
fn w49_a_detached_child_is_in_the_record_until_it_is_started() {
    let input = RunInput { node: "b".to_owned(), payload: Bytes::new(), context: Bytes::new() };
    let start = ChildStart { run: key("d"), input, build: Fingerprint(2), has_clean_up: false, limit: None };
    let intent = ChildIntent::Start(Box::new(start.clone()));
    let output = Some(EncodedOutput { json: Bytes::from_static(b"1"), exact: None });
    let emission = EncodedEmission { output, starts: vec![start], ..EncodedEmission::default() };
    let ended = answered(running(), EncodedOutcome::Next(emission)).unwrap();
    assert_eq!(ended.snapshot.status, Status::Completed);
    assert_eq!(ended.effects, [Effect::Child(intent.clone()), Effect::CloseIntents, Effect::PublishResult]);
    assert!(!ended.snapshot.may_expire());
    let other = close_intents(ended.snapshot.clone(), &[cancel("c")], COMMIT);
    assert_eq!(other, None, "it has none of them");
    let closed = close_intents(ended.snapshot, &[intent], COMMIT).unwrap();
    assert!(closed.may_expire() && closed.intents.is_empty());
    assert_eq!(end_effects(&closed), [Effect::PublishResult]);
}

fn many(named: &[u32], ended: &[u32]) -> EncodedOutcome {
    let named = named.iter().map(|position| (*position, key(&format!("c{position}")).into()));
    let ended =
        ended.iter().map(|position| EndedChild { position: *position, result: Bytes::from_static(b"r") });
    let (named, ended) = (named.collect(), ended.collect());
    EncodedOutcome::AwaitMany(ManyWanted { count: 4, bound: 2, fail_fast: false, named, ended })
}

#[test]
fn a_group_starts_no_more_than_its_bound() {
    let first = answered(running(), many(&[0, 1, 2], &[])).unwrap().snapshot;
    let group = &first.child_groups[&ItemId::start()];
    assert_eq!((group.open.len(), group.next, group.to_start(0)), (2, 2, vec![0, 1]));
    assert!(first.waits_for_children());
    let started = EncodedOutcome::StartedMany(vec![(0, SEEN), (1, SEEN)], Vec::new());
    let first = answered(first, started).unwrap().snapshot;
    let group = &first.child_groups[&ItemId::start()];
    assert_eq!((group.to_start(0), group.to_start(1)), (vec![], vec![2]));
    // Two workers bring the same news.
    let second = answered(first, many(&[2], &[1])).unwrap().snapshot;
    let again = answered(second.clone(), many(&[2], &[1])).unwrap().snapshot;
    let (group, same) = (&second.child_groups[&ItemId::start()], &again.child_groups[&ItemId::start()]);
    assert_eq!(group, same);
    assert_eq!((group.ended.count, group.next, group.is_complete(2)), (1, 3, false));
    let ended = control::cancel(second, COMMIT, Timestamp(3)).unwrap().snapshot;
    let intents: Vec<_> = ended.intents.iter().map(|intent| intent.run().run_id.to_string()).collect();
    assert_eq!(intents, ["c0", "c2"], "those that are open");
}

#[test]
fn a_group_that_succeeds_has_nothing_to_give_up() {
    let first = answered(running(), many(&[0, 1], &[])).unwrap().snapshot;
    let started = EncodedOutcome::StartedMany(vec![(0, SEEN), (1, SEEN)], Vec::new());
    let started = answered(first, started).unwrap().snapshot;
    let output = Some(EncodedOutput { json: Bytes::from_static(b"1"), exact: None });
    let emission = EncodedEmission { output, ..EncodedEmission::default() };
    let ended = answered(started, EncodedOutcome::Next(emission)).unwrap();
    assert_eq!((ended.snapshot.status, ended.effects), (Status::Completed, vec![Effect::PublishResult]));
}

#[test]
fn a_group_that_fails_gives_up_the_others() {
    let first = answered(running(), many(&[0, 1], &[])).unwrap().snapshot;
    let started = EncodedOutcome::StartedMany(vec![(0, SEEN)], Vec::new());
    let failed = answered(answered(first, started).unwrap().snapshot, failed()).unwrap();
    let gone = |run: &str| key(run);
    let expected = [
        ChildIntent::Cancel { run: gone("c0"), item: ItemId::start(), seen: SEEN, of: None },
        ChildIntent::Prevent { run: gone("c1"), item: ItemId::start(), spare: false, of: None },
    ];
    assert_eq!(failed.snapshot.intents, expected);
}
