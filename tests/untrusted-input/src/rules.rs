//! The rules of the engine over whatever a snapshot says.
//!
//! The rules are total: there is no record and no attempt for which they panic, and what they make of a sound record can
//! be written and read again.

pub(crate) mod chains;

use crate::edits::edit;
use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use ciborium::Value;
use jetway_state::{
    CommitId, EdgeKind, Fingerprint, Graph, GraphEdge, GraphNode, Incarnation, ItemId, RunId, RunKey, Seen,
    Timestamp, WorkflowName, codec,
    run::{
        Applied, AttemptReport, Begin, ChildStart, ChildWanted, ChunkEntry, DoneView, Effect,
        EncodedEmission, EncodedOutcome, EncodedOutput, EndedChild, EndedSpan, Later, Limits, ManyWanted,
        OnParentCancel, Parent, RunError, RunInput, Snapshot, StatusView, Successor, Trace, apply, begin,
        cancel_with_clean_up, control, end_overdue, node_states, offload, pending_ticket, pending_tickets,
        tickets_under,
    },
};
use std::{sync::LazyLock, time::Duration};

/// How many attempts are made at one record.
const STEPS: usize = 12;
const NODES: [&str; 6] = ["split", "work", "join", "rescue", "few", "none of these"];

/// A snapshot of format 1 with everything that it can hold; never written again.
const GOLDEN: &[u8] = include_bytes!("../../golden/v1/snapshot.jw");

/// Records that are changed at some places: the golden one and two more, with bounded nodes and child runs.
static RECORDS: LazyLock<[Value; 3]> =
    LazyLock::new(|| [opened(GOLDEN), bounded(), child()].map(|snapshot| value(&snapshot)));

fn value(snapshot: &Snapshot) -> Value {
    let bytes = codec::encode(snapshot, "a snapshot").expect("it can be written");
    codec::decode(&bytes, "a snapshot").expect("it is a value")
}

/// An envelope behind the numbers that say what is done to it: their count, they themselves, the envelope.
pub(crate) fn snapshots(bytes: &[u8]) -> bool {
    let (count, rest) = bytes.split_first().map_or((0, bytes), |(count, rest)| (usize::from(*count), rest));
    let (numbers, envelope) = rest.split_at(count.min(rest.len()));
    let Ok((snapshot, fingerprint)) = Snapshot::open(envelope) else { return false };
    let sealed = codec::seal(&snapshot, fingerprint, "a snapshot").expect("what was read can be written");
    assert_eq!(Snapshot::open(&sealed), Ok((snapshot.clone(), fingerprint)), "it reads otherwise");
    exercise(snapshot, &mut Unstructured::new(numbers)).is_ok()
}

/// Numbers that say what is changed in a sound record, and what is done to it then.
pub(crate) fn rules(bytes: &[u8]) -> bool {
    let u = &mut Unstructured::new(bytes);
    let record = u.choose(&*RECORDS).cloned();
    let Ok(Some(snapshot)) = record.and_then(|record| edited(record, u)) else { return false };
    exercise(snapshot, u).is_ok()
}

fn edited(mut record: Value, u: &mut Unstructured<'_>) -> Result<Option<Snapshot>> {
    for _ in 0..u.int_in_range(0..=4_u8)? {
        edit(&mut record, u)?;
    }
    let sealed = codec::seal(&record, Fingerprint(1), "a snapshot").expect("a value can be written");
    Ok(Snapshot::open(&sealed).ok().map(|(snapshot, _)| snapshot))
}

