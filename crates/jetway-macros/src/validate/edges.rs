//! Checks the edges of each node: at most one of each kind, to nodes that exist.

use super::names::{Declared, position};
use crate::{
    errors::Errors,
    model::{Node, Shadowed, Success, Target},
    parse::{
        arm::Arm,
        edge::{Edge, Kind},
    },
    text::plain,
};
use proc_macro2::Ident;

/// The edges of one node, by kind, with the node's name in the source.
#[derive(Default)]
struct Edges {
    first: Option<Ident>,
    direct: Option<Vec<Target>>,
    failure: Option<Vec<Target>>,
    cancel: Option<Vec<Target>>,
    composite: Option<(Ident, Vec<Arm<Target>>)>,
}

/// Joins nodes and edges. The result is only valid if no error was added.
pub(super) fn resolve(nodes: Vec<Declared>, edges: Vec<Edge>, errors: &mut Errors) -> Vec<Node> {
    let mut by_node: Vec<Edges> = nodes.iter().map(|_| Edges::default()).collect();
    for Edge { from, kind } in edges {
        // Check the successors even if the source is unknown, so that one error does not hide another.
        let node = position(&from, &nodes, errors);
        let mut discarded = Edges::default();
        let slot = node.and_then(|node| by_node.get_mut(node)).unwrap_or(&mut discarded);
        slot.add(&from, kind, &nodes, errors);
    }
    nodes.into_iter().zip(by_node).filter_map(|(node, edges)| joined(node, edges, errors)).collect()
}

impl Edges {
    fn add(&mut self, from: &Ident, kind: Kind, nodes: &[Declared], errors: &mut Errors) {
        let name = plain(from);
        self.first.get_or_insert_with(|| from.clone());
        let (duplicate, kind) = match kind {
            Kind::Direct(to) => (self.direct.replace(targets(from, to, nodes, errors)).is_some(), "direct"),
            Kind::Failure(to) => {
                if to.is_empty() {
                    errors.at(from.span(), format!("missing fallback: write `{name} on_failure => [node];`"));
                }
                (self.failure.replace(targets(from, to, nodes, errors)).is_some(), "`on_failure`")
            }
            Kind::Cancel(to) => {
                if to.is_empty() {
                    errors.at(from.span(), format!("missing clean-up: write `{name} on_cancel => [node];`"));
                }
                (self.cancel.replace(targets(from, to, nodes, errors)).is_some(), "`on_cancel`")
            }
            Kind::Match(arms) => {
                let arms = arms.into_iter().map(|mut arm| {
                    let to = std::mem::take(&mut arm.to);
                    arm.with(targets(from, to, nodes, errors))
                });
                let arms = arms.collect();
                (self.composite.replace((from.clone(), arms)).is_some(), "composite")
            }
        };
        if duplicate {
            errors.at(from.span(), format!("`{name}` has two {kind} edges: merge them"));
        }
    }
}

fn targets(from: &Ident, to: Vec<Ident>, nodes: &[Declared], errors: &mut Errors) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::with_capacity(to.len());
    for ident in to {
        let Some(node) = position(&ident, nodes, errors) else {
            continue;
        };
        if targets.iter().any(|earlier| earlier.node == node) {
            errors.at(ident.span(), format!("duplicate edge `{} => {}`", plain(from), plain(&ident)));
        }
        targets.push(Target { node, ident });
    }
    targets
}

fn joined(node: Declared, edges: Edges, errors: &mut Errors) -> Option<Node> {
    let Edges { first, direct, failure, cancel, composite } = edges;
    let (success, shadowed) = match (direct, composite) {
        (None, None) if failure.is_none() && cancel.is_none() => {
            let name = plain(&node.ident);
            let message = format!(
                "node `{name}` has no edges: add `{name} => [successor];`, or `{name} => [];` if it is terminal"
            );
            errors.at(node.ident.span(), message);
            return None;
        }
        (None, None) => (Success::Output, None),
        (None, Some((from, arms))) => (Success::Match { from, arms }, None),
        (Some(to), composite) => {
            let success = if to.is_empty() { Success::Output } else { Success::Direct(to) };
            (success, composite.map(|(from, arms)| Shadowed { from, arms }))
        }
    };
    Some(Node {
        edge: first.unwrap_or_else(|| node.ident.clone()),
        ident: node.ident,
        ty: node.ty,
        variant: node.variant,
        gathers: node.gather.is_some(),
        at_most: node.at_most,
        policy: node.policy,
        limits: node.limits,
        success,
        fallbacks: failure.unwrap_or_default(),
        clean_up: cancel.unwrap_or_default(),
        only_cleans_up: false,
        shadowed,
    })
}

#[cfg(test)]
mod tests {
    use crate::validate::tests::rejected;
    use quote::quote;

    #[test]
    fn edges_connect_existing_nodes() {
        rejected(
            &quote! {
                struct W { fetch: A, parse: B } start = fecth;
                edges { fetch => [prase, other]; fetch => {}; pasre => []; }
            },
            &[
                "unknown node `fecth`; did you mean `fetch`?",
                "unknown node `prase`; did you mean `parse`?",
                "unknown node `other` in this workflow",
                "`fetch` has two direct edges",
                "unknown node `pasre`; did you mean `parse`?",
                "node `parse` has no edges: add `parse => [successor];`, or `parse => [];`",
            ],
        );
    }

    #[test]
    fn a_node_has_one_edge_of_each_kind() {
        rejected(
            &quote! { struct W { a: A } start = a; edges { a => { V::A => []; }; a => { V::B => []; }; } },
            &["`a` has two composite edges"],
        );
        rejected(
            &quote! {
                struct W { a: A, b: B } start = a;
                edges { a => []; a on_failure => []; b => []; b on_failure => [a]; b on_failure => [a]; }
            },
            &["missing fallback: write `a on_failure => [node];`", "`b` has two `on_failure` edges"],
        );
    }

    #[test]
    fn a_node_has_one_clean_up() {
        rejected(
            &quote! {
                struct W { a: A, b: B } start = a;
                edges { a => []; a on_cancel => []; b => []; b on_cancel => [a]; b on_cancel => [a, a]; }
            },
            &[
                "missing clean-up: write `a on_cancel => [node];`",
                "duplicate edge `b => a`",
                "`b` has two `on_cancel` edges",
            ],
        );
    }

    #[test]
    fn a_value_goes_to_a_successor_once() {
        rejected(
            &quote! { struct W { a: A, b: B } start = a; edges { a => [b, b]; b => []; } },
            &["duplicate edge `a => b`"],
        );
        rejected(
            &quote! {
                struct W { a: A, b: B } start = a;
                edges { a => { V::A(_) => [b, b]; V::B => [b]; }; b => []; }
            },
            &["duplicate edge `a => b`"],
        );
    }
}
