//! Snapshots with signals, deadlines, chains and child runs with rules.

use super::incarnation;
use anyhow::Result;
use bytes::Bytes;
use jetway_state::{
    CommitId, Fingerprint, Incarnation, ItemId, RunId, RunKey, Seen, StoreId, Timestamp, WorkflowName,
    codec::FORMAT,
    run::{
        Arrival, Arrivals, CancelReason, Cancellation, Child, ChildGroup, ChildIntent, ChildStart, Failures,
        Letter, Mailbox, OnParentCancel, RunError, RunInput, SignalWait, Snapshot, Verdict, Wait,
    },
};
use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

const AT: Timestamp = Timestamp(1_780_000_000_000);

fn item(name: &str) -> ItemId {
    ItemId::new(name).expect("good")
}

fn run(id: &str) -> RunKey {
    RunKey::new(WorkflowName::new("parcel").expect("good"), RunId::new(id).expect("good"))
}

fn letter(name: &str, sequence: u64) -> Letter {
    let (payload, store) = (Bytes::from_static(b"\xf5"), StoreId::default());
    Letter { name: name.to_owned(), payload, at: AT, sequence, store, put_off: false }
}

fn approval() -> SignalWait {
    let names = vec!["approve".to_owned(), "reject".to_owned()];
    SignalWait {
        names,
        all: true,
        since: AT,
        due: Some(AT.after(Duration::from_secs(5))),
        taken: vec![letter("approve", 7)],
    }
}

fn failures() -> Failures {
    let latest = RunError {
        item: Some(item("charge")),
        node: Some("charge".to_owned()),
        attempt: 2,
        kind: "error".to_owned(),
        message: "declined".to_owned(),
    };
    Failures { count: 2, latest, first_at: AT, ready_since: AT }
}

fn child(id: &str, started: Option<u64>) -> Child {
    let started = started.map(|revision| Seen::new(revision, StoreId(9)));
    Child {
        run: run(id),
        started,
        on_cancel: OnParentCancel::Wait,
        due: Some(AT.after(Duration::from_secs(60))),
    }
}

fn group() -> ChildGroup {
    let ended = Arrival { position: 0, from: item("many"), span: None, payload: Bytes::from_static(b"\x01") };
    ChildGroup {
        count: 5,
        bound: 2,
        fail_fast: true,
        next: 3,
        open: BTreeMap::from([(1, child("p-1", Some(4))), (2, child("p-2", None))]),
        ended: Arrivals { count: 1, inline: vec![ended], chunks: Vec::new() },
    }
}

fn intents() -> Vec<ChildIntent> {
    let input = RunInput {
        node: "pack".to_owned(),
        payload: Bytes::from_static(b"\x02"),
        context: Bytes::from_static(b"\xa0"),
    };
    let start = ChildStart {
        run: run("p-3"),
        input,
        build: Fingerprint(0xbeef),
        has_clean_up: true,
        limit: Some(Duration::from_millis(1_500)),
    };
    let former = Some(Incarnation::from_random(11));
    vec![
        ChildIntent::Start(Box::new(start)),
        ChildIntent::Cancel { run: run("p-4"), item: item("ask"), seen: Seen::new(3, StoreId(9)), of: None },
        ChildIntent::Prevent { run: run("p-5"), item: item("ask"), spare: true, of: former },
    ]
}

fn mailbox() -> Mailbox {
    Mailbox {
        store: StoreId(9),
        applied: 12,
        recent: vec![1, u64::MAX],
        letters: vec![letter("note", 8), letter("note", 12)],
        refused: vec![(10, Verdict::MailboxFull), (11, Verdict::UnknownSignal)],
    }
}

/// A snapshot with everything that formats 2 and 3 add to items.
fn waiting() -> Snapshot {
    let (snapshot, _) = super::sample();
    let signals = || Some(Box::new(approval()));
    let waits = [
        (item("nap"), Wait::Timer { due: AT }),
        (item("charge"), Wait::Retry { due: AT, signals: signals() }),
        (item("person"), Wait::Person { since: AT, signals: None }),
        (item("ask"), Wait::Signal(approval())),
    ];
    Snapshot {
        waits: BTreeMap::from(waits),
        failures: BTreeMap::from([(item("charge"), failures())]),
        attempts: BTreeMap::from([(item("charge"), 4)]),
        mailbox: mailbox(),
        children: BTreeMap::from([(item("one"), child("p-0", Some(2)))]),
        child_groups: BTreeMap::from([(item("many"), group())]),
        intents: intents(),
        has_clean_up: true,
        cancel: Some(Cancellation {
            at: AT,
            until: Some(AT.after(Duration::from_secs(10))),
            reason: CancelReason::Deadline,
            clean_up: [item("refund")].into(),
            not_run: vec!["refund".to_owned()],
        }),
        deadline: Some(AT.after(Duration::from_secs(3_600))),
        paused_at: Some(AT),
        chain: Some(incarnation()),
        continued: 3,
        commit: CommitId { writer: 2, number: 3 },
        ..snapshot
    }
}

#[test]
fn a_snapshot_of_format_3_is_read() -> Result<()> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/v3/snapshot.jw");
    let written = waiting().seal(Fingerprint(0xfeed))?;
    assert_eq!(written[2..4], FORMAT.to_be_bytes());
    if !path.exists() && std::env::var_os("JETWAY_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().expect("it has a folder"))?;
        fs::write(&path, &written)?;
    }
    let (snapshot, fingerprint) = Snapshot::open(&fs::read(&path)?)?;
    assert_eq!((snapshot, fingerprint), (waiting(), Fingerprint(0xfeed)));
    Ok(())
}

/// Builds that know format 2 can go on with what has nothing of format 3.
#[test]
fn each_snapshot_has_the_first_format_that_can_hold_it() -> Result<()> {
    let format = |snapshot: &Snapshot| -> Result<u16> {
        let sealed = snapshot.seal(Fingerprint(1))?;
        Ok(u16::from_be_bytes([sealed[2], sealed[3]]))
    };
    let (plain, all) = (super::sample().0, waiting());
    assert_eq!(format(&plain)?, 1);
    for second in [
        Snapshot { waits: all.waits.clone(), ..plain.clone() },
        Snapshot { mailbox: all.mailbox.clone(), ..plain.clone() },
        Snapshot { cancel: all.cancel.clone(), ..plain.clone() },
        Snapshot { has_clean_up: true, ..plain.clone() },
    ] {
        assert_eq!(format(&second)?, 2);
    }
    let child = Child { on_cancel: OnParentCancel::Cancel, due: None, ..child("p-0", None) };
    let beside = Snapshot { children: BTreeMap::from([(item("ask"), child)]), ..plain.clone() };
    assert_eq!(format(&beside)?, 1);
    for third in [
        Snapshot { waits: all.waits.clone(), ..beside },
        Snapshot { children: all.children.clone(), ..plain.clone() },
        Snapshot { child_groups: all.child_groups.clone(), ..plain.clone() },
        Snapshot { intents: all.intents.clone(), ..plain.clone() },
        Snapshot { deadline: all.deadline, ..plain.clone() },
        Snapshot { chain: all.chain, continued: 1, ..plain.clone() },
    ] {
        assert_eq!(format(&third)?, 3);
    }
    Ok(())
}
