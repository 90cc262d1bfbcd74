//! The nodes that the fields declare, and their names.

use crate::{
    errors::Errors,
    parse::{head::Head, workflow::NodeField},
    text::{camel_case, did_you_mean, plain},
};
use proc_macro2::{Ident, Span};
use std::collections::BTreeMap;
use syn::{LitInt, Type};

/// A node before its edges are known.
pub(super) struct Declared {
    pub(super) ident: Ident,
    pub(super) ty: Type,
    pub(super) variant: Ident,
    /// Where `#[gather]` stands.
    pub(super) gather: Option<Span>,
    pub(super) policy: Option<Ident>,
    pub(super) at_most: Option<LitInt>,
}

/// The nodes among the fields: all but those that some `#[retry]` names.
pub(super) fn declared(head: &Head, fields: &[NodeField], errors: &mut Errors) -> Vec<Declared> {
    let policies = policies(fields, errors);
    let mut nodes: Vec<Declared> = Vec::new();
    let mut seen = BTreeMap::new();
    for field in fields {
        let name = plain(&field.ident);
        if seen.insert(name.clone(), ()).is_some() {
            errors.at(field.ident.span(), format!("`{name}` is declared twice"));
            continue;
        }
        if policies.contains(&name) {
            if let Some(span) = field.gather {
                errors.at(span, "a retry policy cannot gather");
            }
            if let Some(bound) = &field.at_most {
                errors.at(bound.span(), "a retry policy is no node, so there is nothing to bound");
            }
            continue;
        }
        let Some(variant) = variant(&field.ident, &nodes, errors) else {
            continue;
        };
        nodes.push(Declared {
            ident: field.ident.clone(),
            ty: field.ty.clone(),
            variant,
            gather: field.gather,
            policy: field.retry.clone(),
            at_most: field.at_most.clone(),
        });
    }
    if seen.is_empty() {
        errors.at(head.ident.span(), format!("workflow `{}` has no nodes", plain(&head.ident)));
    }
    nodes
}

/// The names of the fields that hold retry policies.
fn policies(fields: &[NodeField], errors: &mut Errors) -> Vec<String> {
    let known: Vec<_> = fields.iter().map(|field| plain(&field.ident)).collect();
    let mut policies = Vec::new();
    for policy in fields.iter().filter_map(|field| field.retry.as_ref()) {
        let name = plain(policy);
        if !known.contains(&name) {
            let hint = did_you_mean(&name, known.iter().map(String::as_str));
            errors.at(policy.span(), format!("there is no field `{name}`{hint}"));
        }
        policies.push(name);
    }
    policies
}

fn variant(node: &Ident, nodes: &[Declared], errors: &mut Errors) -> Option<Ident> {
    let name = plain(node);
    let variant = camel_case(&name);
    let Ok(mut ident) = syn::parse_str::<Ident>(&variant) else {
        errors.at(node.span(), format!("node `{name}` cannot be named a work item `{variant}`: rename it"));
        return None;
    };
    ident.set_span(node.span());
    if let Some(other) = nodes.iter().find(|other| other.variant == ident) {
        let other = plain(&other.ident);
        let message =
            format!("`{other}` and `{name}` would both be the work item `{variant}`: rename one of them");
        errors.at(node.span(), message);
    }
    Some(ident)
}

/// The position of the node that `name` names, or a mistake.
pub(super) fn position(name: &Ident, nodes: &[Declared], errors: &mut Errors) -> Option<usize> {
    let written = plain(name);
    let found = nodes.iter().position(|node| plain(&node.ident) == written);
    if found.is_none() {
        let names: Vec<_> = nodes.iter().map(|node| plain(&node.ident)).collect();
        let mut hint = did_you_mean(&written, names.iter().map(String::as_str));
        if hint.is_empty() {
            hint.push_str(" in this workflow");
        }
        errors.at(name.span(), format!("there is no node `{written}`{hint}"));
    }
    found
}

/// The position of the start node; of use only where no mistake was found.
pub(super) fn start(name: &Ident, nodes: &[Declared], errors: &mut Errors) -> usize {
    position(name, nodes, errors).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::validate::tests::refused;
    use quote::quote;

    #[test]
    fn nodes_have_names_of_their_own() {
        refused(&quote! { struct W {} start = a; edges {} }, &["workflow `W` has no nodes"]);
        refused(
            &quote! { struct W { a: A, a: B } start = a; edges { a => []; } },
            &["`a` is declared twice"],
        );
        refused(
            &quote! { struct W { a_b: A, aB: A, self_: A, _1: A } start = a_b; edges {} },
            &[
                "`a_b` and `aB` would both be the work item `AB`",
                "node `self_` cannot be named a work item `Self`",
                "node `_1` cannot be named a work item `1`",
            ],
        );
    }

    #[test]
    fn policies_are_fields_but_no_nodes() {
        refused(
            &quote! { struct W { #[retry = pol] a: A, policy: P } start = a; edges { a => []; policy => []; } },
            &["there is no field `pol`"],
        );
        refused(
            &quote! { struct W { #[retry = policy] a: A, policy: P } start = policy; edges { a => [policy]; } },
            &["there is no node `policy` in this workflow", "there is no node `policy` in this workflow"],
        );
        refused(
            &quote! { struct W { #[retry = p] #[gather] p: P, a: A } start = a; edges { a => []; } },
            &["a retry policy cannot gather"],
        );
    }
}
