//! Drawings of workflows in Graphviz's DOT language, in the order of declaration.

use super::{EdgeKind, Graph, GraphEdge, GraphNode};
use std::{collections::BTreeMap, fmt};

/// Keywords of the DOT language: as names they need quotes.
const KEYWORDS: [&str; 6] = ["node", "edge", "graph", "digraph", "subgraph", "strict"];

/// The state of a node in a run, as far as the status of the run tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// The run is not known to have reached it.
    NotReached,
    /// The run has reached it; whether it has run is not known.
    Reached,
    /// It has run.
    Done,
    /// It failed, and its `on_failure` edge handled the error.
    Handled,
    /// It has pending items.
    Pending,
    /// It failed, and so did the run.
    Failed,
}

impl NodeState {
    /// Its name in drawings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotReached => "not reached",
            Self::Reached => "reached",
            Self::Done => "done",
            Self::Handled => "handled",
            Self::Pending => "pending",
            Self::Failed => "failed",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::NotReached => "white",
            Self::Reached => "honeydew",
            Self::Done => "palegreen",
            Self::Handled => "orange",
            Self::Pending => "khaki",
            Self::Failed => "tomato",
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Graph {
    /// The graph in Graphviz's DOT language. The start is bold, ends have two outlines, gathering nodes are funnels,
    /// nodes with a retry policy say so, and arms that lead out of the run end in a point. A nested workflow, which a node runs
    /// within one step, has a frame together with this node.
    pub fn to_dot(&self) -> String {
        Drawing::default().of(self, None)
    }

    /// [`to_dot`](Self::to_dot) for one run: with a title, and with the colour and the name of the state of each node. Nodes
    /// without a state, such as those of nested workflows, are grey.
    pub fn to_dot_of_run(&self, title: &str, states: &BTreeMap<String, NodeState>) -> String {
        Drawing { states: Some(states), ..Drawing::default() }.of(self, Some(title))
    }
}

/// A drawing under construction.
#[derive(Default)]
struct Drawing<'a> {
    dot: String,
    states: Option<&'a BTreeMap<String, NodeState>>,
}

/// A graph in the drawing: that of the workflow, or a nested one.
struct Level<'a> {
    graph: &'a Graph,
    /// The prefix of the ids of its nodes: the ids of all outer nodes, since nested workflows reuse names.
    prefix: String,
    /// The indentation of its lines.
    indent: usize,
}

