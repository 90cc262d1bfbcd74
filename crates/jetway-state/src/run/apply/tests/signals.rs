//! Waiting for signals.

use super::*;
use crate::{
    StoreId,
    run::{
        ArrivedSignal, Delivered, Later, MAX_LETTERS, NextTry, SawSignals, SignalPlace, SignalWanted,
        TicketFor, Verdict, control, deliver, pending_ticket,
    },
    view::StatusView,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

mod races;

const SECOND: Duration = Duration::from_secs(1);
const STORE: StoreId = StoreId(7);

fn again(due: u64) -> EncodedOutcome {
    EncodedOutcome::Retry(NextTry::At { due: Timestamp(due), began: Timestamp(1) }, error("busy"))
}

fn first_of(names: &[&str]) -> SignalWanted {
    SignalWanted { names: names.iter().map(ToString::to_string).collect(), all: false, until: None }
}

fn all_of(names: &[&str]) -> SignalWanted {
    SignalWanted { all: true, ..first_of(names) }
}

fn within(wanted: SignalWanted, duration: Duration) -> SignalWanted {
    SignalWanted { until: Some(Later::After(duration)), ..wanted }
}

fn signal(sequence: u64, name: &str) -> ArrivedSignal {
    let payload = Ok(Bytes::copy_from_slice(sequence.to_string().as_bytes()));
    let (name, place) = (name.to_owned(), SignalPlace::First);
    ArrivedSignal { sequence, place, name, id: None, incarnation: None, at: Timestamp(1), payload }
}

/// A record, and what is to be done for it.
struct Waiting {
    run: Run,
    effects: Vec<Effect>,
}

impl Waiting {
    /// Branches at a node that all wait, the first of them since 5, the next since 6, and so on.
    fn new(wanted: &[SignalWanted]) -> Self {
        let mut run = start(&[("a", "b"), ("b", "g")], &["g"]);
        run.step("a", all("b", &vec!["x"; wanted.len()]));
        run.tickets.clear();
        let mut waiting = Self { run, effects: Vec::new() };
        for (position, wanted) in (0..).zip(wanted) {
            waiting.commit(
                &branch(position),
                EncodedOutcome::WaitFor(wanted.clone()),
                5 + u64::from(position),
            );
        }
        waiting
    }

    fn commit(&mut self, item: &ItemId, produced: EncodedOutcome, at: u64) {
        let attempt = AttemptReport { timestamp: Timestamp(at), ..self.run.attempt(item, "b", produced) };
        let applied =
            apply(self.run.snapshot.clone(), attempt, CommitId::default(), &self.run.graph).unwrap();
        self.run.snapshot = applied.snapshot;
        self.run.tickets = applied.tickets.into_iter().map(|ticket| (ticket.node, ticket.item)).collect();
        self.effects = applied.effects;
    }

    fn deliver(&mut self, signals: &[ArrivedSignal], at: u64) -> Vec<Verdict> {
        let delivered =
            deliver(self.run.snapshot.clone(), STORE, signals, CommitId::default(), Timestamp(at));
        let Delivered { applied, verdicts } = delivered;
        self.effects.clear();
        if let Some(applied) = applied {
            assert!(applied.tickets.is_empty());
            (self.run.snapshot, self.effects) = (applied.snapshot, applied.effects);
        }
        verdicts
    }

    /// The sequences of the signals that the item has.
    fn has(&self, position: u32) -> Vec<u64> {
        let wait = self.run.snapshot.signal_wait(&branch(position)).unwrap();
        wait.taken.iter().map(|letter| letter.sequence).collect()
    }

    fn mailbox(&self) -> Vec<u64> {
        self.run.snapshot.mailbox.letters.iter().map(|letter| letter.sequence).collect()
    }

    fn is_ready(&self, position: u32, at: u64) -> bool {
        pending_ticket(&self.run.snapshot, &branch(position), Timestamp(at)).is_some()
    }
}

fn branch(position: u32) -> ItemId {
    ItemId::branch(&ItemId::start(), position)
}

#[test]
fn w45_the_item_that_waited_longest_gets_the_signal() {
    let mut waiting = Waiting::new(&[first_of(&["x"]), first_of(&["y", "x"]), first_of(&["x"])]);
    assert_eq!(waiting.deliver(&[signal(1, "x")], 20), [Verdict::Taken]);
    assert_eq!(waiting.effects, [Effect::WakeItems(vec![branch(0)])]);
    assert_eq!(waiting.deliver(&[signal(2, "x"), signal(3, "x")], 21), [Verdict::Taken; 2]);
    assert_eq!(waiting.effects, [Effect::WakeItems(vec![branch(1), branch(2)])]);
    assert_eq!((waiting.has(0), waiting.has(1), waiting.has(2)), (vec![1], vec![2], vec![3]));
    // A loop that waits again and again for the same name.
    for round in 4..10 {
        waiting.commit(&branch(0), EncodedOutcome::WaitFor(first_of(&["x"])), 20 + round);
        assert!(waiting.run.tickets.is_empty() && !waiting.is_ready(0, 1000));
        assert_eq!(waiting.deliver(&[signal(round, "x")], 20 + round), [Verdict::Taken]);
        assert_eq!(waiting.has(0), [round]);
    }
}

#[test]
fn w38_a_signal_before_anybody_waits_is_kept() {
    let mut waiting = Waiting::new(&[first_of(&["y"])]);
    let kept = waiting.deliver(&[signal(1, "x"), signal(2, "x"), signal(3, "z")], 20);
    assert_eq!((kept, waiting.effects.len()), (vec![Verdict::Kept; 3], 0));
    assert_eq!(waiting.deliver(&[signal(4, "y")], 20), [Verdict::Taken]);
    waiting.commit(&branch(0), EncodedOutcome::WaitFor(first_of(&["x", "z"])), 21);
    assert_eq!((waiting.has(0), waiting.mailbox()), (vec![1], vec![2, 3]));
    let ticket = ("b".to_owned(), branch(0));
    assert_eq!(waiting.run.tickets, [ticket], "its ticket is in the hand of who waits");
    waiting.commit(&branch(0), EncodedOutcome::WaitFor(all_of(&["z", "x"])), 22);
    assert_eq!((waiting.has(0), waiting.mailbox()), (vec![2, 3], vec![]));
}

#[test]
fn all_of_waits_for_one_of_each() {
    let mut waiting = Waiting::new(&[all_of(&["x", "y", "x"])]);
    let verdicts = waiting.deliver(&[signal(1, "y"), signal(2, "y"), signal(3, "z")], 20);
    assert_eq!(verdicts, [Verdict::Taken, Verdict::Kept, Verdict::Kept]);
    assert!(waiting.effects.is_empty() && !waiting.is_ready(0, 1000));
    assert_eq!(waiting.deliver(&[signal(4, "x")], 20), [Verdict::Taken]);
    assert_eq!((waiting.has(0), waiting.is_ready(0, 20)), (vec![1, 4], true));
}

#[test]
fn w40_a_signal_after_the_deadline_is_kept_for_the_next_wait() {
    let mut waiting = Waiting::new(&[within(first_of(&["x"]), SECOND)]);
    let armed = waiting.run.snapshot.alarm(Timestamp(5)).map(|alarm| (alarm.due, alarm.ticket.item));
    assert_eq!(armed, Some((Timestamp(1005), branch(0))));
    assert_eq!(waiting.effects, [Effect::ArmAlarm { since: Timestamp(5) }]);
    assert_eq!(waiting.deliver(&[signal(1, "x")], 1005), [Verdict::Kept]);
    assert!(waiting.is_ready(0, 1005) && waiting.has(0).is_empty());
    waiting.commit(&branch(0), EncodedOutcome::WaitFor(within(first_of(&["x"]), SECOND)), 1010);
    assert_eq!((waiting.has(0), waiting.mailbox(), waiting.run.tickets.len()), (vec![1], vec![], 1));
}

#[test]
fn w40_what_a_passed_deadline_leaves_goes_to_others_or_back() {
    let (both, long) = (all_of(&["x", "y"]), first_of(&["x"]));
    let mut waiting = Waiting::new(&[within(both.clone(), SECOND), within(both, SECOND), long]);
    waiting.deliver(&[signal(1, "x"), signal(2, "x")], 20);
    assert_eq!((waiting.has(0), waiting.has(1), waiting.has(2)), (vec![1], vec![2], vec![]));
    waiting.commit(&branch(1), next(&[("g", "1")]), 2000);
    assert_eq!(
        (waiting.effects.clone(), waiting.has(2)),
        (
            vec![
                Effect::WakeItems(vec![branch(2)]),
                Effect::PublishDue { since: Timestamp(20), except: branch(0) }
            ],
            vec![2]
        )
    );
    waiting.deliver(&[signal(3, "x")], 2001);
    waiting.commit(&branch(0), EncodedOutcome::WaitFor(first_of(&["y"])), 2001);
    assert_eq!(waiting.mailbox(), [1, 3]);
}

#[test]
fn w24_a_wait_of_no_time_looks_into_the_mailbox() {
    let mut waiting = Waiting::new(&[within(first_of(&["x"]), Duration::ZERO)]);
    assert_eq!((waiting.run.tickets.len(), waiting.effects.len()), (1, 0));
    assert!(waiting.is_ready(0, 5) && waiting.has(0).is_empty());
    waiting.deliver(&[signal(1, "x")], 6);
    waiting.commit(&branch(0), EncodedOutcome::WaitFor(within(first_of(&["x"]), Duration::ZERO)), 7);
    assert_eq!(waiting.has(0), [1]);
}

#[test]
fn w42_one_id_is_one_signal() {
    let mut waiting = Waiting::new(&[first_of(&["x"])]);
    let with_id = |sequence, id| ArrivedSignal { id: Some(id), ..signal(sequence, "x") };
    let verdicts = waiting.deliver(&[with_id(1, 9), with_id(2, 9), signal(3, "x"), signal(4, "x")], 20);
    assert_eq!(verdicts, [Verdict::Taken, Verdict::Duplicate, Verdict::Kept, Verdict::Kept]);
    let before = waiting.run.snapshot.clone();
    assert_eq!(waiting.deliver(&[with_id(5, 9)], 30), [Verdict::Duplicate]);
    assert_eq!(waiting.run.snapshot, before, "nothing is written for it");
}

#[test]
fn a_signal_that_is_repeated_after_the_end_is_a_duplicate() {
    let mut waiting = Waiting::new(&[first_of(&["x"])]);
    let with_id = |sequence, id| ArrivedSignal { id: Some(id), ..signal(sequence, "x") };
    assert_eq!(waiting.deliver(&[with_id(1, 9)], 20), [Verdict::Taken]);
    let running = waiting.run.snapshot.clone();
    waiting.run.snapshot = control::cancel(running, CommitId::default(), Timestamp(31)).unwrap().snapshot;
    let foreign = ArrivedSignal { incarnation: Some(Incarnation::from_random(5)), ..with_id(4, 9) };
    let verdicts = waiting.deliver(&[with_id(2, 9), with_id(3, 8), foreign], 40);
    assert_eq!(verdicts, [Verdict::Duplicate, Verdict::RunEnded, Verdict::RunEnded]);
}

#[test]
fn what_is_delivered_again_changes_nothing() {
    let mut waiting = Waiting::new(&[first_of(&["x"])]);
    let foreign = ArrivedSignal { incarnation: Some(Incarnation::from_random(5)), ..signal(2, "x") };
    let bad = ArrivedSignal { payload: Err(Verdict::BadPayload), ..signal(3, "x") };
    let signals = [signal(1, "x"), foreign, bad, signal(4, "x")];
    let verdicts = waiting.deliver(&signals, 20);
    assert_eq!(verdicts, [Verdict::Taken, Verdict::OtherIncarnation, Verdict::BadPayload, Verdict::Kept]);
    let before = waiting.run.snapshot.clone();
    assert_eq!(waiting.deliver(&signals, 30), verdicts);
    assert_eq!(waiting.run.snapshot, before);
    let ended = control::cancel(before, CommitId::default(), Timestamp(31)).unwrap().snapshot;
    waiting.run.snapshot = ended;
    assert_eq!(waiting.deliver(&signals, 40)[..3], [Verdict::Kept, verdicts[1], verdicts[2]]);
    assert_eq!(waiting.deliver(&[signal(5, "x")], 40), [Verdict::RunEnded]);
}

/// What is put off is given to a run before it comes again: in the order of first sending, and once.
#[test]
fn w38_what_is_put_off_is_known_by_its_id_alone() {
    let mut waiting = Waiting::new(&[first_of(&["x"])]);
    let later = |sequence, id, at| ArrivedSignal {
        place: SignalPlace::Later,
        id: Some(id),
        at: Timestamp(at),
        ..signal(sequence, "x")
    };
    let again = |sequence, id, at| ArrivedSignal { place: SignalPlace::Again, ..later(sequence, id, at) };
    let signals = [later(20, 1, 2), again(12, 2, 3), signal(9, "x"), later(21, 3, 5)];
    assert_eq!(waiting.deliver(&signals, 20), [Verdict::Taken, Verdict::Kept, Verdict::Kept, Verdict::Kept]);
    let sequences = |waiting: &Waiting| {
        let letters = &waiting.run.snapshot.mailbox.letters;
        letters.iter().map(|letter| letter.sequence).collect::<Vec<_>>()
    };
    assert_eq!((waiting.has(0), sequences(&waiting)), (vec![20], vec![9, 12, 21]), "a time of 1, of 3, of 5");
    assert_eq!(waiting.run.snapshot.mailbox.applied, 12, "what is put off has no place in the store");
    // They come again; what is stored between them is applied.
    let signals = [again(22, 1, 2), signal(23, "x"), again(24, 3, 5), later(21, 3, 5)];
    let verdicts = waiting.deliver(&signals, 30);
    assert_eq!(verdicts, [Verdict::Duplicate, Verdict::Kept, Verdict::Duplicate, Verdict::Duplicate]);
    assert_eq!(waiting.run.snapshot.mailbox.applied, 24);
    // What is refused is left to its own message.
    let bad = ArrivedSignal { payload: Err(Verdict::BadPayload), ..later(25, 4, 6) };
    let before = waiting.run.snapshot.clone();
    assert_eq!(waiting.deliver(&[bad], 40), [Verdict::BadPayload]);
    assert_eq!(waiting.run.snapshot, before);
}

/// Two signals of one commit need not be in the order of the store.
#[test]
fn w42_a_sequence_is_applied_once() {
    let mut waiting = Waiting::new(&[first_of(&["y"])]);
    let again = ArrivedSignal { place: SignalPlace::Again, at: Timestamp(0), ..signal(9, "x") };
    let signals = [again, signal(4, "x"), signal(7, "x"), signal(4, "x")];
    assert_eq!(waiting.deliver(&signals, 20), [Verdict::Kept; 4]);
    assert_eq!(waiting.run.snapshot.mailbox.letters.len(), 3);
    assert_eq!(waiting.deliver(&signals, 30), [Verdict::Kept; 4]);
    assert_eq!(waiting.run.snapshot.mailbox.letters.len(), 3);
}

#[test]
fn a_store_that_was_made_anew_begins_again() {
    let mut waiting = Waiting::new(&[first_of(&["x"])]);
    waiting.deliver(&[signal(8, "y")], 20);
    let anew = deliver(
        waiting.run.snapshot.clone(),
        StoreId(8),
        &[signal(1, "x")],
        CommitId::default(),
        Timestamp(21),
    );
    assert_eq!(anew.verdicts, [Verdict::Taken]);
    let mailbox = anew.applied.unwrap().snapshot.mailbox;
    assert_eq!((mailbox.store, mailbox.applied, mailbox.letters.len()), (StoreId(8), 1, 1));
}

#[test]
fn w43_a_full_mailbox_refuses_what_nobody_waits_for() {
    let mut waiting = Waiting::new(&[first_of(&["x"])]);
    let many: Vec<_> = (1..=MAX_LETTERS as u64 + 1).map(|sequence| signal(sequence, "y")).collect();
    let verdicts = waiting.deliver(&many, 20);
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Kept).count(), MAX_LETTERS);
    assert_eq!(verdicts.last(), Some(&Verdict::MailboxFull));
    assert_eq!(
        waiting.deliver(&[signal(2000, "x"), signal(2001, "x")], 21),
        [Verdict::Taken, Verdict::MailboxFull]
    );
    assert_eq!(waiting.deliver(&many[MAX_LETTERS..], 22), [Verdict::MailboxFull], "the same as before");
}

