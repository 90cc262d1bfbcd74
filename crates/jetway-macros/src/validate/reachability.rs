//! Checks that the start leads to every node, and that every node leads to an end of the run.

use crate::{
    errors::Errors,
    model::{Node, Workflow},
    text::{either, listed, plain},
};
use std::collections::BTreeSet;

/// Checks a workflow whose names are resolved.
///
/// # Errors
/// For unreachable nodes, for cycles without an exit, and for an output of unknown type.
pub(super) fn check(workflow: &Workflow) -> syn::Result<()> {
    let mut errors = Errors::default();
    unreachable_nodes(workflow, &mut errors);
    gathers_without_input(workflow, &mut errors);
    missing_exits(workflow, &mut errors);
    errors.finish()
}

/// Finds the nodes to which `on_cancel` edges alone lead.
pub(super) fn find_clean_up(workflow: &mut Workflow) {
    let nodes = &workflow.nodes;
    let ordinary = reachable_from(workflow.start, |node| nodes[node].successors_without_cancel());
    let reached = reachable_from(workflow.start, |node| nodes[node].successors());
    for position in reached.difference(&ordinary) {
        workflow.nodes[*position].only_cleans_up = true;
    }
}

fn unreachable_nodes(workflow: &Workflow, errors: &mut Errors) {
    // Arms that are only drawn count: a warning says that they are never taken.
    let reached = reachable_from(workflow.start, |node| workflow.nodes[node].successors());
    let start = plain(&workflow.nodes[workflow.start].ident);
    for (position, node) in workflow.nodes.iter().enumerate() {
        if !reached.contains(&position) {
            let name = plain(&node.ident);
            let message = format!(
                "node `{name}` cannot be reached from the start `{start}`: add an edge to it, such as \
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
            errors
                .at(node.ident.span(), format!("no edge leads to `{name}`, which has `#[gather]`: add one"));
        }
    }
}

fn missing_exits(workflow: &Workflow, errors: &mut Errors) {
    let nodes = &workflow.nodes;
    let name = plain(&workflow.head.ident);
    let span = workflow.head.ident.span();
    if !nodes.iter().any(|node| node.is_exit() && !node.only_cleans_up) {
        let names: Vec<_> = nodes.iter().map(|node| plain(&node.ident)).collect();
        let first = names.first().map_or("node", String::as_str);
        let message = format!(
            "workflow `{name}` never ends: make {} terminal, for example with `{first} => [];`",
            either(names.iter().map(String::as_str))
        );
        errors.at(span, message);
        return;
    }
    if workflow.output.is_none() && !nodes.iter().any(Node::is_terminal) {
        let message = format!(
            "workflow `{name}` ends only in `=> []` arms, which do not show the type of the output: add \
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

/// The sets of nodes that a run never leaves: each node leads to all nodes of its set and to no other.
fn closed_cycles(nodes: &[Node]) -> BTreeSet<BTreeSet<usize>> {
    let reachable: Vec<_> =
        (0..nodes.len()).map(|node| reachable_from(node, |node| nodes[node].value_successors())).collect();
    let closed = |cycle: &&BTreeSet<usize>| {
        cycle.iter().all(|node| reachable[*node] == **cycle && !nodes[*node].is_exit())
    };
    reachable.iter().filter(closed).cloned().collect()
}

/// The nodes that can be reached from a node, including itself.
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
    let (leads, one) = match cycle.len() {
        1 => ("leads only to itself", "it"),
        _ => ("lead only to each other", "one of them"),
    };
    let shadowed = cycle.iter().find(|node| nodes[**node].shadowed.is_some());
    let arms = shadowed.map_or_else(String::new, |node| {
        let name = plain(&nodes[*node].ident);
        format!(" (the arms of `{name}` are never taken, because `{name}` has a direct edge too)")
    });
    format!(
        "{listed} {leads}, so a run never ends there{arms}: give {one} an edge to another node, or make it terminal, \
         for example with `{first} => [];`"
    )
}

#[cfg(test)]
mod tests {
    use crate::validate::tests::rejected;
    use quote::quote;

    #[test]
    fn every_node_must_be_reachable() {
        rejected(
            &quote! { struct W { a: A, b: B, c: C } start = a; edges { a => []; b => [c]; c => []; } },
            &[
                "node `b` cannot be reached from the start `a`",
                "node `c` cannot be reached from the start `a`",
            ],
        );
        rejected(
            &quote! { struct W { #[gather] a: A, b: B } start = a; edges { a => [b]; b => []; } },
            &["no edge leads to `a`, which has `#[gather]`: add one"],
        );
    }

    #[test]
    fn every_node_must_lead_to_an_end() {
        for edges in [quote! { a => [b]; b => [a]; }, quote! { a => [b]; b => [b]; a on_failure => [b]; }] {
            rejected(
                &quote! { struct W { a: A, b: B } start = a; edges { #edges } },
                &["workflow `W` never ends: make `a` or `b` terminal, for example with `a => [];`"],
            );
        }
        rejected(
            &quote! {
                struct W { a: A, b: B, c: C, d: D } start = a;
                edges { a => [b, c]; b => [d]; d => { V::A => [b]; }; c => []; }
            },
            &["`b` and `d` lead only to each other, so a run never ends there: give one of them an edge"],
        );
        // Arms beside a direct edge are never taken.
        rejected(
            &quote! {
                struct W { a: A, b: B, c: C } start = a;
                edges { a => [b]; b => [a]; b => { K::X => [c]; }; c => []; }
            },
            &["(the arms of `b` are never taken, because `b` has a direct edge too): give one of them"],
        );
        // A node that leads only to a cycle is not reported; each cycle is reported once.
        rejected(
            &quote! {
                struct W { a: A, to: B, b: B, c: C, d: D } start = a;
                edges { a => [to, c, d]; to => [b]; b => [b]; d => { V::A => [d]; }; c => []; }
            },
            &[
                "`b` leads only to itself, so a run never ends there: give it an edge",
                "`d` leads only to itself",
            ],
        );
    }

    #[test]
    fn the_output_must_have_a_type() {
        rejected(
            &quote! { struct W { a: A } start = a; edges { a => { V::A(_) => []; }; } },
            &["which do not show the type of the output: add `output = Type;`"],
        );
    }
}
