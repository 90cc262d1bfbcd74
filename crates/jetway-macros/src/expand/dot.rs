//! `to_dot`: the workflow as a drawing, in the order of its declaration.

use crate::model::{Node, Workflow};
use std::fmt::Write;

/// Words of the DOT language, which no node may be called without quotes.
const KEYWORDS: [&str; 6] = ["node", "edge", "graph", "digraph", "subgraph", "strict"];

/// The drawing. The start is bold, ends have two outlines, gathering nodes are funnels, and arms that lead out of the
/// run end in a point.
pub(super) fn dot(workflow: &Workflow) -> String {
    let mut dot = format!("digraph {} {{\n", id(&workflow.head.ident.to_string()));
    dot.push_str("  rankdir=LR;\n");
    dot.push_str("  node [shape=box style=filled fontname=\"Helvetica\" color=lightgray];\n");
    dot.push_str("  edge [fontname=\"Helvetica\" arrowhead=vee];\n");
    for (position, node) in workflow.nodes.iter().enumerate() {
        let style = style(node, position == workflow.start);
        line(&mut dot, &[&name(node), &style]);
        if node.arms().iter().any(|arm| arm.to.is_empty()) {
            line(&mut dot, &[&out(node), " [shape=point]"]);
        }
    }
    for node in &workflow.nodes {
        edges(&mut dot, workflow, node);
    }
    dot.push_str("}\n");
    dot
}

fn edges(dot: &mut String, workflow: &Workflow, node: &Node) {
    let from = name(node);
    for to in node.direct() {
        line(dot, &[&from, " -> ", &name(workflow.node(to))]);
    }
    for to in &node.fallbacks {
        let to = name(workflow.node(to));
        line(dot, &[&from, " -> ", &to, " [style=\"dotted\" color=\"red\" label=\"fallback\"]"]);
    }
    for arm in node.arms() {
        let label = format!(" [label={}]", quoted(&arm.label()));
        for to in &arm.to {
            line(dot, &[&from, " -> ", &name(workflow.node(to)), &label]);
        }
        if arm.to.is_empty() {
            line(dot, &[&from, " -> ", &out(node), &label]);
        }
    }
}

fn style(node: &Node, start: bool) -> String {
    let marks = [
        (start, "penwidth=2 style=\"filled,bold\""),
        (node.is_terminal(), "peripheries=2"),
        (node.gathers, "shape=invtrapezium"),
    ];
    let marks: Vec<_> = marks.iter().filter(|(set, _)| *set).map(|(_, mark)| *mark).collect();
    let mut style = String::new();
    if !marks.is_empty() {
        // Writing to a string does not fail.
        write!(style, " [{}]", marks.join(" ")).unwrap_or_default();
    }
    style
}

fn line(dot: &mut String, parts: &[&str]) {
    dot.push_str("  ");
    dot.push_str(&parts.concat());
    dot.push_str(";\n");
}

fn name(node: &Node) -> String {
    id(&node.variant.to_string())
}

/// Where the arms of a node leave the run.
fn out(node: &Node) -> String {
    quoted(&format!("{} output", node.variant))
}

fn id(name: &str) -> String {
    let keyword = KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(name));
    if keyword { quoted(name) } else { name.to_owned() }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::dot;
    use quote::quote;

    #[test]
    fn drawn_in_the_order_of_the_declaration() {
        let definition = quote! {
            struct Pages { fetch: A, node: B, #[gather] store: C, give_up: D, end: E }
            start = fetch;
            output = u8;
            edges {
                end => {};
                store => [end];
                node => { V::Good(v) if v.name == "x" => [store, end]; V::Bad => [give_up]; V::Same(_) => []; };
                fetch on_failure => [give_up];
                fetch => [node, store];
                give_up => [];
            }
        };
        let workflow = syn::parse2(definition).and_then(crate::validate::workflow).unwrap();
        let expected = r#"digraph Pages {
  rankdir=LR;
  node [shape=box style=filled fontname="Helvetica" color=lightgray];
  edge [fontname="Helvetica" arrowhead=vee];
  Fetch [penwidth=2 style="filled,bold"];
  "Node";
  "Node output" [shape=point];
  Store [shape=invtrapezium];
  GiveUp [peripheries=2];
  End [peripheries=2];
  Fetch -> "Node";
  Fetch -> Store;
  Fetch -> GiveUp [style="dotted" color="red" label="fallback"];
  "Node" -> Store [label="Good if v.name == \"x\""];
  "Node" -> End [label="Good if v.name == \"x\""];
  "Node" -> GiveUp [label="Bad"];
  "Node" -> "Node output" [label="Same"];
  Store -> End;
}
"#;
        assert_eq!(dot(&workflow), expected);
    }
}
