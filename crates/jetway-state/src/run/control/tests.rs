//! The table of the rules: every command in every status.

use super::{cancel, cancel_with_clean_up, complete, pause, resume, terminate};
use crate::{
    CommitId, Graph, Incarnation, ItemId, RunId, RunKey, Timestamp, WorkflowName,
    run::{
        Applied, AttemptReport, Begin, Effect, EncodedEmission, EncodedOutcome, EncodedOutput, RunInput,
        Snapshot, Status, Successor, TicketFor, Trace, apply, begin,
    },
};
use bytes::Bytes;
use std::time::Duration;

type Command = fn(Snapshot, CommitId, Timestamp) -> Option<Applied>;

const NOW: Timestamp = Timestamp(9);
const COMMIT: CommitId = CommitId { writer: 7, number: 3 };

fn run(status: Status) -> Snapshot {
    let key = RunKey::new(WorkflowName::new("w").unwrap(), RunId::new("r").unwrap());
    let input = RunInput { node: "a".to_owned(), payload: Bytes::from_static(b"a0"), context: Bytes::new() };
    let (commit, at, trace) = (CommitId::default(), Timestamp(1), Trace::default());
    let (snapshot, _) =
        begin(Begin { key, incarnation: Incarnation::default(), commit, at, trace, input, due: None });
    Snapshot { status, ..snapshot }
}

/// The first item answers with `produced`.
fn stepped(snapshot: Snapshot, produced: EncodedOutcome) -> Option<Applied> {
    let (item, node) = (ItemId::start(), "a".to_owned());
    let attempt = AttemptReport {
        incarnation: snapshot.incarnation,
        ticket_item: item.clone(),
        item,
        node,
        number: 1,
        timestamp: NOW,
        span: None,
        produced,
        context: None,
    };
    apply(snapshot, attempt, COMMIT, &Graph::opaque("w"))
}

fn two_branches() -> EncodedOutcome {
    let successor = |payload| Successor { node: "b".to_owned(), payload: Bytes::from_static(payload) };
    EncodedOutcome::Next(EncodedEmission {
        successors: vec![successor(b"b0"), successor(b"b1")],
        ..EncodedEmission::default()
    })
}

fn output() -> EncodedOutcome {
    let output = EncodedOutput { json: Bytes::from_static(b"1"), exact: None };
    EncodedOutcome::Next(EncodedEmission { output: Some(output), ..EncodedEmission::default() })
}

#[test]
fn every_command_in_every_status() {
    use Status::{Cancelled, Cancelling, Completed, Paused, Running};
    let request: Command =
        |snapshot, commit, at| cancel_with_clean_up(snapshot, commit, at, Duration::from_secs(9));
    let request_with_edges: Command = |snapshot, commit, at| {
        let snapshot = Snapshot { has_clean_up: true, ..snapshot };
        cancel_with_clean_up(snapshot, commit, at, Duration::from_secs(9))
    };
    let table: [(&str, Command, [Option<Status>; 3]); 7] = [
        ("cancel", cancel, [Some(Cancelled), Some(Cancelled), Some(Cancelled)]),
        ("cancel without clean-up", request, [Some(Cancelled), Some(Cancelled), None]),
        ("cancel with clean-up", request_with_edges, [Some(Cancelling), Some(Cancelling), None]),
        ("terminate", terminate, [Some(Cancelled), Some(Cancelled), Some(Cancelled)]),
        ("complete", complete, [Some(Completed), Some(Completed), Some(Completed)]),
        ("pause", pause, [Some(Paused), None, None]),
        ("resume", resume, [None, Some(Running), None]),
    ];
    for (name, command, expected) in table {
        // Nothing changes a run that has ended.
        let expected = expected.into_iter().chain([None; 3]);
        for (status, expected) in Status::ALL.into_iter().zip(expected) {
            let applied = command(run(status), COMMIT, NOW);
            assert_eq!(applied.as_ref().map(|applied| applied.snapshot.status), expected, "{name} {status}");
            if let Some(Applied { snapshot, .. }) = applied {
                assert_eq!((snapshot.commit, snapshot.updated_at, snapshot.steps), (COMMIT, NOW, 0));
                let ends = snapshot.status.is_terminal();
                assert_eq!(snapshot.finished_at, ends.then_some(NOW), "{name} {status}");
                assert_eq!(snapshot.pending(), usize::from(!ends), "{name} {status}");
            }
        }
    }
}

#[test]
fn an_end_publishes_the_result_and_drops_the_chunks() {
    let chunked = Snapshot { chunked: true, ..run(Status::Running) };
    let effects = |snapshot| cancel(snapshot, COMMIT, NOW).unwrap().effects;
    assert_eq!(effects(run(Status::Paused)), [Effect::TellHosts, Effect::PublishResult]);
    assert_eq!(effects(chunked), [Effect::TellHosts, Effect::PublishResult, Effect::DropAllChunks]);
}

#[test]
fn a_paused_run_commits_and_a_cancelled_run_discards() {
    let cancelled = cancel(run(Status::Running), COMMIT, NOW).unwrap().snapshot;
    assert_eq!(stepped(cancelled, two_branches()), None);
    let paused = pause(run(Status::Running), COMMIT, NOW).unwrap().snapshot;
    let stepped_on = stepped(paused.clone(), two_branches()).unwrap().snapshot;
    assert_eq!((stepped_on.status, stepped_on.pending()), (Status::Paused, 2));
    assert_eq!(stepped(paused, output()).unwrap().snapshot.status, Status::Completed);
}

#[test]
fn resuming_names_every_pending_item() {
    let stepped_on = stepped(run(Status::Running), two_branches()).unwrap().snapshot;
    let paused = pause(stepped_on, COMMIT, NOW).unwrap();
    assert_eq!((paused.effects, paused.tickets), (vec![], vec![]));
    let ticket = |position| {
        let item = ItemId::branch(&ItemId::start(), position);
        TicketFor { item, node: "b".to_owned() }
    };
    assert_eq!(resume(paused.snapshot, COMMIT, NOW).unwrap().tickets, [ticket(0), ticket(1)]);
}
