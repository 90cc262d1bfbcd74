//! Continuing as new.

mod chains;

use super::*;
use crate::{
    Fingerprint, Seen, StoreId,
    run::{
        ArrivedSignal, ChildIntent, ChildStart, Delivered, Letter, SignalPlace, SignalWanted, TicketFor,
        Verdict, cancel_with_clean_up, control, deliver, refuse_to_continue, signal_id_hash,
    },
    view::{DoneView, StatusView},
};
use std::time::Duration;

const STORE: StoreId = StoreId(7);

fn again(payload: &'static str) -> EncodedOutcome {
    EncodedOutcome::ContinueAsNew(RunInput {
        node: "a".to_owned(),
        payload: Bytes::from_static(payload.as_bytes()),
        context: Bytes::from_static(b"fresh"),
    })
}

fn applied(run: &Run, item: &ItemId, produced: EncodedOutcome) -> Applied {
    let attempt = run.attempt(item, "a", produced);
    apply(run.snapshot.clone(), attempt, CommitId { writer: 9, number: 9 }, &run.graph).unwrap()
}

fn signal(sequence: u64, id: &str, incarnation: Option<Incarnation>) -> ArrivedSignal {
    let (payload, id) = (Ok(Bytes::from_static(b"1")), Some(signal_id_hash(id)));
    let (name, place) = ("x".to_owned(), SignalPlace::First);
    ArrivedSignal { sequence, place, name, id, incarnation, at: Timestamp(1), payload }
}

fn receive(run: &mut Run, signal: ArrivedSignal) -> Verdict {
    let Delivered { applied, verdicts } =
        deliver(run.snapshot.clone(), STORE, &[signal], CommitId::default(), Timestamp(2));
    if let Some(applied) = applied {
        run.snapshot = applied.snapshot;
    }
    verdicts[0]
}

#[test]
fn a_run_that_continues_as_new_begins_afresh() {
    let mut run = start(&[("a", "b"), ("b", "a")], &[]);
    let first = run.snapshot.incarnation;
    run.snapshot.deadline = Some(Timestamp(1_000_000));
    run.snapshot.handled_failures.count = 3;
    run.step(
        "a",
        EncodedOutcome::Next(EncodedEmission { successors: to(&[("b", "b0")]).successors, ..output("1") }),
    );
    let before = run.snapshot.clone();
    let Applied { snapshot, tickets, effects } = applied(&run, &run.ticket("b"), again("a1"));
    assert_eq!(tickets, [TicketFor { item: ItemId::start(), node: "a".to_owned() }]);
    assert_eq!(effects, [Effect::ArmAlarm { since: Timestamp(2) }, Effect::DisarmAlarmsOf(first)]);
    assert_eq!((snapshot.chain, snapshot.continued), (Some(first), 1));
    assert_eq!(snapshot.incarnation, Incarnation::continued(first, 1));
    assert_eq!((&snapshot.context[..], snapshot.handled_failures.count), (&b"fresh"[..], 0));
    assert_eq!((snapshot.steps, snapshot.pending(), snapshot.status), (2, 1, Status::Running));
    let kept = |of: &Snapshot| {
        (
            of.started_at,
            of.deadline,
            of.input_digest.clone(),
            of.outputs.clone(),
            of.trace.clone(),
            of.parent.clone(),
        )
    };
    assert_eq!(kept(&snapshot), kept(&before));
    assert_eq!(snapshot.seal(Fingerprint(1)).unwrap()[3], 3, "an older build leaves it");
    // Nothing of the former incarnation acts on it.
    run.snapshot = snapshot;
    let late = AttemptReport { incarnation: first, ..run.attempt(&ItemId::start(), "a", again("late")) };
    assert!(!run.apply(late));
    // The next ones belong to the same chain, and each follows the one before.
    let second = run.snapshot.incarnation;
    run.snapshot = applied(&run, &ItemId::start(), again("a2")).snapshot;
    let latest = &run.snapshot;
    assert_eq!((latest.chain_id(), latest.continued), (first, 2));
    assert!(latest.follows(second) && !latest.follows(first) && !latest.follows(latest.incarnation));
    assert!(latest.is_called(first) && latest.is_called(latest.incarnation) && !latest.is_called(second));
    let (done, status) = (DoneView::new(latest).unwrap(), StatusView::new(latest, Timestamp(0)).unwrap());
    assert_eq!((done.incarnation, status.run.incarnation), (first, latest.incarnation));
    assert_eq!((status.chain, status.continued), (Some(first), 2));
}

