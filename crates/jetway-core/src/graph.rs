//! The directed graph of a workflow, as data.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, VecDeque};

/// A workflow's nodes and edges, in the order in which they were declared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Graph {
    /// The workflow's name.
    pub name: String,
    /// The node that a run starts with.
    pub start: String,
    /// Every node.
    pub nodes: Vec<GraphNode>,
    /// Every edge.
    pub edges: Vec<GraphEdge>,
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
}

/// An edge of a [`Graph`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphEdge {
    /// The node it leaves.
    pub from: String,
    /// The node it enters, or `None` where the value leaves the run as an output.
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
    /// For values of one variant; the text is the variant and its guard, as written.
    Match(String),
}

impl Graph {
    /// A graph of which only the name is known: that of a workflow written by hand.
    pub fn opaque(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&GraphNode> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// Whether the node gathers the values of a fan-out.
    pub fn gathers(&self, name: &str) -> bool {
        self.node(name).is_some_and(|node| node.gathers)
    }

    /// The gathering node that closes a fan-out which `opener` opens: the nearest one behind it, by edges, the first
    /// declared where two are equally near.
    pub fn gather_behind(&self, opener: &str) -> Option<&str> {
        let mut seen = BTreeSet::from([opener]);
        let mut queue = VecDeque::from([opener]);
        while let Some(from) = queue.pop_front() {
            for to in self.edges.iter().filter(|edge| edge.from == from).filter_map(|edge| edge.to.as_deref())
            {
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

    /// A number that changes when the graph or the type of an input does. Builds with another fingerprint know the
    /// workflow by the same name but not necessarily its work items.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update(format!("{self:?}"));
        let digest = hash.finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Fingerprint(u64::from_be_bytes(first))
    }
}

/// A number that stands for a workflow's graph and the types of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub u64);

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
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
    fn the_fingerprint_tells_graphs_and_input_types_apart() {
        let one = graph(&[("a", "b")], &[]);
        let mut other = one.clone();
        assert_eq!(one.fingerprint(), other.fingerprint());
        other.nodes[1].input = "u64".to_owned();
        assert_ne!(one.fingerprint(), other.fingerprint());
    }
}
