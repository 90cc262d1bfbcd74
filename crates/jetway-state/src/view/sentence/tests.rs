//! What a status says of each kind of wait: before its time, from its time on, and with which hosts.

use crate::{
    CommitId, Incarnation, ItemId, RunKey, Timestamp,
    run::{
        Begin, BranchInput, Child, Failures, FanOut, PendingBranches, RunError, RunInput, SignalWait,
        Snapshot, Status, Trace, Wait, begin, cancel_with_clean_up, control,
    },
    view::{
        HostsOf, StatusView,
        WaitKind::{self, Deadline, HostFull, NoHost, Paused, Person, Retry, Signal, Start, Timer, Worker},
    },
};
use bytes::Bytes;
use std::time::Duration;

/// When everything in these tests is due.
const DUE: Timestamp = Timestamp(10_000);
const AT: &str = "1970-01-01T00:00:10.000Z";

const NONE: HostsOf = HostsOf { hosts: 0, slots: 0, queued: None };
const FREE: HostsOf = HostsOf { hosts: 1, slots: 4, queued: Some(0) };
const FULL: HostsOf = HostsOf { hosts: 1, slots: 4, queued: Some(1) };

fn begun(due: Option<Timestamp>) -> Snapshot {
    let key = RunKey::new("w".parse().unwrap(), "r".parse().unwrap());
    let (incarnation, commit, at) = (Incarnation::default(), CommitId::default(), Timestamp(100));
    let input = RunInput { node: "a".to_owned(), payload: Bytes::new(), context: Bytes::new() };
    begin(Begin { key, incarnation, commit, at, due, trace: Trace::default(), input }).0
}

/// A run whose item waits.
fn waits(wait: Wait) -> Snapshot {
    Snapshot { steps: 1, waits: [(ItemId::start(), wait)].into(), ..begun(None) }
}

fn signal() -> Wait {
    let (names, since) = (vec!["x".to_owned()], Timestamp(100));
    Wait::Signal(SignalWait { names, all: false, since, due: Some(DUE), taken: Vec::new() })
}

fn failed(wait: Wait) -> Snapshot {
    let (item, node) = (Some(ItemId::start()), Some("a".to_owned()));
    let latest = RunError { item, node, attempt: 1, kind: "error".to_owned(), message: "busy".to_owned() };
    let failures = Failures { count: 1, latest, first_at: Timestamp(100), ready_since: Timestamp(100) };
    Snapshot { failures: [(ItemId::start(), failures)].into(), ..waits(wait) }
}

fn child(snapshot: Snapshot, due: Option<Timestamp>) -> Snapshot {
    let run = RunKey::new("w".parse().unwrap(), "c".parse().unwrap());
    let child = Child { run, started: None, on_cancel: Default::default(), due };
    Snapshot { children: [(ItemId::start(), child)].into(), ..snapshot }
}

fn fan_out() -> Snapshot {
    let input = BranchInput { node: "a".to_owned(), payload: Bytes::new() };
    let inline = [(0, input.clone()), (1, input)].into();
    let fan_out = FanOut {
        opener: "o".to_owned(),
        outer: None,
        open: 2,
        branches: PendingBranches { count: 2, inline, ..PendingBranches::default() },
        arrivals: Default::default(),
        fired: Default::default(),
        due: Some(DUE),
        gather_due: None,
        ticket_item: ItemId::start(),
        from_span: None,
        pending_since: Timestamp(100),
    };
    let fan_outs = [(ItemId::start(), fan_out)].into();
    Snapshot { items: Default::default(), fan_outs, steps: 1, ..begun(None) }
}

/// A node with a limit: the item waits for its time, and then for a slot as well, which is free.
fn slot(mut snapshot: Snapshot) -> Snapshot {
    for item in snapshot.items.values_mut() {
        item.waits_for_slot = true;
    }
    snapshot
}