#[test]
fn a_run_without_alarms_and_chunks_leaves_nothing() {
    let run = start(&[("a", "a")], &[]);
    assert_eq!(applied(&run, &ItemId::start(), again("a1")).effects, []);
    let mut run = run;
    run.snapshot.chunked = true;
    let left = Effect::DropChunksOf(run.snapshot.incarnation);
    assert_eq!(applied(&run, &ItemId::start(), again("a1")).effects, [left]);
}

#[test]
fn open_branches_keep_a_run_from_continuing_as_new() {
    let mut run = start(&[("a", "a"), ("a", "j")], &["j"]);
    run.step("a", all("a", &["1", "2"]));
    let (first, second) = (ItemId::branch(&ItemId::start(), 0), ItemId::branch(&ItemId::start(), 1));
    let refused = refuse_to_continue(&run.snapshot, &run.attempt(&first, "a", again("x")));
    assert_eq!(refused, Some(Error::BranchesOpen("another of its branches is open".to_owned())));
    // A value that waits to be gathered is open as well.
    assert!(run.apply(run.attempt(&first, "a", next(&[("j", "v")]))));
    let refused = refuse_to_continue(&run.snapshot, &run.attempt(&second, "a", again("x")));
    assert_eq!(refused, Some(Error::BranchesOpen("another of its branches is open".to_owned())));
    assert!(run.apply(run.attempt(&second, "a", again("x"))));
    let error = run.snapshot.error.as_ref().map(|error| (error.kind.as_str(), error.item.clone()));
    assert_eq!((run.snapshot.status, error), (Status::Failed, Some(("branches_open", Some(second)))));
    // The only branch that is left may.
    let mut run = start(&[("a", "a"), ("a", "j")], &["j"]);
    run.step("a", all("a", &["1", "2"]));
    assert!(run.apply(run.attempt(&first, "a", EncodedOutcome::Hold)));
    let second = ItemId::branch(&ItemId::start(), 1);
    run.snapshot = applied(&run, &second, again("x")).snapshot;
    assert_eq!((run.snapshot.continued, run.snapshot.fan_outs.len(), run.snapshot.pending()), (1, 0, 1));
}

#[test]
fn w50_what_is_open_is_said() {
    let mut run = start(&[("a", "a"), ("a", "j")], &["j"]);
    run.step("a", all("a", &["1", "2", "3"]));
    let branch = |position| ItemId::branch(&ItemId::start(), position);
    let said = |run: &Run| {
        let refused = refuse_to_continue(&run.snapshot, &run.attempt(&branch(0), "a", again("x")));
        refused.expect("it is refused").to_string()
    };
    let mut wait = |position: u32, child: &str| {
        let child = RunKey::new("c".parse().unwrap(), child.parse().unwrap());
        assert!(run.apply(run.attempt(&branch(position), "a", EncodedOutcome::Await(child.into()))));
        said(&run)
    };
    let one = "the run cannot continue as new while 2 of its other branches are open (one waits for the child run c/one): end \
               them first, or gather them";
    assert_eq!(wait(1, "one"), one);
    let two = wait(2, "two");
    assert!(two.contains("are open (2 wait for child runs, such as c/one)"), "{two}");
    // Its own child run has ended.
    let own = wait(0, "own");
    assert!(own.contains("are open (2 wait for child runs, such as c/one)"), "{own}");
}