impl Drawing<'_> {
    fn of(mut self, graph: &Graph, title: Option<&str>) -> String {
        self.dot = format!("digraph {} {{\n", id(&graph.name));
        self.dot.push_str("  rankdir=LR;\n");
        self.dot.push_str("  node [shape=box style=filled fontname=\"Helvetica\" color=lightgray];\n");
        self.dot.push_str("  edge [fontname=\"Helvetica\" arrowhead=vee];\n");
        if let Some(title) = title {
            let label = format!("label={}", quoted(title));
            self.line(2, &[&label, " labelloc=t fontname=\"Helvetica\""].concat());
        }
        self.level(&Level { graph, prefix: String::new(), indent: 2 });
        self.dot.push_str("}\n");
        self.dot
    }

    fn level(&mut self, level: &Level<'_>) {
        for node in &level.graph.nodes {
            match &node.nested {
                Some(nested) => self.frame(level, node, nested),
                None => self.node(level, node, level.indent),
            }
        }
        for node in &level.graph.nodes {
            self.edges(level, node);
        }
    }

    /// A node with its nested workflow. The edges of other nodes lead to and from the node.
    fn frame(&mut self, level: &Level<'_>, node: &GraphNode, nested: &Graph) {
        let around = format!("{}{}", level.prefix, node.variant);
        let inside = Level { graph: nested, prefix: format!("{around}/"), indent: level.indent + 2 };
        self.open(level.indent, &format!("subgraph {} {{", quoted(&format!("cluster_{around}"))));
        let label = format!("label={}", quoted(&format!("{}: {}", node.variant, nested.name)));
        self.line(inside.indent, &format!("{label} style=dashed fontname=\"Helvetica\""));
        self.node(level, node, inside.indent);
        self.level(&inside);
        if let Some(start) = nested.node(&nested.start) {
            let line =
                format!("{} -> {} [style=\"dashed\" label=\"runs\"]", level.id(node), inside.id(start));
            self.line(inside.indent, &line);
        }
        self.open(level.indent, "}");
    }

    fn node(&mut self, level: &Level<'_>, node: &GraphNode, indent: usize) {
        let (graph, nested) = (level.graph, !level.prefix.is_empty());
        // The status of a run names its own nodes, not those of nested workflows.
        let state = self.states.filter(|_| !nested).and_then(|states| states.get(&node.name));
        let bound = node.at_most.map(|most| format!("at most {most}"));
        let words = bound
            .as_deref()
            .into_iter()
            .chain(node.retry.then_some("retry"))
            .chain(state.map(|state| state.as_str()));
        let words = words.collect::<Vec<_>>().join(", ");
        let mut marks = Vec::new();
        // Within the outline: beside it, Graphviz places the text on edges and next to other nodes.
        if !words.is_empty() {
            marks.push(format!("label=\"{}\\n{}\"", escaped(&node.variant), escaped(&words)));
        } else if nested {
            marks.push(format!("label={}", quoted(&node.variant)));
        }
        for (set, mark) in [
            (graph.start == node.name, "penwidth=2 style=\"filled,bold\" color=black"),
            (node.terminal, "peripheries=2"),
            (node.gathers, "shape=invtrapezium"),
        ] {
            if set {
                marks.push(mark.to_owned());
            }
        }
        // An outline in the colour of the filling would be invisible, so the start has another one.
        match state {
            Some(state) => marks.push(format!("fillcolor={}", state.colour())),
            None if graph.start == node.name => marks.push("fillcolor=lightgray".to_owned()),
            None => {}
        }
        let marks = if marks.is_empty() { String::new() } else { format!(" [{}]", marks.join(" ")) };
        self.line(indent, &format!("{}{marks}", level.id(node)));
        if level.drawn(node).any(|edge| edge.to.is_none()) {
            self.line(indent, &format!("{} [shape=point]", level.out(node)));
        }
    }

    /// The edges of a node: direct ones, those that are taken on failure or on cancel, arms.
    fn edges(&mut self, level: &Level<'_>, node: &GraphNode) {
        let from = level.id(node);
        let (direct, others): (Vec<_>, Vec<_>) =
            level.drawn(node).partition(|edge| edge.kind == EdgeKind::Direct);
        let (failure, arms): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|edge| edge.kind == EdgeKind::Failure);
        let (cancel, arms): (Vec<_>, Vec<_>) =
            arms.into_iter().partition(|edge| edge.kind == EdgeKind::Cancel);
        for edge in direct.into_iter().chain(failure).chain(cancel).chain(arms) {
            let style = match &edge.kind {
                EdgeKind::Direct => String::new(),
                EdgeKind::Failure => " [style=\"dotted\" color=\"red\" label=\"fallback\"]".to_owned(),
                EdgeKind::Cancel => " [style=\"dotted\" color=\"blue\" label=\"on cancel\"]".to_owned(),
                EdgeKind::Match(arm) => format!(" [label={}]", quoted(&label(arm))),
            };
            let to = match &edge.to {
                None => level.out(node),
                Some(to) => level.graph.node(to).map_or_else(|| quoted(to), |to| level.id(to)),
            };
            self.line(level.indent, &format!("{from} -> {to}{style}"));
        }
    }

    fn line(&mut self, indent: usize, text: &str) {
        self.open(indent, &format!("{text};"));
    }

    /// A line without a semicolon.
    fn open(&mut self, indent: usize, text: &str) {
        self.dot.push_str(&" ".repeat(indent));
        self.dot.push_str(text);
        self.dot.push('\n');
    }
}

impl<'a> Level<'a> {
    fn id(&self, node: &GraphNode) -> String {
        id(&format!("{}{}", self.prefix, node.variant))
    }

    /// The points where the arms of a node leave the run.
    fn out(&self, node: &GraphNode) -> String {
        quoted(&format!("{}{} output", self.prefix, node.variant))
    }

    /// The edges of a node, also those that are only drawn.
    fn drawn(&self, node: &'a GraphNode) -> impl Iterator<Item = &'a GraphEdge> {
        self.graph.edges.iter().chain(&self.graph.shadowed).filter(|edge| edge.from == node.name)
    }
}

/// The variant alone and the guard of an arm: `Good if x > 5` for `kinds::Kind::Good(x) if x > 5`.
fn label(arm: &str) -> String {
    let (pattern, guard) =
        arm.split_once(" if ").map_or((arm, None), |(pattern, guard)| (pattern, Some(guard)));
    // A payload is a list of names, without parentheses or braces of its own.
    let payload = match pattern.chars().last() {
        Some(')') => pattern.rfind('('),
        Some('}') => pattern.rfind('{'),
        _ => None,
    };
    let path = payload.map_or(pattern, |begin| &pattern[..begin]).trim_end();
    let variant = path.rsplit("::").next().unwrap_or(path);
    guard.map_or_else(|| variant.to_owned(), |guard| format!("{variant} if {guard}"))
}

/// A name in DOT: unchanged if it is one word, otherwise in quotes.
fn id(name: &str) -> String {
    let word = name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(char::is_numeric);
    let keyword = KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(name));
    if word && !keyword && !name.is_empty() { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests;
