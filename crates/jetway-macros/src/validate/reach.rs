//! What can be reached from where: from the start every node, from every node an end.

use crate::{
    errors::Errors,
    model::Workflow,
    text::{listed, plain},
};
use std::collections::BTreeSet;

/// Checks a workflow whose names are resolved.
///
/// # Errors
/// Nodes that no run comes to, nodes that a run never leaves, and an output whose type nobody can tell.
pub(super) fn check(workflow: &Workflow) -> syn::Result<()> {
    let mut errors = Errors::default();
    unreached(workflow, &mut errors);
    idle_gatherers(workflow, &mut errors);
    endless(workflow, &mut errors);
    errors.finish()
}

fn unreached(workflow: &Workflow, errors: &mut Errors) {
    let mut reached = BTreeSet::from([workflow.start]);
    let mut queue = vec![workflow.start];
    while let Some(node) = queue.pop() {
        queue.extend(workflow.nodes[node].successors().filter(|next| reached.insert(*next)));
    }
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

fn idle_gatherers(workflow: &Workflow, errors: &mut Errors) {
    for (position, node) in workflow.nodes.iter().enumerate().filter(|(_, node)| node.gathers) {
        if !workflow.nodes.iter().any(|other| other.successors().any(|next| next == position)) {
            let name = plain(&node.ident);
            errors.at(node.ident.span(), format!("nothing leads to `{name}`, so it has nothing to gather"));
        }
    }
}

fn endless(workflow: &Workflow, errors: &mut Errors) {
    let nodes = &workflow.nodes;
    let mut ending: BTreeSet<_> = (0..nodes.len()).filter(|node| nodes[*node].is_exit()).collect();
    let name = plain(&workflow.head.ident);
    let span = workflow.head.ident.span();
    if ending.is_empty() {
        let message = format!("workflow `{name}` never ends: one of its nodes needs `node => [];`");
        errors.at(span, message);
        return;
    }
    if workflow.output.is_none() && !nodes.iter().any(|node| node.is_terminal()) {
        let message = format!(
            "workflow `{name}` ends in `=> []` arms only, where the type of the output cannot be seen: add \
             `output = Type;`"
        );
        errors.at(span, message);
    }
    // Backwards from the ends, until nothing is added.
    loop {
        let before = ending.len();
        for (position, node) in nodes.iter().enumerate() {
            if node.successors().any(|next| ending.contains(&next)) {
                ending.insert(position);
            }
        }
        if ending.len() == before {
            break;
        }
    }
    let stuck: Vec<_> = (0..nodes.len()).filter(|node| !ending.contains(node)).collect();
    if let Some(first) = stuck.first() {
        let names: Vec<_> = stuck.iter().map(|node| plain(&nodes[*node].ident)).collect();
        let names = listed(names.iter().map(String::as_str));
        let message = format!(
            "no way leads from {names} to an end of the run: one of them needs an edge to a node that does, or \
             `node => [];` where the run is to end"
        );
        errors.at(nodes[*first].ident.span(), message);
    }
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
                &["workflow `W` never ends: one of its nodes needs `node => [];`"],
            );
        }
        refused(
            &quote! {
                struct W { a: A, b: B, c: C, d: D } start = a;
                edges { a => [b, c]; b => [d]; d => { V::A => [b]; }; c => []; }
            },
            &["no way leads from `b` and `d` to an end of the run"],
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
