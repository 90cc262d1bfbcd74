//! The directed graph of a workflow, as data.

mod dot;
mod fingerprint;

pub use dot::NodeState;
pub use fingerprint::Fingerprint;

use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

/// A workflow's nodes and edges, in the order in which they were declared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Graph {
    /// The workflow's name.
    pub name: String,
    /// The start node.
    pub start: String,
    /// Every node.
    pub nodes: Vec<GraphNode>,
    /// Every edge.
    pub edges: Vec<GraphEdge>,
    /// Edges that are drawn and never taken: the arms of a node that has a direct edge too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadowed: Vec<GraphEdge>,
}

/// A node of a [`Graph`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GraphNode {
    /// The node's name: the field of the workflow, such as `parse`.
    pub name: String,
    /// The variant of the work item enum, such as `Parse`.
    pub variant: String,
    /// Whether the node's values are outputs of the run.
    pub terminal: bool,
    /// Whether the node runs once with all the values of a fan-out.
    pub gathers: bool,
    /// The Rust type of the input, as written or resolved by the compiler. Part of the fingerprint.
    pub input: String,
    /// The limit on the items of the node that run at the same time in one run: `#[at_most = 8]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u32>,
    /// Whether the node has a retry policy of its own: by `#[retry = policy]`, or as a `RetryNode`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retry: bool,
    /// The nested workflow that the node runs within one step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nested: Option<Box<Graph>>,
}

/// An edge of a [`Graph`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphEdge {
    /// The node it leaves.
    pub from: String,
    /// The node it enters; `None` if the value is an output of the run.
    pub to: Option<String>,
    /// When it is taken.
    pub kind: EdgeKind,
}

/// When an edge of a [`Graph`] is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EdgeKind {
    /// For every value.
    Direct,
    /// When the node fails.
    Failure,
    /// When the run is cancelled before the node has run.
    Cancel,
    /// For values of one variant; the text is the variant and its guard, as written.
    Match(String),
}

impl Graph {
    /// A graph with a name only: that of a workflow written by hand.
    pub fn opaque(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&GraphNode> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// Whether there is a node with an `on_cancel` edge.
    pub fn has_clean_up(&self) -> bool {
        self.edges.iter().any(|edge| edge.kind == EdgeKind::Cancel)
    }

    /// Whether the node has an `on_cancel` edge.
    pub fn is_cleaned_up(&self, name: &str) -> bool {
        self.edges.iter().any(|edge| edge.kind == EdgeKind::Cancel && edge.from == name)
    }

    /// Whether the node gathers the values of a fan-out.
    pub fn gathers(&self, name: &str) -> bool {
        self.node(name).is_some_and(|node| node.gathers)
    }

    /// Whether the node has a limit (`at_most`).
    pub fn is_bounded(&self, name: &str) -> bool {
        self.node(name).is_some_and(|node| node.at_most.is_some())
    }

    /// The gathering node that closes a fan-out which `opener` opens: the nearest one behind it, by number of edges, and of
    /// equally near ones the first declared. Failure edges count only if no other path leads to one, and `on_cancel` edges do not
    /// count.
    pub fn gather_behind(&self, opener: &str) -> Option<&str> {
        let goes_on = |edge: &GraphEdge| edge.kind != EdgeKind::Cancel;
        let succeeds = |edge: &GraphEdge| goes_on(edge) && edge.kind != EdgeKind::Failure;
        self.nearest_gather(opener, succeeds).or_else(|| self.nearest_gather(opener, goes_on))
    }

    fn nearest_gather(&self, opener: &str, counts: impl Fn(&GraphEdge) -> bool) -> Option<&str> {
        let mut seen = BTreeSet::from([opener]);
        let mut queue = VecDeque::from([opener]);
        while let Some(from) = queue.pop_front() {
            let steps = self.edges.iter().filter(|edge| edge.from == from && counts(edge));
            for to in steps.filter_map(|edge| edge.to.as_deref()) {
                if self.gathers(to) {
                    return Some(to);
                }
                if seen.insert(to) {
                    queue.push_back(to);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str)], gathers: &[&str]) -> Graph {
        let names: BTreeSet<_> = edges.iter().flat_map(|(from, to)| [*from, *to]).collect();
        Graph {
            name: "g".to_owned(),
            start: "a".to_owned(),
            nodes: names
                .into_iter()
                .map(|name| GraphNode {
                    name: name.to_owned(),
                    gathers: gathers.contains(&name),
                    ..GraphNode::default()
                })
                .collect(),
            edges: edges
                .iter()
                .map(|(from, to)| GraphEdge {
                    from: (*from).to_owned(),
                    to: Some((*to).to_owned()),
                    kind: EdgeKind::Direct,
                })
                .collect(),
            shadowed: Vec::new(),
        }
    }

    #[test]
    fn the_nearest_gathering_node_closes_a_fan_out() {
        let nested =
            graph(&[("a", "b"), ("b", "c"), ("c", "inner"), ("inner", "outer")], &["inner", "outer"]);
        assert_eq!(nested.gather_behind("a"), Some("inner"));
        assert_eq!(nested.gather_behind("inner"), Some("outer"));
        assert_eq!(nested.gather_behind("outer"), None);
    }

    #[test]
    fn loops_do_not_confuse_the_search() {
        let looped = graph(&[("a", "b"), ("b", "a"), ("b", "c")], &[]);
        assert_eq!(looped.gather_behind("a"), None);
    }

    #[test]
    fn a_join_of_failures_closes_a_fan_out_only_alone() {
        let edges = [("scatter", "visit"), ("visit", "report"), ("visit", "shape"), ("shape", "collect")];
        let mut graph = graph(&edges, &["report", "collect"]);
        graph.edges[1].kind = EdgeKind::Failure;
        assert_eq!(graph.gather_behind("scatter"), Some("collect"));
        graph.edges.truncate(2);
        assert_eq!(graph.gather_behind("scatter"), Some("report"));
    }
}
