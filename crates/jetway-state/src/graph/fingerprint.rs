//! Fingerprints: they distinguish builds of a workflow.

use super::{Graph, GraphEdge, GraphNode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// A hash of a workflow's graph and of the types of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Graph {
    /// Computes the fingerprint. A build with another fingerprint knows the workflow by the same name, but may not know its work
    /// items.
    ///
    /// It covers the name of the workflow, the start node, all edges, and of each node the name, the variant, whether it is
    /// terminal, whether it gathers and the type of its input. Limits (`at_most`), retry policies, nested workflows and
    /// shadowed arms are not part of it: they do not change the work items of a run.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update(format!("{:?}", Hashed(self)));
        let digest = hash.finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Fingerprint(u64::from_be_bytes(first))
    }
}

/// The text that is hashed. Hosts of different builds compare the hashes, so it must not change.
struct Hashed<T>(T);

impl fmt::Debug for Hashed<&Graph> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph")
            .field("name", &self.0.name)
            .field("start", &self.0.start)
            .field("nodes", &self.0.nodes.iter().map(Hashed).collect::<Vec<_>>())
            .field("edges", &self.0.edges.iter().map(Hashed).collect::<Vec<_>>())
            .finish()
    }
}

impl fmt::Debug for Hashed<&GraphNode> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphNode")
            .field("name", &self.0.name)
            .field("variant", &self.0.variant)
            .field("terminal", &self.0.terminal)
            .field("gathers", &self.0.gathers)
            .field("input", &self.0.input)
            .finish()
    }
}

impl fmt::Debug for Hashed<&GraphEdge> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphEdge")
            .field("from", &self.0.from)
            .field("to", &self.0.to)
            .field("kind", &self.0.kind)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EdgeKind;

    fn graph() -> Graph {
        let node = |name: &str, variant: &str, terminal: bool, input: &str| GraphNode {
            name: name.to_owned(),
            variant: variant.to_owned(),
            terminal,
            gathers: terminal,
            input: input.to_owned(),
            ..GraphNode::default()
        };
        let edge =
            |to: Option<&str>, kind| GraphEdge { from: "a".to_owned(), to: to.map(str::to_owned), kind };
        Graph {
            name: "g".to_owned(),
            start: "a".to_owned(),
            nodes: vec![node("a", "A", false, "u8"), node("b", "B", true, "Vec<u8>")],
            edges: vec![
                edge(Some("b"), EdgeKind::Match("V::A(x) if x > 1".to_owned())),
                edge(None, EdgeKind::Direct),
            ],
            shadowed: Vec::new(),
        }
    }

    #[test]
    fn it_is_the_same_in_every_build() {
        assert_eq!(graph().fingerprint().to_string(), "29392eb70bacd19b");
    }

    #[test]
    fn graphs_and_input_types_change_the_fingerprint() {
        let one = graph().fingerprint();
        let changed = |change: fn(&mut Graph)| {
            let mut other = graph();
            change(&mut other);
            other.fingerprint()
        };
        assert_ne!(changed(|graph| graph.name.push('2')), one);
        assert_ne!(changed(|graph| graph.start.push('2')), one);
        assert_ne!(changed(|graph| graph.nodes[1].input = "u64".to_owned()), one);
        assert_ne!(changed(|graph| graph.nodes[1].gathers = false), one);
        assert_ne!(changed(|graph| graph.edges[0].kind = EdgeKind::Failure), one);
    }

    #[test]
    fn limits_and_policies_keep_the_fingerprint() {
        let mut other = graph();
        other.nodes[0].retry = true;
        other.nodes[0].nested = Some(Box::new(graph()));
        other.shadowed = graph().edges;
        assert_eq!(other.fingerprint(), graph().fingerprint());
    }
}