fn cleans_up() -> Snapshot {
    let snapshot = Snapshot { has_clean_up: true, ..begun(None) };
    let limit = Duration::from_millis(DUE.0 - 100);
    cancel_with_clean_up(snapshot, CommitId::default(), Timestamp(100), limit).unwrap().snapshot
}

fn status(snapshot: &Snapshot, now: u64, hosts: HostsOf) -> StatusView {
    StatusView::new(snapshot, Timestamp(now)).unwrap().with_hosts(hosts)
}

/// The first wait, with its times, and the sentence.
fn said(snapshot: &Snapshot, now: u64, hosts: HostsOf) -> (WaitKind, Option<String>, Option<String>, String) {
    let StatusView { mut waits, waiting_for, .. } = status(snapshot, now, hosts);
    let first = waits.remove(0);
    (first.kind, first.until, first.due_since, waiting_for.unwrap_or_default())
}

/// Every wait that has a time: its kind, the sentence before the time, and what the sentence says is due after it.
fn timed() -> [(&'static str, Snapshot, WaitKind, String, String); 9] {
    let due = DUE;
    let (retry, item) = (Wait::Retry { due, signals: None }, format!("due since {AT}, for node \"a\""));
    let child_or = format!("child run w/c, or signal \"x\", until {AT}");
    [
        ("start", begun(Some(due)), Start, format!("the time of its start, {AT}"), item.clone()),
        (
            "timer",
            waits(Wait::Timer { due }),
            Timer,
            format!("a timer, due at {AT}, for node \"a\""),
            item.clone(),
        ),
        (
            "slot",
            slot(waits(Wait::Timer { due })),
            Timer,
            format!("a timer, due at {AT}, for node \"a\""),
            item.clone(),
        ),
        (
            "retry",
            failed(retry),
            Retry,
            format!("attempt 2, for node \"a\", due at {AT}; attempt 1 failed: busy"),
            item.clone(),
        ),
        (
            "signal",
            waits(signal()),
            Signal,
            format!("signal \"x\", until {AT}, for node \"a\""),
            item.clone(),
        ),
        ("child", child(begun(None), Some(due)), WaitKind::Child, "child run w/c".to_owned(), item.clone()),
        ("child or signal", child(waits(signal()), None), WaitKind::Child, child_or, item.clone()),
        ("fan-out", fan_out(), Timer, format!("2 timers, the first due at {AT}"), item),
        (
            "clean-up",
            cleans_up(),
            Worker,
            format!("its clean-up, which ends at {AT} at the latest"),
            format!("the end of its clean-up, due since {AT}"),
        ),
    ]
}

#[test]
fn p10_a_wait_whose_time_has_passed_waits_for_a_host() {
    let no_host = "no live host serves the workflow \"w\"";
    let full = "a free slot: the hosts of workflow \"w\" run 4 steps, as many as they may";
    for (what, snapshot, kind, before, due) in timed() {
        let is_end = what == "clean-up";
        let until = (!is_end).then(|| AT.to_owned());
        let (first, end, since, sentence) = said(&snapshot, 9_999, FREE);
        assert_eq!((first, end, since), (kind, until, None), "{what}");
        assert!(sentence.starts_with(&before), "{what}: {sentence}");
        for now in [10_000, 60_000] {
            let of = |hosts, ready: WaitKind, sentence: &str| {
                let kind = if is_end { Deadline } else { ready };
                let expected = (kind, None, Some(AT.to_owned()), sentence.to_owned());
                assert_eq!(said(&snapshot, now, hosts), expected, "{what} at {now}");
            };
            of(NONE, NoHost, &format!("{due}; {no_host}"));
            of(FULL, HostFull, &format!("{due}; {full}"));
            of(FREE, Worker, if is_end { &due } else { "" });
            let view = StatusView::new(&snapshot, Timestamp(now)).unwrap();
            assert!(view.depends_on_hosts(), "{what}: nobody asks for the hosts");
            assert!(view.pending.iter().all(|node| node.sleeping == 0 && node.due.is_none()), "{what}");
        }
    }
}

#[test]
fn p10_the_clock_of_who_asks_is_not_behind_the_record() {
    let snapshot = Snapshot { updated_at: Timestamp(20_000), ..waits(Wait::Timer { due: DUE }) };
    assert_eq!(said(&snapshot, 9_999, NONE).0, NoHost);
}

#[test]
fn p10_a_run_past_its_deadline_waits_for_a_host() {
    let later = waits(Wait::Timer { due: Timestamp(90_000) });
    for snapshot in
        [begun(None), later, child(begun(None), None), failed(Wait::Person { since: DUE, signals: None })]
    {
        let snapshot = Snapshot { deadline: Some(DUE), ..snapshot };
        assert_ne!(said(&snapshot, 9_999, FREE).0, Deadline);
        let due = format!("the end of the run, due since {AT}");
        let since = Some(AT.to_owned());
        assert_eq!(said(&snapshot, 10_000, FREE), (Deadline, None, since.clone(), due.clone()));
        let sentence = format!("{due}; no live host serves the workflow \"w\"");
        assert_eq!(said(&snapshot, 10_000, NONE), (Deadline, None, since, sentence));
        let waits = status(&snapshot, 10_000, NONE).waits;
        assert_eq!(waits.len(), 1, "nothing else counts");
        assert_eq!(waits[0].moved_by, "a host that serves the workflow: then the run ends");
    }
}

#[test]
fn w27_the_pause_does_not_count_and_the_status_says_so() {
    let pause = |deadline| {
        let snapshot = Snapshot { deadline, ..waits(Wait::Timer { due: DUE }) };
        control::pause(snapshot, CommitId::default(), Timestamp(4_000)).unwrap().snapshot
    };
    let paused = pause(Some(Timestamp(15_000)));
    for (now, deadline) in [(4_000, "15.000"), (9_000, "20.000"), (20_000, "31.000")] {
        let view = status(&paused, now, NONE);
        assert_eq!(view.deadline, Some(format!("1970-01-01T00:00:{deadline}Z")), "if it is resumed at {now}");
        let sentence =
            "the run is paused: resume it; the pause does not count, and leaves 11.0 s to its deadline";
        assert_eq!(view.waiting_for.as_deref(), Some(sentence));
        assert_eq!((view.waits.len(), view.waits[0].kind), (1, Paused));
        assert_eq!((&view.waits[0].until, &view.waits[0].due_since), (&None, &None));
        let resumed = control::resume(paused.clone(), CommitId::default(), Timestamp(now)).unwrap().snapshot;
        assert_eq!(resumed.deadline.map(|deadline| deadline.to_string()), view.deadline);
    }
    let plain = status(&pause(None), 20_000, NONE);
    assert_eq!((plain.deadline, plain.waiting_for.as_deref()), (None, Some("the run is paused: resume it")));
    let late = status(&pause(Some(Timestamp(3_000))), 20_000, NONE).waiting_for.unwrap();
    assert!(late.ends_with("; its deadline had passed before the pause: it ends then"), "{late}");
}

#[test]
fn p10_what_has_no_time_is_never_due() {
    let person = Wait::Person { since: Timestamp(100), signals: None };
    assert_eq!(said(&failed(person), 60_000, NONE).0, Person);
    assert_eq!(said(&child(begun(None), None), 60_000, NONE).0, WaitKind::Child);
    // Ready from the begin on: there is no time that it was due at.
    let ready = said(&begun(None), 60_000, NONE);
    assert_eq!((ready.0, ready.2), (NoHost, None));
    assert_eq!(ready.3, "no live host serves the workflow \"w\"");
    let ended = Snapshot { status: Status::Completed, ..waits(Wait::Timer { due: DUE }) };
    assert_eq!(
        (status(&ended, 60_000, NONE).waits, status(&ended, 60_000, NONE).waiting_for),
        (vec![], None)
    );
}
