//! What is drawn, to the letter.

use super::label;
use crate::{EdgeKind, Graph, GraphEdge, GraphNode, NodeState};
use std::collections::BTreeMap;

fn node(name: &str, variant: &str) -> GraphNode {
    GraphNode { name: name.to_owned(), variant: variant.to_owned(), ..GraphNode::default() }
}

fn edge(from: &str, to: Option<&str>, kind: EdgeKind) -> GraphEdge {
    GraphEdge { from: from.to_owned(), to: to.map(str::to_owned), kind }
}

fn arm(text: &str) -> EdgeKind {
    EdgeKind::Match(text.to_owned())
}

/// Two nodes in a row; the end has another graph within.
fn nesting(name: &str, nested: Option<Graph>) -> Graph {
    let end = GraphNode { terminal: true, nested: nested.map(Box::new), ..node("end", "End") };
    Graph {
        name: name.to_owned(),
        start: "begin".to_owned(),
        nodes: vec![node("begin", "Begin"), end],
        edges: vec![edge("begin", Some("end"), EdgeKind::Direct)],
        ..Graph::default()
    }
}

#[test]
fn nodes_and_edges_are_in_the_order_of_declaration() {
    let good = r#"crate::V::Good(v) if v.name == "x""#;
    let pages = Graph {
        name: "my-pages".to_owned(),
        start: "fetch".to_owned(),
        nodes: vec![
            GraphNode { retry: true, ..node("fetch", "Fetch") },
            node("node", "Node"),
            GraphNode { gathers: true, ..node("store", "Store") },
            GraphNode { terminal: true, ..node("give_up", "GiveUp") },
        ],
        edges: vec![
            edge("store", Some("give_up"), EdgeKind::Direct),
            edge("node", Some("store"), arm(good)),
            edge("node", Some("give_up"), arm(good)),
            edge("node", None, arm("V::Same(_)")),
            edge("fetch", Some("give_up"), EdgeKind::Failure),
            edge("fetch", Some("node"), EdgeKind::Direct),
        ],
        shadowed: vec![edge("fetch", Some("store"), arm("V::Never")), edge("fetch", None, arm("V::Nor"))],
    };
    let expected = r#"digraph "my-pages" {
  rankdir=LR;
  node [shape=box style=filled fontname="Helvetica" color=lightgray];
  edge [fontname="Helvetica" arrowhead=vee];
  Fetch [label="Fetch\nretry" penwidth=2 style="filled,bold" color=black fillcolor=lightgray];
  "Fetch output" [shape=point];
  "Node";
  "Node output" [shape=point];
  Store [shape=invtrapezium];
  GiveUp [peripheries=2];
  Fetch -> "Node";
  Fetch -> GiveUp [style="dotted" color="red" label="fallback"];
  Fetch -> Store [label="Never"];
  Fetch -> "Fetch output" [label="Nor"];
  "Node" -> Store [label="Good if v.name == \"x\""];
  "Node" -> GiveUp [label="Good if v.name == \"x\""];
  "Node" -> "Node output" [label="Same"];
  Store -> GiveUp;
}
"#;
    assert_eq!(pages.to_dot(), expected);
}

#[test]
fn nested_workflows_have_nested_frames() {
    let dot = nesting("outer", Some(nesting("middle", Some(nesting("inner", None))))).to_dot();
    let expected = r#"digraph outer {
  rankdir=LR;
  node [shape=box style=filled fontname="Helvetica" color=lightgray];
  edge [fontname="Helvetica" arrowhead=vee];
  Begin [penwidth=2 style="filled,bold" color=black fillcolor=lightgray];
  subgraph "cluster_End" {
    label="End: middle" style=dashed fontname="Helvetica";
    End [peripheries=2];
    "End/Begin" [label="Begin" penwidth=2 style="filled,bold" color=black fillcolor=lightgray];
    subgraph "cluster_End/End" {
      label="End: inner" style=dashed fontname="Helvetica";
      "End/End" [label="End" peripheries=2];
      "End/End/Begin" [label="Begin" penwidth=2 style="filled,bold" color=black fillcolor=lightgray];
      "End/End/End" [label="End" peripheries=2];
      "End/End/Begin" -> "End/End/End";
      "End/End" -> "End/End/Begin" [style="dashed" label="runs"];
    }
    "End/Begin" -> "End/End";
    End -> "End/Begin" [style="dashed" label="runs"];
  }
  Begin -> End;
}
"#;
    assert_eq!(dot, expected);
}

#[test]
fn a_run_colours_its_nodes_by_state() {
    let mut graph = nesting("outer", Some(nesting("inner", None)));
    graph.nodes[0].retry = true;
    let states =
        BTreeMap::from([("begin".to_owned(), NodeState::Done), ("end".to_owned(), NodeState::Pending)]);
    let dot = graph.to_dot_of_run("outer/r-1 is \"running\"", &states);
    for line in [
        r#"label="outer/r-1 is \"running\"" labelloc=t fontname="Helvetica";"#,
        r#"Begin [label="Begin\nretry, done" penwidth=2 style="filled,bold" color=black fillcolor=palegreen];"#,
        r#"End [label="End\npending" peripheries=2 fillcolor=khaki];"#,
        r#""End/End" [label="End" peripheries=2];"#,
        "Begin -> End;",
    ] {
        assert!(dot.lines().any(|drawn| drawn.trim() == line), "{line} is not in {dot}");
    }
}

#[test]
fn labels_are_variants_with_guards() {
    for (arm, expected) in [
        ("V::Done", "Done"),
        ("Done", "Done"),
        ("crate::kinds::V::<(u8, u8)>::A(v, ..)", "A"),
        ("V::Q { a, b: _ } if a.then(|| 1) == Some(b)", "Q if a.then(|| 1) == Some(b)"),
        ("Some(v) if if v { true } else { false }", "Some if if v { true } else { false }"),
    ] {
        assert_eq!(label(arm), expected);
    }
}
