//! What earlier builds wrote stays readable for ever.
//!
//! `tests/golden/v1` holds a snapshot, a ticket and a chunk as format 1 wrote them. They are never written again: a change
//! of the format adds a folder. Start messages have no format of ours: they are JSON or CBOR, and headers.
//! `tests/golden/v2` holds a snapshot as format 2 has it, with waits, and `v3` one of format 3, with all that a run can wait for.

mod later;

use anyhow::{Context, Result};
use bytes::Bytes;
use jetway_engine::backend::Ticket;
use jetway_state::{
    CommitId, Fingerprint, Graph, GraphNode, Incarnation, ItemId, RunId, RunKey, Timestamp, WorkflowName,
    codec::{self, FORMAT},
    run::{
        AttemptReport, Begin, ChunkEntry, EncodedEmission, EncodedOutcome, EncodedOutput, EndedSpan, Input,
        Later, Limits, RunError, RunInput, Snapshot, Status, Successor, Trace, apply, begin, offload,
    },
    trace::TraceHeaders,
};
use std::{fs, path::PathBuf, time::Duration};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/v1").join(name)
}

fn read(name: &str) -> Result<Vec<u8>> {
    let path = file(name);
    if !path.exists() && std::env::var_os("JETWAY_WRITE_GOLDEN").is_some() {
        let bytes = match name {
            "snapshot.jw" => codec::seal(&sample().0, Fingerprint(0xfeed), "a snapshot")?,
            "chunk.cbor" => sample().1,
            _ => codec::seal(&ticket(), Fingerprint(0xfeed), "a ticket")?,
        };
        fs::write(&path, bytes)?;
    }
    fs::read(&path).with_context(|| format!("{} is missing", path.display()))
}

fn key() -> RunKey {
    RunKey::new(WorkflowName::new("orders").expect("good"), RunId::new("order-17").expect("good"))
}

fn attempt(item: &str, node: &str, produced: EncodedOutcome) -> AttemptReport {
    AttemptReport {
        incarnation: incarnation(),
        item: ItemId::new(item).expect("good"),
        node: node.to_owned(),
        ticket_item: ItemId::start(),
        number: 2,
        timestamp: Timestamp(1_780_000_001_000),
        span: Some(EndedSpan { id: 77, end_micros: 1_780_000_001_000_500 }),
        produced,
        context: Some(Bytes::from_static(b"\xa1aa\x01")),
    }
}

fn to(node: &str, payload: &'static [u8]) -> EncodedEmission {
    let successor = Successor { node: node.to_owned(), payload: Bytes::from_static(payload) };
    EncodedEmission { successors: vec![successor], ..EncodedEmission::default() }
}

/// A snapshot with everything that format 1 can hold, and the chunk that its branches are in.
fn sample() -> (Snapshot, Bytes) {
    let graph = Graph {
        nodes: vec![GraphNode { name: "join".to_owned(), gathers: true, ..GraphNode::default() }],
        ..Graph::default()
    };
    let (mut snapshot, _) = begin(Begin {
        key: key(),
        incarnation: incarnation(),
        commit: CommitId { writer: 1, number: 2 },
        at: Timestamp(1_780_000_000_000),
        due: None,
        trace: Trace {
            trace_id: 3,
            span_id: 4,
            parent_id: Some(5),
            flags: 1,
            state: "a=b".to_owned(),
            start_micros: 1_780_000_000_000_250,
            end_micros: 0,
        },
        input: RunInput {
            node: "split".to_owned(),
            payload: Bytes::from_static(b"\x01"),
            context: Bytes::from_static(b"\xa0"),
        },
    });
    let caught = RunError {
        item: Some(ItemId::start()),
        node: Some("work".to_owned()),
        attempt: 1,
        kind: "error".to_owned(),
        message: "no".to_owned(),
    };
    let output =
        EncodedOutput { json: Bytes::from_static(b"null"), exact: Some(Bytes::from_static(b"\xf9\x7e\x00")) };
    let output = EncodedEmission { output: Some(output), ..EncodedEmission::default() };
    let all = (0..5).map(|_| to("work", b"\x02payload")).collect();
    for (item, node, produced) in [
        ("start", "split", EncodedOutcome::NextAll(all)),
        ("start-0", "work", EncodedOutcome::Next(to("join", b"\x03"))),
        ("start-1", "work", EncodedOutcome::Handled(caught, to("rescue", b"\x04"))),
        ("start-2", "work", EncodedOutcome::Next(output)),
    ] {
        let commit = CommitId { writer: 1, number: snapshot.steps + 3 };
        snapshot =
            apply(snapshot, attempt(item, node, produced), commit, &graph).expect("it is pending").snapshot;
    }
    let limits = Limits { inline: 0, group: 4, ..Limits::default() };
    let chunks = offload(&mut snapshot, CommitId { writer: 1, number: 9 }, 0, &limits).expect("it spills");
    let branches = snapshot.fan_outs[&ItemId::start()].branches.chunks[0].chunk;
    let chunk = chunks.into_iter().find(|chunk| chunk.name == branches).expect("it is written");
    (snapshot, chunk.bytes)
}

fn incarnation() -> Incarnation {
    Incarnation::from_random(0x0123_4567_89ab_cdef_0123)
}

