//! Runs that continue as new.

use super::{applied, attempt, begun, edited, exercise, graph, new_input, value};
use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use ciborium::Value;
use jetway_state::{
    CommitId, Incarnation, ItemId, StoreId, Timestamp,
    run::{
        ArrivedSignal, AttemptReport, EncodedOutcome, RunInput, SignalPlace, Snapshot, Status, apply,
        deliver, signal_id_hash,
    },
};
use std::sync::LazyLock;

/// The record that is changed at some places.
static RECORD: LazyLock<Value> = LazyLock::new(|| value(&continued()));

/// As [`rules`](super::rules). The run has one open item, and continues as new first.
pub(crate) fn chains(bytes: &[u8]) -> bool {
    let u = &mut Unstructured::new(bytes);
    let Ok(Some(snapshot)) = edited(RECORD.clone(), u) else { return false };
    continue_often(snapshot, u).and_then(|snapshot| exercise(snapshot, u)).is_ok()
}

fn continue_often(mut snapshot: Snapshot, u: &mut Unstructured<'_>) -> Result<Snapshot> {
    let graph = graph(u)?;
    for number in 0..u.int_in_range(0..=3)? {
        let (at, commit) = (Timestamp(u.arbitrary()?), CommitId { writer: 8, number });
        let produced = EncodedOutcome::ContinueAsNew(new_input(u)?);
        let attempt = AttemptReport { produced, ..attempt(&snapshot, at, u)? };
        let Some(applied) = apply(snapshot.clone(), attempt.clone(), commit, &graph) else { continue };
        let next = applied.snapshot;
        check(&snapshot, &next);
        if next.incarnation != snapshot.incarnation {
            let again = apply(next.clone(), attempt, commit, &graph);
            assert_eq!(again, None, "an attempt of the former incarnation was applied");
        }
        snapshot = next;
    }
    Ok(snapshot)
}

/// A run that has continued as new, and has got a signal before.
fn continued() -> Snapshot {
    let signal = ArrivedSignal {
        sequence: 3,
        place: SignalPlace::First,
        name: "go".to_owned(),
        id: Some(signal_id_hash("one")),
        incarnation: None,
        at: Timestamp(9),
        payload: Ok(Bytes::from_static(b"\x01")),
    };
    let begun = Snapshot { deadline: Some(Timestamp(90_000)), ..begun() };
    let commit = begun.commit;
    let told = deliver(begun, StoreId::default(), &[signal], commit, Timestamp(9)).applied;
    let input = RunInput {
        node: "split".to_owned(),
        payload: Bytes::from_static(b"\x02"),
        context: Bytes::from_static(b"\xa0"),
    };
    let again = EncodedOutcome::ContinueAsNew(input);
    applied(told.expect("it is kept").snapshot, "start", "split", again)
}

/// What holds after a change of a record that may be the record of a chain, or say that it is.
pub(super) fn check(before: &Snapshot, after: &Snapshot) {
    assert_eq!(after.chain_id(), before.chain_id(), "it belongs to another chain");
    if after.incarnation == before.incarnation {
        assert_eq!((after.chain, after.continued), (before.chain, before.continued));
        return;
    }
    assert!(matches!(before.status, Status::Running | Status::Paused), "a {} run continued", before.status);
    assert_eq!((after.status, after.continued), (before.status, before.continued.saturating_add(1)));
    assert_eq!((after.pending(), after.fan_outs.len(), after.waits.len()), (1, 0, 0), "something is open");
    assert!(after.items.contains_key(&ItemId::start()) && after.failures.is_empty());
    let kept = |of: &Snapshot| {
        let Snapshot { deadline, parent, outputs, input_digest, started_at, has_clean_up, .. } = of.clone();
        (deadline, parent, outputs, input_digest, started_at, has_clean_up)
    };
    assert_eq!(kept(after), kept(before), "something did not go along");
    let heard = |of: &Snapshot| (of.mailbox.applied, of.mailbox.recent.clone());
    assert_eq!(heard(after), heard(before), "it has forgotten which signals are applied");
    let is_there = |letter| after.mailbox.letters.contains(letter);
    assert!(before.mailbox.letters.iter().all(is_there), "a signal is lost");
    // A record that was changed may say that it is another one of its chain than it is.
    if before.incarnation == number(before) {
        assert!(after.follows(before.incarnation) && after.is_called(before.chain_id()));
        assert_eq!(after.incarnation, number(after));
    }
}

/// The incarnation of a record that says the truth.
fn number(snapshot: &Snapshot) -> Incarnation {
    match snapshot.continued {
        0 => snapshot.chain_id(),
        times => Incarnation::continued(snapshot.chain_id(), times),
    }
}