#[test]
fn w44_nothing_that_sleeps_or_backs_off_starts_early() {
    let mut run = start(&[("a", "b")], &[]);
    run.step("a", EncodedOutcome::NextLater(Later::After(SECOND), to(&[("b", "1")])));
    let item = run.snapshot.waits.keys().next().unwrap().clone();
    let mut waiting = Waiting { run, effects: Vec::new() };
    assert_eq!(waiting.deliver(&[signal(1, "x")], 20), [Verdict::Kept]);
    assert!(waiting.effects.is_empty() && pending_tickets(&waiting.run.snapshot, Timestamp(20)).is_empty());
    waiting.commit(&item, again(5000), 1002);
    assert_eq!(waiting.deliver(&[signal(2, "x")], 1003), [Verdict::Kept]);
    assert!(waiting.effects.is_empty() && pending_tickets(&waiting.run.snapshot, Timestamp(1003)).is_empty());
    let status = StatusView::new(&waiting.run.snapshot, Timestamp(0)).unwrap();
    let mailbox = status.mailbox.unwrap();
    assert_eq!((mailbox.signals, mailbox.names["x"]), (2, 2));
}

#[test]
fn an_answer_outlives_a_failed_attempt() {
    let mut waiting = Waiting::new(&[first_of(&["x"])]);
    waiting.deliver(&[signal(1, "x")], 20);
    waiting.commit(&branch(0), again(500), 21);
    assert_eq!((waiting.has(0), waiting.is_ready(0, 499), waiting.is_ready(0, 500)), (vec![1], false, true));
    waiting.commit(&branch(0), again(900), 500);
    assert_eq!(waiting.has(0), [1]);
    let failed = waiting.run.attempt(&branch(0), "b", EncodedOutcome::Failed(error("enough")));
    let failed = AttemptReport { timestamp: Timestamp(900), ..failed };
    let ended = apply(waiting.run.snapshot, failed, CommitId::default(), &waiting.run.graph).unwrap();
    assert!(ended.snapshot.mailbox.letters.is_empty(), "the step has taken it");
}

