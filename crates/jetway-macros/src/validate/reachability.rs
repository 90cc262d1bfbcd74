//! What can be reached from where: from the start every node, from every node an end.

use crate::{
    errors::Errors,
    model::{Node, Workflow},
    text::{either, listed, plain},
};
use std::collections::BTreeSet;

/// Checks a workflow whose names are resolved.
///
/// # Errors
/// Nodes that no run comes to, nodes that a run never leaves, and an output whose type nobody can tell.
pub(super) fn check(workflow: &Workflow) -> syn::Result<()> {
    let mut errors = Errors::default();
    unreachable_nodes(workflow, &mut errors);
    gathers_without_input(workflow, &mut errors);
    missing_exits(workflow, &mut errors);
    errors.finish()
}

fn unreachable_nodes(workflow: &Workflow, errors: &mut Errors) {
    // Arms that are only drawn count: what they name is part of the picture, and a warning says that they are not taken.
    let reached = reachable_from(workflow.start, |node| workflow.nodes[node].successors());
    let start = plain(&workflow.nodes[workflow.start].ident);
    for (position, node) in workflow.nodes.iter().enumerate() {
        if !reached.contains(&position) {
            let name = plain(&node.ident);
            let message = format!(
                "node `{name}` cannot be reached from `{start}`, the start: name it in an edge, such as \
                 `{start} => [{name}];`, or remove it"
            );
            errors.at(node.ident.span(), message);
        }
    }
}

fn gathers_without_input(workflow: &Workflow, errors: &mut Errors) {
    for (position, node) in workflow.nodes.iter().enumerate().filter(|(_, node)| node.gathers) {
        if !workflow.nodes.iter().any(|other| other.successors().any(|next| next == position)) {
            let name = plain(&node.ident);
            errors.at(node.ident.span(), format!("nothing leads to `{name}`, so it has nothing to gather"));
        }
    }
}

fn missing_exits(workflow: &Workflow, errors: &mut Errors) {
    let nodes = &workflow.nodes;
    let name = plain(&workflow.head.ident);
    let span = workflow.head.ident.span();
    if !nodes.iter().any(Node::is_exit) {
        let names: Vec<_> = nodes.iter().map(|node| plain(&node.ident)).collect();
        let first = names.first().map_or("node", String::as_str);
        let message = format!(
            "workflow `{name}` never ends: let {} end the run, as by `{first} => [];`",
            either(names.iter().map(String::as_str))
        );
        errors.at(span, message);
        return;
    }
    if workflow.output.is_none() && !nodes.iter().any(Node::is_terminal) {
        let message = format!(
            "workflow `{name}` ends in `=> []` arms only, where the type of the output cannot be seen: add \
             `output = Type;`"
        );
        errors.at(span, message);
    }
    for cycle in closed_cycles(nodes) {
        if let Some(first) = cycle.first() {
            errors.at(nodes[*first].edge.span(), cycle_message(nodes, &cycle));
        }
    }
}

/// The nodes that a run never leaves, once it has come to one of them: each leads to all of them and to no other.
fn closed_cycles(nodes: &[Node]) -> BTreeSet<BTreeSet<usize>> {
    let reachable: Vec<_> =
        (0..nodes.len()).map(|node| reachable_from(node, |node| nodes[node].value_successors())).collect();
    let closed = |cycle: &&BTreeSet<usize>| {
        cycle.iter().all(|node| reachable[*node] == **cycle && !nodes[*node].is_exit())
    };
    reachable.iter().filter(closed).cloned().collect()
}

/// Where these steps lead to from a node, the node itself included.
fn reachable_from<I: Iterator<Item = usize>>(
    node: usize,
    successors: impl Fn(usize) -> I,
) -> BTreeSet<usize> {
    let mut reached = BTreeSet::from([node]);
    let mut queue = vec![node];
    while let Some(node) = queue.pop() {
        queue.extend(successors(node).filter(|next| reached.insert(*next)));
    }
    reached
}

fn cycle_message(nodes: &[Node], cycle: &BTreeSet<usize>) -> String {
    let names: Vec<_> = cycle.iter().map(|node| plain(&nodes[*node].ident)).collect();
    let first = names.first().map_or("node", String::as_str);
    let listed = listed(names.iter().map(String::as_str));
    let (leads, them, one) = match cycle.len() {
        1 => ("leads only to itself", "it", "it"),
        _ => ("lead only to each other", "them", "one of them"),
    };
    let shadowed = cycle.iter().find(|node| nodes[**node].shadowed.is_some());
    let arms = shadowed.map_or_else(String::new, |node| {
        let name = plain(&nodes[*node].ident);
        format!("; the arms of `{name}` are no way out, since `{name}` has a direct edge as well")
    });
    format!(
        "{listed} {leads}: no way leads from {them} to an end of the run{arms}; {one} needs an edge to a node that \
         does, or `{first} => [];` where the run is to end"
    )
}

#[cfg(test)]
mod tests {
    use crate::validate::tests::refused;
    use quote::quote;

    #[test]
    fn every_node_is_reached() {
        refused(
            &quote! { struct W { a: A, b: B, c: C } start = a; edges { a => []; b => [c]; c => []; } },
            &["node `b` cannot be reached from `a`", "node `c` cannot be reached from `a`"],
        );
        refused(
            &quote! { struct W { #[gather] a: A, b: B } start = a; edges { a => [b]; b => []; } },
            &["nothing leads to `a`, so it has nothing to gather"],
        );
    }

    #[test]
    fn every_node_leads_to_an_end() {
        for edges in [quote! { a => [b]; b => [a]; }, quote! { a => [b]; b => [b]; a on_failure => [b]; }] {
            refused(
                &quote! { struct W { a: A, b: B } start = a; edges { #edges } },
                &["workflow `W` never ends: let `a` or `b` end the run, as by `a => [];`"],
            );
        }
        refused(
            &quote! {
                struct W { a: A, b: B, c: C, d: D } start = a;
                edges { a => [b, c]; b => [d]; d => { V::A => [b]; }; c => []; }
            },
            &[
                "`b` and `d` lead only to each other: no way leads from them to an end of the run; one of them needs",
            ],
        );
        // Arms beside a direct edge are drawn and never taken.
        refused(
            &quote! {
                struct W { a: A, b: B, c: C } start = a;
                edges { a => [b]; b => [a]; b => { K::X => [c]; }; c => []; }
            },
            &["the arms of `b` are no way out, since `b` has a direct edge as well; one of them needs"],
        );
        // What leads to a cycle alone is mended with it; each cycle is told by itself.
        refused(
            &quote! {
                struct W { a: A, to: B, b: B, c: C, d: D } start = a;
                edges { a => [to, c, d]; to => [b]; b => [b]; d => { V::A => [d]; }; c => []; }
            },
            &[
                "`b` leads only to itself: no way leads from it to an end of the run; it needs",
                "`d` leads only to itself",
            ],
        );
    }

    #[test]
    fn the_output_has_a_type() {
        refused(
            &quote! { struct W { a: A } start = a; edges { a => { V::A(_) => []; }; } },
            &["the type of the output cannot be seen: add `output = Type;`"],
        );
    }
}