fn ticket() -> Ticket {
    Ticket {
        workflow: key().workflow,
        run_id: key().run_id,
        incarnation: incarnation(),
        node: "work".to_owned(),
        item: ItemId::branch(&ItemId::start(), 3),
        revision: 12,
        store: jetway_state::StoreId::default(),
        woken_by: None,
        attempt: 1,
        given_back: 0,
        at: Timestamp(1_780_000_000_500),
        trace: TraceHeaders { parent: Some("00-01-02-01".to_owned()), state: None },
    }
}

#[test]
fn a_snapshot_of_format_1_is_read() -> Result<()> {
    let (snapshot, fingerprint) = Snapshot::open(&read("snapshot.jw")?)?;
    assert_eq!(fingerprint, Fingerprint(0xfeed));
    assert_eq!((snapshot.status, snapshot.steps, snapshot.pending()), (Status::Running, 4, 3));
    let fan_out = &snapshot.fan_outs[&ItemId::start()];
    assert_eq!((fan_out.branches.count, fan_out.branches.open(), fan_out.branches.chunks.len()), (5, 2, 1));
    assert_eq!(fan_out.arrivals["join"].count, 1);
    assert!(snapshot.items.values().any(|item| item.node == "rescue" && matches!(item.input, Input::One(_))));
    assert_eq!(snapshot, sample().0);
    Ok(())
}

#[test]
fn a_ticket_of_format_1_is_read() -> Result<()> {
    let (found, fingerprint) = codec::open::<Ticket>(&read("ticket.jw")?, "a ticket")?;
    assert_eq!((found, fingerprint), (ticket(), Fingerprint(0xfeed)));
    Ok(())
}

#[test]
fn a_newer_format_is_refused_in_words() -> Result<()> {
    for name in ["snapshot.jw", "ticket.jw"] {
        let mut newer = read(name)?;
        newer[3] = u8::MAX;
        let refused = match name {
            "snapshot.jw" => Snapshot::open(&newer).map(drop),
            _ => codec::open::<Ticket>(&newer, "a ticket").map(drop),
        };
        let refused = refused.expect_err("it is refused").to_string();
        assert!(refused.contains("has format 255"), "{refused}");
        assert!(refused.contains(&format!("reads up to format {FORMAT}: update this host")), "{refused}");
    }
    Ok(())
}

#[test]
fn a_chunk_of_format_1_is_read() -> Result<()> {
    let entries: Vec<ChunkEntry> = codec::decode(&read("chunk.cbor")?, "a chunk")?;
    let position = |entry: &ChunkEntry| match entry {
        ChunkEntry::Branch { position, node, payload } if node == "work" && payload == "\x02payload" => {
            *position
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(entries.iter().map(position).collect::<Vec<_>>(), [3, 4]);
    Ok(())
}

/// What format 2 has in addition: items and fan-outs that wait for a time, and an output that does.
fn later() -> Snapshot {
    let (mut snapshot, _) = sample();
    let later = |millis| Later::After(Duration::from_millis(millis));
    let output = EncodedOutput { json: Bytes::from_static(b"7"), exact: None };
    let output = EncodedEmission { output: Some(output), ..EncodedEmission::default() };
    let rescue = snapshot.items.keys().next().expect("it is pending").clone();
    for (item, node, produced) in [
        (rescue.as_str(), "rescue", EncodedOutcome::NextLater(later(500), to("work", b"\x05"))),
        ("start-3", "work", EncodedOutcome::NextLater(later(700), output)),
        ("start-4", "work", EncodedOutcome::NextLater(later(900), to("join", b"\x06"))),
    ] {
        let commit = CommitId { writer: 1, number: snapshot.steps + 3 };
        let graph = Graph {
            nodes: vec![GraphNode { name: "join".to_owned(), gathers: true, ..GraphNode::default() }],
            ..Graph::default()
        };
        let attempt = attempt(item, node, produced);
        snapshot = apply(snapshot, attempt, commit, &graph).expect("it is pending").snapshot;
    }
    snapshot
}

#[test]
fn a_snapshot_of_format_2_is_read() -> Result<()> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/v2/snapshot.jw");
    if !path.exists() && std::env::var_os("JETWAY_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().expect("it has a folder"))?;
        fs::write(&path, later().seal(Fingerprint(0xfeed))?)?;
    }
    let (snapshot, _) = Snapshot::open(&fs::read(&path)?)?;
    assert_eq!((snapshot.waits.len(), snapshot.next_due(snapshot.updated_at)), (2, snapshot.dues().min()));
    assert!(snapshot.items.values().any(|item| matches!(item.input, Input::Output(_))));
    assert!(snapshot.fan_outs.values().all(|fan_out| fan_out.gather_due.is_some()));
    assert_eq!(snapshot, later());
    Ok(())
}

/// Whoever raises the format has to say how it looked before, and to keep everything that was said so far.
#[test]
fn every_format_has_its_files() -> Result<()> {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut formats: Vec<String> = fs::read_dir(&golden)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    formats.sort();
    let wanted: Vec<_> = (1..=FORMAT).map(|format| format!("v{format}")).collect();
    assert_eq!(formats, wanted);
    for (format, folder) in (1..=FORMAT).zip(wanted) {
        let snapshot = fs::read(golden.join(folder).join("snapshot.jw"))?;
        assert_eq!(snapshot[..4], [&b"JW"[..], &format.to_be_bytes()].concat());
        Snapshot::open(&snapshot)?;
    }
    // Only snapshots have changed since.
    assert_eq!(read("ticket.jw")?[..4], *b"JW\x00\x01");
    Ok(())
}