#[test]
fn w40_what_nobody_took_is_reported_at_the_end() {
    let mut waiting = Waiting::new(&[first_of(&["x"]), all_of(&["y", "z"]), first_of(&["x"])]);
    waiting.deliver(&[signal(1, "q"), signal(2, "x"), signal(3, "y")], 20);
    let ended = control::cancel(waiting.run.snapshot, CommitId::default(), Timestamp(30)).unwrap();
    assert_eq!(ended.effects, [Effect::TellHosts, Effect::ReportUntaken, Effect::PublishResult]);
    let letters: Vec<_> = ended.snapshot.mailbox.letters.iter().map(|letter| letter.sequence).collect();
    assert_eq!((letters, ended.snapshot.waits.len()), (vec![1, 2, 3], 0));
    assert_eq!(crate::run::end_effects(&ended.snapshot), ended.effects[1..]);
}

#[test]
fn a_paused_run_takes_signals_and_starts_nothing() {
    let mut waiting = Waiting::new(&[first_of(&["x"])]);
    waiting.run.snapshot =
        control::pause(waiting.run.snapshot, CommitId::default(), Timestamp(10)).unwrap().snapshot;
    assert_eq!(waiting.deliver(&[signal(1, "x")], 20), [Verdict::Taken]);
    assert_eq!(waiting.run.snapshot.status, Status::Paused);
    let resumed = control::resume(waiting.run.snapshot, CommitId::default(), Timestamp(30)).unwrap();
    assert_eq!(resumed.tickets, [TicketFor { item: branch(0), node: "b".to_owned() }]);
}

