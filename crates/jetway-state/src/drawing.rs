//! The states of the nodes of a run for drawings, as far as its status tells.

use crate::{EdgeKind, Error, Graph, GraphEdge, GraphNode, NodeState, run::Status, view::StatusView};
use std::collections::{BTreeMap, BTreeSet};

/// The state of every node of the graph.
///
/// The record of a run names the nodes that are pending, failed, were handled last, or produced an output. It does not name
/// the nodes that ran before, but two rules find some of them:
///
/// - A node is done if every path from the start to one of the named nodes leads through it.
/// - The run has reached the target of a direct edge if the source is done, and the target of a failure edge if the failure
///   of the source was handled. Unless the run failed or was cancelled, a reached node has run if it is not pending. It is
///   [`NodeState::Reached`] if that is not known: in a run that failed or was cancelled, for a gathering node of a live
///   run, for a terminal node without an output.
///
/// A step that emits nothing leaves no trace, so the rules assume that every node that is done emitted a value. All other
/// nodes are [`NodeState::NotReached`], although a branch of the run may have passed through them. A node in several states
/// gets the most important one.
pub fn node_states(graph: &Graph, status: &StatusView) -> BTreeMap<String, NodeState> {
    let mut states = seen(graph, status);
    let seen: Vec<&str> = states.keys().copied().collect();
    for node in graph.nodes.iter().map(|node| node.name.as_str()).filter(|node| !seen.contains(node)) {
        let open = reachable_without(graph, node);
        if seen.iter().any(|seen| !open.contains(seen)) {
            states.insert(node, NodeState::Done);
        }
    }
    follow(graph, status, &mut states);
    let state = |node: &str| states.get(node).copied().unwrap_or(NodeState::NotReached);
    graph.nodes.iter().map(|node| (node.name.clone(), state(&node.name))).collect()
}

/// Adds the targets of the edges that were taken for certain.
fn follow<'a>(graph: &'a Graph, status: &StatusView, states: &mut BTreeMap<&'a str, NodeState>) {
    let mut queue: Vec<&str> = states.keys().copied().collect();
    while let Some(from) = queue.pop() {
        let state = states.get(from).copied();
        let taken =
            graph.edges.iter().filter(|edge| edge.from == from && is_taken(graph, status, edge, state));
        for to in taken.filter_map(|edge| graph.node(edge.to.as_deref()?)) {
            if !states.contains_key(to.name.as_str()) {
                states.insert(&to.name, behind(status, to));
                queue.push(&to.name);
            }
        }
    }
}

/// Whether a node in this state emitted a value along the edge.
fn is_taken(graph: &Graph, status: &StatusView, edge: &GraphEdge, state: Option<NodeState>) -> bool {
    match edge.kind {
        EdgeKind::Direct => {
            let falls_back =
                graph.edges.iter().any(|other| other.from == edge.from && other.kind == EdgeKind::Failure);
            // Only the latest handled failures are known, and one of this node may be older.
            let all_known = usize::try_from(status.handled_failures)
                .is_ok_and(|handled| handled <= status.latest_handled_failures.len());
            state == Some(NodeState::Done) && (all_known || !falls_back)
        }
        EdgeKind::Failure => state == Some(NodeState::Handled),
        EdgeKind::Cancel | EdgeKind::Match(_) => false,
    }
}

/// The state of a node that the run has reached and that its status does not name.
fn behind(status: &StatusView, node: &GraphNode) -> NodeState {
    let is_live = matches!(status.run.status, Status::Running | Status::Paused);
    let pending_is_known = is_live && status.pending.iter().all(|pending| pending.node.is_some());
    let ran = match status.run.status {
        Status::Completed => true,
        // Some values of a gathering node may be missing.
        _ => pending_is_known && !node.gathers,
    };
    if ran && !node.terminal { NodeState::Done } else { NodeState::Reached }
}