/// Looks at a record in every way, then works it off by attempts and orders of any kind.
fn exercise(mut snapshot: Snapshot, u: &mut Unstructured<'_>) -> Result<()> {
    let graph = graph(u)?;
    for number in 0..STEPS {
        look(&snapshot, &graph);
        if u.is_empty() {
            break;
        }
        let commit = CommitId { writer: 7, number: number as u64 };
        let at = Timestamp(u.arbitrary()?);
        let record = snapshot.clone();
        let applied = match u.int_in_range(0..=11_u8)? {
            0 => control::pause(record, commit, at),
            1 => control::resume(record, commit, at),
            2 => control::cancel(record, commit, at),
            3 => control::complete(record, commit, at),
            4 => {
                let (limit, has_clean_up) = (Duration::from_millis(u.arbitrary()?), u.ratio(7_u8, 8)?);
                cancel_with_clean_up(Snapshot { has_clean_up, ..record }, commit, at, limit)
            }
            5 => {
                let (limit, passed) = (Duration::from_millis(u.arbitrary()?), u.ratio(1_u8, 4)?);
                let deadline = passed.then_some(at).or(record.deadline);
                end_overdue(Snapshot { deadline, ..record }, commit, at, limit)
            }
            _ => apply(record, attempt(&snapshot, at, u)?, commit, &graph),
        };
        let Some(Applied { snapshot: next, effects, .. }) = applied else { continue };
        assert!(!snapshot.status.is_terminal(), "a run that has ended was changed");
        assert_eq!(
            next.status.is_terminal(),
            effects.contains(&Effect::PublishResult),
            "an end that nobody is told"
        );
        chains::check(&snapshot, &next);
        snapshot = next;
        spilled(&mut snapshot, commit, u)?;
        let sealed = codec::seal(&snapshot, Fingerprint(1), "a snapshot").expect("it can be written");
        let read = Snapshot::open(&sealed).map(|(read, _)| read);
        assert_eq!(read.as_ref(), Ok(&snapshot), "what was made of it cannot be read");
    }
    Ok(())
}

/// Every view of a record.
fn look(snapshot: &Snapshot, graph: &Graph) {
    // A record that was not written by a host may have an output that is no JSON.
    if let Ok(status) = StatusView::new(snapshot, snapshot.updated_at) {
        let written = serde_json::to_vec(&status).expect("a view is JSON");
        assert_eq!(serde_json::from_slice::<StatusView>(&written).expect("a view can be read"), status);
        let done = DoneView::new(snapshot).expect("its result is a part of it");
        serde_json::to_vec(&done).expect("a view is JSON");
        assert_eq!(node_states(graph, &status).len(), graph.nodes.len());
    }
    let pending = snapshot.pending();
    let now = snapshot.updated_at;
    let wanted = pending_tickets(snapshot, now);
    let asleep = pending_tickets(snapshot, Timestamp(u64::MAX)).len();
    assert!(wanted.len() <= asleep && asleep <= pending, "{asleep} items can be ready, of {pending}");
    if let Some(alarm) = snapshot.alarm(now) {
        let is_for_run = alarm.ticket.item == ItemId::deadline();
        assert!(
            alarm.due > now && (is_for_run || snapshot.is_pending(&alarm.ticket.item)),
            "an alarm for nothing: {alarm:?}"
        );
        let rung = snapshot.now_due(alarm.due, &alarm.ticket.item);
        assert!(rung.tickets.iter().all(|ticket| snapshot.is_pending(&ticket.item)));
    }
    assert!(wanted.len() <= pending, "{} tickets for {pending} items", wanted.len());
    for ticket in wanted.iter().take(16) {
        assert!(snapshot.is_pending(&ticket.item), "a ticket for {:?}, which is not pending", ticket.item);
        assert_eq!(pending_ticket(snapshot, &ticket.item, now).as_ref(), Some(ticket));
        assert!(tickets_under(snapshot, &ticket.ticket_item, now).contains(ticket));
        assert!(ItemId::new(ticket.item.as_str()).is_ok(), "a ticket cannot carry {:?}", ticket.item);
    }
}

/// What goes beside a record can be read there.
fn spilled(snapshot: &mut Snapshot, commit: CommitId, u: &mut Unstructured<'_>) -> Result<()> {
    if u.ratio(2_u8, 3)? {
        return Ok(());
    }
    let limits = Limits { inline: 0, group: u.choose_index(20)?, chunk: 8, ..Limits::default() };
    for chunk in offload(snapshot, commit, 0, &limits).expect("it fits") {
        let entries: Vec<ChunkEntry> = codec::decode(&chunk.bytes, "a chunk").expect("a chunk can be read");
        assert!(!entries.is_empty() && chunk.bytes.len() == chunk.name.bytes as usize);
    }
    Ok(())
}