#[test]
fn a_waiting_item_gives_its_slot_to_another() {
    let mut run = start(&[("a", "b"), ("b", "g")], &["g"]);
    run.graph.nodes.iter_mut().find(|node| node.name == "b").unwrap().at_most = Some(1);
    run.step("a", all("b", &["0", "1"]));
    let mut waiting = Waiting { run, effects: Vec::new() };
    waiting.commit(&branch(0), EncodedOutcome::WaitFor(first_of(&["x"])), 5);
    assert_eq!(waiting.run.tickets, [("b".to_owned(), branch(1))]);
    waiting.deliver(&[signal(1, "x")], 6);
    assert!(!waiting.is_ready(0, 6), "the other one has the slot");
    waiting.commit(&branch(1), EncodedOutcome::WaitFor(first_of(&["x"])), 7);
    assert_eq!(waiting.run.tickets, [("b".to_owned(), branch(0))]);
    assert!(!waiting.run.snapshot.waits_for_slot(&branch(0)));
    waiting.deliver(&[signal(2, "x")], 8);
    waiting.commit(&branch(0), next(&[("g", "1")]), 9);
    assert_eq!(waiting.run.tickets, [("b".to_owned(), branch(1))]);
}

#[test]
fn an_answered_wait_disarms_its_alarm() {
    let day = Duration::from_secs(24 * 3600);
    let mut waiting = Waiting::new(&[within(first_of(&["x"]), day), within(first_of(&["x"]), 2 * day)]);
    waiting.deliver(&[signal(1, "x")], 20);
    assert_eq!(
        waiting.effects,
        [
            Effect::WakeItems(vec![branch(0)]),
            Effect::ArmAlarm { since: Timestamp(20) },
            Effect::DisarmAlarm(Timestamp(86_400_005))
        ]
    );
    assert_eq!(waiting.run.snapshot.next_due(Timestamp(20)), Some(Timestamp(2 * 86_400_000 + 6)));
}

