//! How the nodes of a run stand, as far as its status tells.

use super::StatusView;
use crate::{Graph, NodeState};
use std::collections::{BTreeMap, BTreeSet};

/// The state of every node of the graph.
///
/// A run's record says what is pending, what failed or was caught last, and which nodes gave an output; what ran before
/// is not kept. Nodes that every way from the start to one of these leads through have run for certain, and are done.
/// Of the others nothing is known: they are [`NodeState::NotReached`], also where some branch of the run may have come
/// through them. A node that is in several states is in that which asks most for attention.
pub fn node_states(graph: &Graph, status: &StatusView) -> BTreeMap<String, NodeState> {
    let seen = seen(graph, status);
    let reached: Vec<&str> = seen.keys().copied().collect();
    let state = |node: &str| {
        let passed = || {
            let open = reachable_without(graph, node);
            reached.iter().any(|reached| *reached != node && !open.contains(reached))
        };
        let inferred = || if passed() { NodeState::Done } else { NodeState::NotReached };
        seen.get(node).copied().unwrap_or_else(inferred)
    };
    graph.nodes.iter().map(|node| (node.name.clone(), state(&node.name))).collect()
}

/// The nodes that the status names.
fn seen<'a>(graph: &'a Graph, status: &'a StatusView) -> BTreeMap<&'a str, NodeState> {
    let failed = status.run.error.as_ref().and_then(|error| error.node.as_deref());
    let caught = status.latest_caught.iter().filter_map(|error| error.node.as_deref());
    let pending = status.pending.iter().filter_map(|pending| pending.node.as_deref());
    let done = status.output_nodes.iter().map(String::as_str);
    let named = (failed.map(|node| (node, NodeState::Failed)).into_iter())
        .chain(caught.map(|node| (node, NodeState::Caught)))
        .chain(pending.map(|node| (node, NodeState::Pending)))
        .chain(done.map(|node| (node, NodeState::Done)));
    let mut seen = BTreeMap::new();
    // A run may have been begun by a build with other nodes.
    for (node, state) in named.filter(|(node, _)| graph.node(node).is_some()) {
        let kept = seen.entry(node).or_insert(state);
        *kept = state.max(*kept);
    }
    seen
}

/// The nodes that a run could come to if it never came through `closed`.
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

    /// fetch -> judge -> keep | drop -> end; judge fails over to drop.
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

    fn error(node: &str) -> serde_json::Value {
        json!({ "node": node, "item_id": null, "attempt": 1, "kind": "error", "message": "no" })
    }

    /// The states in the order of the declaration.
    fn states(pending: &[&str], caught: &[&str], failed: Option<&str>, outputs: &[&str]) -> String {
        let pending: Vec<_> =
            pending.iter().map(|node| json!({ "node": node, "items": 1, "since": "" })).collect();
        let status = serde_json::from_value(json!({
            "run_id": "r", "workflow": "w", "status": "running", "output": null, "outputs": [],
            "error": failed.map(error), "started_at": "", "finished_at": null, "steps": 3, "updated_at": "",
            "pending": pending, "caught": caught.len(), "output_nodes": outputs, "trace_id": "",
            "latest_caught": caught.iter().map(|node| error(node)).collect::<Vec<_>>(),
        }))
        .unwrap();
        let (graph, states) = (graph(), node_states(&graph(), &status));
        graph.nodes.iter().map(|node| states[&node.name].as_str()).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn what_every_way_leads_through_is_done() {
        assert_eq!(
            states(&["fetch"], &[], None, &[]),
            "pending | not reached | not reached | not reached | not reached"
        );
        assert_eq!(states(&["keep"], &[], None, &[]), "done | done | pending | not reached | not reached");
        assert_eq!(states(&[], &[], None, &["end"]), "done | done | not reached | not reached | done");
    }

    #[test]
    fn failures_are_told_from_those_that_were_caught() {
        assert_eq!(
            states(&[], &["judge"], Some("drop"), &[]),
            "done | caught | not reached | failed | not reached"
        );
        // A loop has brought the run back to where a failure was caught.
        assert_eq!(
            states(&["judge"], &["judge"], None, &[]),
            "done | pending | not reached | not reached | not reached"
        );
    }

    #[test]
    fn nodes_of_other_builds_and_branches_without_a_node_tell_nothing() {
        assert_eq!(
            states(&["gone"], &["gone"], None, &[]),
            "not reached | not reached | not reached | not reached | not reached"
        );
    }
}