fn attempt(snapshot: &Snapshot, at: Timestamp, u: &mut Unstructured<'_>) -> Result<AttemptReport> {
    let mut items: Vec<ItemId> = pending_tickets(snapshot, Timestamp(u64::MAX))
        .into_iter()
        .take(64)
        .map(|ticket| ticket.item)
        .collect();
    items.extend(snapshot.items.keys().take(8).cloned());
    items.extend(["start", "start-1", "no-such-item"].map(|name| ItemId::new(name).expect("a good name")));
    let item = u.choose(&items)?.clone();
    Ok(AttemptReport {
        incarnation: if u.ratio(15_u8, 16)? { snapshot.incarnation } else { Incarnation::from_random(7) },
        ticket_item: if u.arbitrary()? { item.clone() } else { u.choose(&items)?.clone() },
        item,
        node: (*u.choose(&NODES)?).to_owned(),
        number: u.arbitrary()?,
        timestamp: at,
        span: u.arbitrary::<Option<(u64, u64)>>()?.map(|(id, end_micros)| EndedSpan { id, end_micros }),
        produced: produced(u)?,
        context: u.arbitrary::<bool>()?.then(|| Bytes::from_static(b"\xa1aa\x02")),
    })
}

fn produced(u: &mut Unstructured<'_>) -> Result<EncodedOutcome> {
    Ok(match u.int_in_range(0..=12_u8)? {
        0 | 1 => EncodedOutcome::Next(emitted(u)?),
        2 | 3 => EncodedOutcome::NextAll(
            (0..u.int_in_range(0..=5_u8)?).map(|_| emitted(u)).collect::<Result<_>>()?,
        ),
        4 => EncodedOutcome::Hold,
        5 => EncodedOutcome::Await(awaited(u)?),
        11 => EncodedOutcome::AwaitMany(many(u)?),
        12 => EncodedOutcome::StartedMany(
            vec![(u.int_in_range(0..=5_u32)?, Seen::default())],
            vec![ended(u.int_in_range(0..=5_u32)?)],
        ),
        6 => EncodedOutcome::Handled(error(), emitted(u)?),
        7 => EncodedOutcome::NextLater(Later::After(Duration::from_millis(u.arbitrary()?)), emitted(u)?),
        8 => EncodedOutcome::Admit,
        9 => EncodedOutcome::CleanUp(if u.arbitrary()? { Some(emitted(u)?) } else { None }),
        // No number of its own: the files of the corpus would say something else.
        10 if u.arbitrary()? => EncodedOutcome::ContinueAsNew(new_input(u)?),
        _ => EncodedOutcome::Failed(error()),
    })
}

fn new_input(u: &mut Unstructured<'_>) -> Result<RunInput> {
    let payload = vec![1; u.int_in_range(0..=40_usize)?].into();
    Ok(RunInput { node: (*u.choose(&NODES)?).to_owned(), payload, context: Bytes::from_static(b"\xa0") })
}

fn awaited(u: &mut Unstructured<'_>) -> Result<ChildWanted> {
    let on_cancel = *u.choose(&[OnParentCancel::Cancel, OnParentCancel::Abandon, OnParentCancel::Wait])?;
    let within = u.arbitrary::<Option<u64>>()?.map(Duration::from_millis);
    Ok(ChildWanted { on_cancel, within, ..key("child").into() })
}

fn many(u: &mut Unstructured<'_>) -> Result<ManyWanted> {
    let named = (0..u.int_in_range(0..=3_u8)?).map(|_| Ok((u.int_in_range(0..=5_u32)?, awaited(u)?)));
    let named = named.collect::<Result<_>>()?;
    let ended = (0..u.int_in_range(0..=2_u32)?).map(ended).collect();
    Ok(ManyWanted {
        count: u.int_in_range(0..=6)?,
        bound: u.int_in_range(0..=3)?,
        fail_fast: u.arbitrary()?,
        named,
        ended,
    })
}

fn ended(position: u32) -> EndedChild {
    EndedChild { position, result: Bytes::from_static(b"r") }
}

fn start(u: &mut Unstructured<'_>) -> Result<ChildStart> {
    let input = RunInput { node: "a".to_owned(), payload: Bytes::from_static(b"1"), context: Bytes::new() };
    Ok(ChildStart {
        run: key("detached"),
        input,
        build: Fingerprint(u.arbitrary()?),
        has_clean_up: u.arbitrary()?,
        limit: None,
    })
}

fn output() -> EncodedOutput {
    EncodedOutput { json: Bytes::from_static(b"7"), exact: None }
}

