//! Tests of the markers.

use super::*;
use crate::{
    Graph, Incarnation, RunId, RunKey, WorkflowName,
    run::{
        AttemptReport, Begin, EncodedEmission, EncodedOutcome, RunInput, Successor, Trace, apply, begin,
        control, count_attempt,
    },
};
use bytes::Bytes;

const COMMIT: CommitId = CommitId { writer: 1, number: 2 };
const OLD: Fingerprint = Fingerprint(1);
const NEW: Fingerprint = Fingerprint(2);

fn running() -> Snapshot {
    let input = RunInput { node: "a".to_owned(), payload: Bytes::new(), context: Bytes::new() };
    let key = RunKey::new(WorkflowName::new("w").unwrap(), RunId::new("r").unwrap());
    let (commit, at, trace) = (CommitId::default(), Timestamp(10), Trace::default());
    begin(Begin { key, incarnation: Incarnation::default(), commit, at, trace, input, due: None }).0
}

fn found(item: ItemId, build: Fingerprint) -> FoundUnreadable {
    let (host, reason) = ("h".to_owned(), "no such field ".repeat(100));
    let by = UnreadableBy { build, expected: Some("u64".to_owned()), host, since: Timestamp(5), reason };
    FoundUnreadable { item, node: "a".to_owned(), part: UnreadablePart::Input, written_by: OLD, by }
}

fn report(item: ItemId, produced: EncodedOutcome) -> AttemptReport {
    AttemptReport {
        incarnation: Incarnation::default(),
        ticket_item: item.clone(),
        item,
        node: "a".to_owned(),
        number: 1,
        timestamp: Timestamp(20),
        span: None,
        produced,
        context: None,
    }
}

/// A run with so many branches.
fn split(branches: usize) -> Snapshot {
    let emission = EncodedEmission {
        successors: vec![Successor { node: "b".to_owned(), payload: Bytes::new() }],
        ..EncodedEmission::default()
    };
    let produced = EncodedOutcome::NextAll(vec![emission; branches]);
    apply(running(), report(ItemId::start(), produced), COMMIT, &Graph::opaque("w")).unwrap().snapshot
}

#[test]
fn u7_an_item_is_marked_once_for_each_build() {
    let start = ItemId::start();
    let Marked { snapshot, is_first } =
        mark_unreadable(running(), found(start.clone(), NEW), COMMIT).unwrap();
    assert!(is_first && snapshot.is_unreadable_by(&start, NEW) && !snapshot.is_unreadable_by(&start, OLD));
    let marker = &snapshot.unreadable[&start];
    assert_eq!(
        (marker.builds[0].since, snapshot.updated_at),
        (Timestamp(10), Timestamp(10)),
        "an older time"
    );
    assert!(marker.builds[0].reason.len() < 2 * MAX_REASON, "{}", marker.builds[0].reason);
    assert_eq!(mark_unreadable(snapshot.clone(), found(start.clone(), NEW), COMMIT), None);
    let mut snapshot = snapshot;
    for build in 3..20 {
        let marked = mark_unreadable(snapshot, found(start.clone(), Fingerprint(build)), COMMIT).unwrap();
        assert!(marked.is_first);
        snapshot = marked.snapshot;
    }
    assert_eq!(snapshot.unreadable[&start].builds.len(), MAX_BUILDS);
}

#[test]
fn u7_only_a_pending_item_of_a_running_run_is_marked() {
    let start = ItemId::start();
    let other = found(ItemId::new("forged").unwrap(), NEW);
    assert_eq!(mark_unreadable(running(), other, COMMIT), None);
    let paused = control::pause(running(), COMMIT, Timestamp(11)).unwrap().snapshot;
    assert_eq!(mark_unreadable(paused, found(start, NEW), COMMIT), None);
}

#[test]
fn u7_whoever_processes_the_item_removes_the_marker() {
    let start = ItemId::start();
    let marked = mark_unreadable(running(), found(start.clone(), NEW), COMMIT).unwrap().snapshot;
    let held = report(start.clone(), EncodedOutcome::Hold);
    let held = apply(marked.clone(), held, COMMIT, &Graph::opaque("w")).unwrap().snapshot;
    assert!(held.unreadable.is_empty());
    let (counted, _) = count_attempt(marked.clone(), &start, COMMIT).unwrap();
    assert!(counted.unreadable.is_empty(), "it is being processed");
    let child = RunKey::new(WorkflowName::new("c").unwrap(), RunId::new("r").unwrap());
    let waits = report(start, EncodedOutcome::Await(child.into()));
    let waits = apply(marked.clone(), waits, COMMIT, &Graph::opaque("w")).unwrap().snapshot;
    assert!(waits.unreadable.is_empty());
    let cancelled = control::cancel(marked, COMMIT, Timestamp(20)).unwrap().snapshot;
    assert!(cancelled.unreadable.is_empty());
}

#[test]
fn u7_a_wide_fan_out_has_few_markers() {
    let mut snapshot = split(MAX_ITEMS + 1);
    for position in 0..=MAX_ITEMS {
        let item = ItemId::branch(&ItemId::start(), u32::try_from(position).unwrap());
        assert_eq!(snapshot.node_of(&item), Some("b"));
        match mark_unreadable(snapshot.clone(), found(item, NEW), COMMIT) {
            Some(marked) => {
                assert_eq!(marked.is_first, position == 0);
                snapshot = marked.snapshot;
            }
            None => assert_eq!(position, MAX_ITEMS),
        }
    }
    assert_eq!(snapshot.unreadable.len(), MAX_ITEMS);
}

#[test]
fn u7_the_record_knows_who_wrote_an_item() {
    let start = ItemId::start();
    let branch = |position| ItemId::branch(&start, position);
    let by_old = split(2);
    assert_eq!(by_old.written_again(OLD, OLD), by_old, "one build costs nothing");
    let by_new = by_old.written_again(OLD, NEW);
    let emission = EncodedEmission {
        successors: vec![Successor { node: "c".to_owned(), payload: Bytes::new() }],
        ..EncodedEmission::default()
    };
    let next = report(branch(0), EncodedOutcome::Next(emission));
    let by_new = apply(by_new, next, COMMIT, &Graph::opaque("w")).unwrap().snapshot;
    let successor = by_new.items.keys().next().unwrap().clone();
    assert_eq!(by_new.writer_of(&branch(1), NEW), OLD);
    assert_eq!(by_new.writer_of(&successor, NEW), NEW);
    // And again, the other way round.
    let by_old = by_new.written_again(NEW, OLD);
    assert_eq!((by_old.writer_of(&branch(1), OLD), by_old.writer_of(&successor, OLD)), (OLD, NEW));
    let held = apply(by_old, report(successor, EncodedOutcome::Hold), COMMIT, &Graph::opaque("w")).unwrap();
    let held = apply(held.snapshot, report(branch(1), EncodedOutcome::Hold), COMMIT, &Graph::opaque("w"));
    assert!(held.unwrap().snapshot.written_by.is_empty());
}