/// The nodes that the status names.
fn seen<'a>(graph: &'a Graph, status: &'a StatusView) -> BTreeMap<&'a str, NodeState> {
    let last = status.run.error.as_ref().and_then(|error| {
        // A run that ended without an output has failed, and its last node has not.
        let state = if error.kind == Error::NoOutput.kind() { NodeState::Done } else { NodeState::Failed };
        Some((error.node.as_deref()?, state))
    });
    let handled = status.latest_handled_failures.iter().filter_map(|error| error.node.as_deref());
    let pending = status.pending.iter().filter_map(|pending| pending.node.as_deref());
    let done = status.output_nodes.iter().map(String::as_str);
    let named = (last.into_iter())
        .chain(handled.map(|node| (node, NodeState::Handled)))
        .chain(pending.map(|node| (node, NodeState::Pending)))
        .chain(done.map(|node| (node, NodeState::Done)));
    let mut seen = BTreeMap::new();
    // A build with other nodes may have started the run.
    for (node, state) in named.filter(|(node, _)| graph.node(node).is_some()) {
        let kept = seen.entry(node).or_insert(state);
        *kept = state.max(*kept);
    }
    seen
}

/// The nodes that are reachable from the start without passing through `closed`.
fn reachable_without<'a>(graph: &'a Graph, closed: &str) -> BTreeSet<&'a str> {
    let start = graph.start.as_str();
    let mut reached = BTreeSet::new();
    let mut queue = Vec::new();
    if start != closed {
        reached.insert(start);
        queue.push(start);
    }
    while let Some(from) = queue.pop() {
        let to = graph.edges.iter().filter(|edge| edge.from == from).filter_map(|edge| edge.to.as_deref());
        queue.extend(to.filter(|to| *to != closed && reached.insert(to)));
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EdgeKind, GraphEdge, GraphNode};
    use serde_json::json;

    /// fetch -> judge -> keep | drop -> end; judge falls back to drop.
    fn graph() -> Graph {
        let edge =
            |from: &str, to: &str, kind| GraphEdge { from: from.to_owned(), to: Some(to.to_owned()), kind };
        Graph {
            start: "fetch".to_owned(),
            nodes: ["fetch", "judge", "keep", "drop", "end"]
                .map(|name| GraphNode { name: name.to_owned(), ..GraphNode::default() })
                .to_vec(),
            edges: vec![
                edge("fetch", "judge", EdgeKind::Direct),
                edge("judge", "keep", EdgeKind::Match("V::A(_)".to_owned())),
                edge("judge", "drop", EdgeKind::Match("V::B(_)".to_owned())),
                edge("judge", "drop", EdgeKind::Failure),
                edge("keep", "end", EdgeKind::Direct),
                edge("drop", "end", EdgeKind::Direct),
                edge("end", "fetch", EdgeKind::Failure),
            ],
            ..Graph::default()
        }
    }

    /// a -> b -> b2 -> d and a -> c -> c2 -> d; `d` ends the run, and `c` has a fallback.
    fn diamond() -> Graph {
        let edges =
            ["a b", "a c", "b b2", "c c2", "b2 d", "c2 d"].iter().filter_map(|edge| edge.split_once(' '));
        let edge =
            |from: &str, to: &str, kind| GraphEdge { from: from.to_owned(), to: Some(to.to_owned()), kind };
        Graph {
            start: "a".to_owned(),
            nodes: ["a", "b", "c", "b2", "c2", "d", "rescue"]
                .map(|name| GraphNode {
                    name: name.to_owned(),
                    terminal: name == "d",
                    ..GraphNode::default()
                })
                .to_vec(),
            edges: edges
                .map(|(from, to)| edge(from, to, EdgeKind::Direct))
                .chain([edge("c", "rescue", EdgeKind::Failure), edge("rescue", "d", EdgeKind::Direct)])
                .collect(),
            ..Graph::default()
        }
    }

    fn error(node: &str) -> serde_json::Value {
        json!({ "node": node, "item_id": null, "attempt": 1, "kind": "error", "message": "no" })
    }

    /// A live run.
    fn status(pending: &[&str], handled: &[&str], failed: Option<&str>, outputs: &[&str]) -> StatusView {
        let pending: Vec<_> =
            pending.iter().map(|node| json!({ "node": node, "items": 1, "since": "" })).collect();
        serde_json::from_value(json!({
            "run_id": "r", "incarnation": "0000000000000000", "workflow": "w", "status": "running", "output": null, "outputs": [],
            "error": failed.map(error), "started_at": "", "finished_at": null, "steps": 3, "updated_at": "",
            "pending": pending, "handled_failures": handled.len(), "output_nodes": outputs, "trace_id": "",
            "latest_handled_failures": handled.iter().map(|node| error(node)).collect::<Vec<_>>(),
        }))
        .unwrap()
    }

    /// The states in the order of the declaration.
    fn listed(graph: &Graph, status: &StatusView) -> String {
        let states = node_states(graph, status);
        graph.nodes.iter().map(|node| states[&node.name].as_str()).collect::<Vec<_>>().join(" | ")
    }

    fn states(pending: &[&str], handled: &[&str], failed: Option<&str>, outputs: &[&str]) -> String {
        listed(&graph(), &status(pending, handled, failed, outputs))
    }

    fn ended(mut status: StatusView, how: Status) -> StatusView {
        status.run.status = how;
        status
    }

    #[test]
    fn s1_a_node_is_not_failed_because_its_run_has_no_output() {
        let mut status = ended(status(&[], &[], Some("end"), &[]), Status::Failed);
        assert!(listed(&graph(), &status).ends_with("failed"), "{}", listed(&graph(), &status));
        status.run.error.as_mut().unwrap().kind = Error::NoOutput.kind().to_owned();
        assert!(listed(&graph(), &status).ends_with("done"), "{}", listed(&graph(), &status));
    }

    #[test]
    fn both_paths_of_a_diamond_are_done_when_the_run_is() {
        let completed = ended(status(&[], &[], None, &["d"]), Status::Completed);
        assert_eq!(listed(&diamond(), &completed), "done | done | done | done | done | done | not reached");
    }

    #[test]
    fn a_target_of_a_direct_edge_has_run_unless_pending() {
        let running = status(&["b2"], &[], None, &[]);
        assert_eq!(
            listed(&diamond(), &running),
            "done | done | done | pending | done | reached | not reached"
        );
        let mut elsewhere = running;
        elsewhere
            .pending
            .push(serde_json::from_value(json!({ "node": null, "items": 2, "since": "" })).unwrap());
        assert_eq!(
            listed(&diamond(), &elsewhere),
            "done | done | reached | pending | not reached | not reached | not reached"
        );
    }

    #[test]
    fn the_other_path_of_a_failed_run_was_reached() {
        let failed = ended(status(&[], &[], Some("b"), &[]), Status::Failed);
        assert_eq!(
            listed(&diamond(), &failed),
            "done | failed | reached | not reached | not reached | not reached | not reached"
        );
    }

    #[test]
    fn a_handled_failure_leads_to_the_fallback_only() {
        let handled = ended(status(&[], &["c"], None, &["d"]), Status::Completed);
        assert_eq!(listed(&diamond(), &handled), "done | done | handled | done | not reached | done | done");
        let mut unknown = ended(status(&[], &[], None, &["d"]), Status::Completed);
        unknown.handled_failures = 1;
        assert_eq!(
            listed(&diamond(), &unknown),
            "done | done | done | done | not reached | done | not reached"
        );
    }

    #[test]
    fn a_gathering_node_of_a_live_run_is_reached() {
        let mut graph = diamond();
        graph.nodes[4].gathers = true;
        let running = status(&["b2"], &[], None, &[]);
        assert_eq!(
            listed(&graph, &running),
            "done | done | done | pending | reached | not reached | not reached"
        );
    }

    #[test]
    fn nodes_on_every_path_are_done() {
        assert_eq!(
            states(&["fetch"], &[], None, &[]),
            "pending | not reached | not reached | not reached | not reached"
        );
        assert_eq!(states(&["keep"], &[], None, &[]), "done | done | pending | not reached | not reached");
        assert_eq!(states(&[], &[], None, &["end"]), "done | done | not reached | not reached | done");
    }

    #[test]
    fn failures_differ_from_handled_failures() {
        assert_eq!(
            states(&[], &["judge"], Some("drop"), &[]),
            "done | handled | not reached | failed | not reached"
        );
        // A loop brought the run back to the node whose failure was handled.
        assert_eq!(
            states(&["judge"], &["judge"], None, &[]),
            "done | pending | not reached | not reached | not reached"
        );
    }

    #[test]
    fn nodes_of_other_builds_are_ignored() {
        assert_eq!(
            states(&["gone"], &["gone"], None, &[]),
            "not reached | not reached | not reached | not reached | not reached"
        );
    }
}