#[test]
fn a_status_says_which_signals_a_run_waits_for() {
    let says = |waiting: &Waiting| {
        StatusView::new(&waiting.run.snapshot, Timestamp(0)).unwrap().waiting_for.unwrap()
    };
    let mut one = Waiting::new(&[within(first_of(&["x"]), SECOND)]);
    assert_eq!(says(&one), "signal \"x\", until 1970-01-01T00:00:01.005Z, for node \"b\"");
    one.commit(&branch(0), EncodedOutcome::WaitFor(first_of(&["x", "y"])), 2000);
    assert_eq!(says(&one), "signal \"x\" or \"y\", for node \"b\"");
    one.commit(&branch(0), EncodedOutcome::WaitFor(all_of(&["x", "y"])), 2000);
    assert_eq!(says(&one), "signals \"x\" and \"y\", for node \"b\"");
    one.deliver(&[signal(1, "y")], 2001);
    assert_eq!(says(&one), "signal \"x\", for node \"b\"");
    let two = Waiting::new(&[first_of(&["x"]), within(first_of(&["y"]), SECOND)]);
    assert_eq!(says(&two), "signal \"x\", for node \"b\"; 2 items wait for signals or times");
    let status = StatusView::new(&two.run.snapshot, Timestamp(0)).unwrap();
    let pending = &status.pending[0];
    assert_eq!((pending.items, pending.sleeping, pending.signals.len()), (2, 2, 2));
    assert_eq!(pending.due.as_deref(), Some("1970-01-01T00:00:01.006Z"));
    let text = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<StatusView>(&text).unwrap(), status);
}

#[test]
fn a_record_with_signals_is_read_again() {
    let mut waiting = Waiting::new(&[within(all_of(&["x", "y"]), SECOND), first_of(&["z"])]);
    waiting.deliver(&[signal(1, "x"), signal(2, "q"), ArrivedSignal { id: Some(3), ..signal(3, "z") }], 20);
    waiting.commit(&branch(1), again(900), 21);
    let sealed = waiting.run.snapshot.seal(crate::Fingerprint(1)).unwrap();
    assert_eq!(Snapshot::open(&sealed).unwrap().0, waiting.run.snapshot);
}