#[test]
fn w50_intents_go_along() {
    let mut run = start(&[("a", "a")], &[]);
    let input = RunInput { node: "b".to_owned(), payload: Bytes::new(), context: Bytes::new() };
    let key = |id: &str| RunKey::new("c".parse().unwrap(), id.parse().unwrap());
    let (build, item, seen) = (Fingerprint(2), ItemId::start(), Seen::default());
    let start = ChildIntent::Start(Box::new(ChildStart {
        run: key("d"),
        input,
        build,
        has_clean_up: false,
        limit: None,
    }));
    let cancel = |of| ChildIntent::Cancel { run: key("e"), item: item.clone(), seen, of };
    run.snapshot.intents = vec![start.clone(), cancel(None)];
    let first = run.snapshot.incarnation;
    for _ in 0..2 {
        let Applied { snapshot, effects, .. } = applied(&run, &ItemId::start(), again("a1"));
        // The item that has waited for it is one of the first incarnation.
        assert_eq!(snapshot.intents, [start.clone(), cancel(Some(first))]);
        assert_eq!(effects[..2], [Effect::Child(start.clone()), Effect::Child(cancel(Some(first)))]);
        assert_eq!(effects[2], Effect::CloseIntents);
        run.snapshot = snapshot;
    }
}

#[test]
fn a_paused_run_stays_paused_and_a_cancelled_one_stops() {
    let mut run = start(&[("a", "a")], &[]);
    run.snapshot = control::pause(run.snapshot, CommitId::default(), Timestamp(2)).unwrap().snapshot;
    let Applied { snapshot, tickets, .. } = applied(&run, &ItemId::start(), again("a1"));
    assert_eq!((snapshot.status, snapshot.continued, tickets), (Status::Paused, 1, vec![]));
    let resumed = control::resume(snapshot, CommitId::default(), Timestamp(3)).unwrap();
    assert_eq!(resumed.tickets.len(), 1);
    // One that is being cancelled cleans up after the item instead.
    let mut run = start(&[("a", "a")], &[]);
    run.snapshot.has_clean_up = true;
    let limit = Duration::from_secs(60);
    run.snapshot =
        cancel_with_clean_up(run.snapshot, CommitId::default(), Timestamp(2), limit).unwrap().snapshot;
    let attempt = run.attempt(&ItemId::start(), "a", again("a1"));
    assert!(!run.apply(attempt));
    assert_eq!((run.snapshot.status, run.snapshot.continued), (Status::Cancelling, 0));
}

#[test]
fn w42_signals_go_along() {
    let mut run = start(&[("a", "a")], &[]);
    let first = run.snapshot.incarnation;
    assert_eq!(receive(&mut run, signal(1, "one", None)), Verdict::Kept);
    run.snapshot = applied(&run, &ItemId::start(), again("a1")).snapshot;
    assert_eq!((run.snapshot.mailbox.applied, run.snapshot.mailbox.letters.len()), (1, 1));
    assert_eq!(receive(&mut run, signal(2, "one", None)), Verdict::Duplicate);
    // Its sender may know the start, or the present incarnation, and no other one.
    let present = run.snapshot.incarnation;
    assert_eq!(receive(&mut run, signal(3, "two", Some(first))), Verdict::Kept);
    assert_eq!(receive(&mut run, signal(4, "three", Some(present))), Verdict::Kept);
    let other = Incarnation::continued(first, 2);
    assert_eq!(receive(&mut run, signal(5, "four", Some(other))), Verdict::OtherIncarnation);
    // What the step has taken is gone.
    let wanted = SignalWanted { names: vec!["x".to_owned()], all: false, until: None };
    assert!(run.apply(run.attempt(&ItemId::start(), "a", EncodedOutcome::WaitFor(wanted))));
    let left = |snapshot: &Snapshot| {
        snapshot.mailbox.letters.iter().map(|letter: &Letter| letter.sequence).collect::<Vec<_>>()
    };
    assert_eq!(left(&run.snapshot), [3, 4]);
    let next = applied(&run, &ItemId::start(), again("a2")).snapshot;
    assert_eq!((left(&next), next.waits.len()), (vec![3, 4], 0));
}

#[test]
fn a_step_that_runs_twice_continues_the_same() {
    let run = start(&[("a", "a")], &[]);
    let once = applied(&run, &ItemId::start(), again("a1"));
    assert_eq!(once, applied(&run, &ItemId::start(), again("a1")));
}