fn emitted(u: &mut Unstructured<'_>) -> Result<EncodedEmission> {
    let successor = |u: &mut Unstructured<'_>| {
        let payload = vec![1; u.int_in_range(0..=40_usize)?].into();
        Ok(Successor { node: (*u.choose(&NODES)?).to_owned(), payload })
    };
    let successors = (0..u.int_in_range(0..=3_u8)?).map(|_| successor(u)).collect::<Result<_>>()?;
    let starts = if u.ratio(1_u8, 10)? { vec![start(u)?] } else { Vec::new() };
    Ok(EncodedEmission { successors, output: u.ratio(1_u8, 6)?.then(output), starts })
}

fn error() -> RunError {
    RunError { item: None, node: None, attempt: 1, kind: "error".to_owned(), message: "no".to_owned() }
}

/// A graph of the nodes that the records name; which of them gather and which are bounded is chosen.
fn graph(u: &mut Unstructured<'_>) -> Result<Graph> {
    let flags: u8 = u.arbitrary()?;
    let node = |(index, name): (usize, &&str)| GraphNode {
        name: (*name).to_owned(),
        gathers: *name == "join" || flags & (1 << index) != 0,
        at_most: match (*name, flags >> 6) {
            ("few", _) => Some(2),
            ("work", 1) => Some(0),
            ("work", 2) => Some(u32::MAX),
            _ => None,
        },
        ..GraphNode::default()
    };
    let edge = |pair: &[&str]| GraphEdge {
        from: pair[0].to_owned(),
        to: Some(pair[1].to_owned()),
        kind: EdgeKind::Direct,
    };
    Ok(Graph {
        name: "orders".to_owned(),
        start: "split".to_owned(),
        nodes: NODES.iter().take(5).enumerate().map(node).collect(),
        edges: NODES.windows(2).map(edge).collect(),
        ..Graph::default()
    })
}

fn key(run_id: &str) -> RunKey {
    RunKey::new(WorkflowName::new("orders").expect("a name"), RunId::new(run_id).expect("a run id"))
}

fn opened(bytes: &[u8]) -> Snapshot {
    Snapshot::open(bytes).expect("the golden snapshot can be read").0
}

fn begun() -> Snapshot {
    let input = RunInput {
        node: "split".to_owned(),
        payload: Bytes::from_static(b"\x01"),
        context: Bytes::from_static(b"\xa0"),
    };
    let commit = CommitId { writer: 1, number: 2 };
    begin(Begin {
        key: key("r"),
        incarnation: Incarnation::default(),
        commit,
        at: Timestamp(9),
        due: None,
        trace: Trace::default(),
        input,
    })
    .0
}

fn applied(snapshot: Snapshot, item: &str, node: &str, produced: EncodedOutcome) -> Snapshot {
    let item = ItemId::new(item).expect("a good name");
    let attempt = AttemptReport {
        incarnation: Incarnation::default(),
        ticket_item: item.clone(),
        item,
        node: node.to_owned(),
        number: 1,
        timestamp: Timestamp(10),
        span: Some(EndedSpan { id: 3, end_micros: 10_500 }),
        produced,
        context: None,
    };
    let graph = graph(&mut Unstructured::new(&[])).expect("no number is needed");
    apply(snapshot, attempt, CommitId { writer: 1, number: 3 }, &graph).expect("it is pending").snapshot
}

fn to(nodes: &[&str]) -> EncodedEmission {
    let successor =
        |node: &&str| Successor { node: (*node).to_owned(), payload: Bytes::from_static(b"\x02") };
    EncodedEmission { successors: nodes.iter().map(successor).collect(), ..EncodedEmission::default() }
}

/// A run whose branches wait for places at their node.
fn bounded() -> Snapshot {
    let all = EncodedOutcome::NextAll(vec![to(&["few"]), to(&["few", "few"]), to(&["work"]), to(&["few"])]);
    applied(begun(), "start", "split", all)
}

/// A run that was begun by another, and waits for a third.
fn child() -> Snapshot {
    let mut snapshot = applied(begun(), "start", "split", EncodedOutcome::Next(to(&["work", "work"])));
    snapshot = applied(snapshot, "start-1", "work", EncodedOutcome::Await(key("child").into()));
    let item = ItemId::new("start-7").expect("a good name");
    snapshot.parent = Some(Parent {
        run: key("parent"),
        incarnation: Incarnation::default(),
        item,
        node: "work".to_owned(),
        build: Fingerprint(3),
        seen: Seen::default(),
        span: Some(4),
    });
    snapshot
}
