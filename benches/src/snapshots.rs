//! Snapshots as runs have them.

use bytes::Bytes;
use jetway_state::{
    CommitId, EdgeKind, Graph, GraphEdge, GraphNode, Incarnation, ItemId, RunId, RunKey, Timestamp,
    WorkflowName,
    run::{
        AttemptReport, Begin, EncodedEmission, EncodedOutcome, EndedSpan, RunInput, Snapshot, Successor,
        Trace, apply, begin,
    },
};

/// A chain that can also scatter and join.
pub fn graph() -> Graph {
    let node =
        |name: &str| GraphNode { name: name.to_owned(), gathers: name == "join", ..GraphNode::default() };
    let edge = |from: &str, to: &str| GraphEdge {
        from: from.to_owned(),
        to: Some(to.to_owned()),
        kind: EdgeKind::Direct,
    };
    Graph {
        name: "bench".to_owned(),
        start: "step".to_owned(),
        nodes: ["step", "scatter", "join"].map(node).to_vec(),
        edges: vec![edge("step", "step"), edge("scatter", "step"), edge("step", "join")],
        ..Graph::default()
    }
}

/// A run of a chain, with a context of so many bytes.
///
/// # Panics
/// Never: the names are good.
pub fn chain(context: usize) -> Snapshot {
    let (snapshot, _) = begin(Begin {
        incarnation: Incarnation::default(),
        key: RunKey::new(
            WorkflowName::new("bench").expect("a good name"),
            RunId::new("a-run-of-some-length-0001").expect("a good id"),
        ),
        commit: CommitId { writer: u64::MAX, number: 1 },
        at: Timestamp(1_780_000_000_000),
        due: None,
        trace: Trace {
            trace_id: u128::MAX,
            span_id: u64::MAX,
            flags: 1,
            start_micros: 1_780_000_000_000_000,
            ..Trace::default()
        },
        input: RunInput {
            node: "step".to_owned(),
            payload: vec![7; 16].into(),
            context: vec![7; context].into(),
        },
    });
    snapshot
}

/// A run whose first step has fanned out.
///
/// # Panics
/// Never: the first step is pending.
pub fn fanned_out(branches: u32, bytes: usize) -> Snapshot {
    let applied = apply(
        chain(400),
        attempt("start", "scatter", scatter(branches, bytes)),
        CommitId::default(),
        &graph(),
    );
    applied.expect("the first step is pending").snapshot
}

/// An attempt at an item.
///
/// # Panics
/// Where the id is not one.
pub fn attempt(item: &str, node: &str, produced: EncodedOutcome) -> AttemptReport {
    let item = ItemId::new(item).expect("a good id");
    AttemptReport {
        incarnation: Incarnation::default(),
        ticket_item: item.clone(),
        item,
        node: node.to_owned(),
        number: 1,
        timestamp: Timestamp(1_780_000_000_001),
        span: Some(EndedSpan { id: 7, end_micros: 1_780_000_000_001_500 }),
        produced,
        context: Some(vec![8; 400].into()),
    }
}

fn to(node: &str, bytes: usize) -> EncodedEmission {
    let successor = Successor { node: node.to_owned(), payload: Bytes::from(vec![7; bytes]) };
    EncodedEmission { successors: vec![successor], ..EncodedEmission::default() }
}

/// One value for a node.
pub fn next(node: &str, bytes: usize) -> EncodedOutcome {
    EncodedOutcome::Next(to(node, bytes))
}

/// Many values for the node `step`.
pub fn scatter(branches: u32, bytes: usize) -> EncodedOutcome {
    EncodedOutcome::NextAll((0..branches).map(|_| to("step", bytes)).collect())
}
