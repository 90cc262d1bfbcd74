//! Checks the nodes that the fields declare, and their names.

use crate::{
    errors::Errors,
    model::Policy,
    parse::{head::Head, limit::Limits, workflow::NodeField},
    text::{camel_case, did_you_mean, plain},
};
use proc_macro2::{Ident, Span};
use std::collections::BTreeMap;
use syn::{Expr, LitInt, Type};

/// A node before its edges are known.
pub(super) struct Declared {
    pub(super) ident: Ident,
    pub(super) ty: Type,
    pub(super) variant: Ident,
    /// The span of `#[gather]`.
    pub(super) gather: Option<Span>,
    pub(super) policy: Option<Ident>,
    pub(super) at_most: Option<LitInt>,
    pub(super) limits: Limits,
}

/// The policy of the `retry` clause: a field, or any other expression.
pub(super) fn policy_of_workflow(policy: Expr, fields: &[NodeField]) -> Policy {
    if let Expr::Path(path) = &policy
        && let Some(ident) = path.path.get_ident()
        && fields.iter().any(|field| plain(&field.ident) == plain(ident))
    {
        return Policy::Field(ident.clone());
    }
    Policy::Given(Box::new(policy))
}

/// The fields that are nodes: all except those that a `#[retry]`, or the clause, names.
pub(super) fn declared(
    head: &Head,
    fields: &[NodeField],
    policy: Option<&Policy>,
    errors: &mut Errors,
) -> Vec<Declared> {
    let mut policies = policies(fields, errors);
    if let Some(Policy::Field(field)) = policy {
        policies.push(plain(field));
    }
    let mut nodes: Vec<Declared> = Vec::new();
    let mut seen = BTreeMap::new();
    for field in fields {
        let name = plain(&field.ident);
        if seen.insert(name.clone(), ()).is_some() {
            errors.at(field.ident.span(), format!("duplicate field `{name}`"));
            continue;
        }
        if policies.contains(&name) {
            if let Some(span) = field.gather {
                errors.at(span, format!("`{name}` is a retry policy, not a node: remove `#[gather]`"));
            }
            if let Some(bound) = &field.at_most {
                errors
                    .at(bound.span(), format!("`{name}` is a retry policy, not a node: remove `#[at_most]`"));
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
            limits: field.limits.clone(),
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
            errors.at(policy.span(), format!("unknown field `{name}`{hint}"));
        }
        policies.push(name);
    }
    policies
}

fn variant(node: &Ident, nodes: &[Declared], errors: &mut Errors) -> Option<Ident> {
    let name = plain(node);
    let variant = camel_case(&name);
    let Ok(mut ident) = syn::parse_str::<Ident>(&variant) else {
        errors.at(node.span(), format!("node `{name}` needs the work item variant `{variant}`, which is not a valid name: rename the node"));
        return None;
    };
    ident.set_span(node.span());
    if let Some(other) = nodes.iter().find(|other| other.variant == ident) {
        let other = plain(&other.ident);
        let message =
            format!("`{other}` and `{name}` have the same work item variant `{variant}`: rename one of them");
        errors.at(node.span(), message);
    }
    Some(ident)
}

/// The position of the node that `name` names; adds an error if there is none.
pub(super) fn position(name: &Ident, nodes: &[Declared], errors: &mut Errors) -> Option<usize> {
    let written = plain(name);
    let found = nodes.iter().position(|node| plain(&node.ident) == written);
    if found.is_none() {
        let names: Vec<_> = nodes.iter().map(|node| plain(&node.ident)).collect();
        let mut hint = did_you_mean(&written, names.iter().map(String::as_str));
        if hint.is_empty() {
            hint.push_str(" in this workflow");
        }
        errors.at(name.span(), format!("unknown node `{written}`{hint}"));
    }
    found
}

/// The position of the start node; only valid if no error was added.
pub(super) fn start(name: &Ident, nodes: &[Declared], errors: &mut Errors) -> usize {
    position(name, nodes, errors).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::validate::tests::rejected;
    use quote::quote;

    #[test]
    fn names_of_nodes_are_unique_and_valid() {
        rejected(&quote! { struct W {} start = a; edges {} }, &["workflow `W` has no nodes"]);
        rejected(&quote! { struct W { a: A, a: B } start = a; edges { a => []; } }, &["duplicate field `a`"]);
        rejected(
            &quote! { struct W { a_b: A, aB: A, self_: A, _1: A } start = a_b; edges {} },
            &[
                "`a_b` and `aB` have the same work item variant `AB`",
                "node `self_` needs the work item variant `Self`, which is not a valid name",
                "node `_1` needs the work item variant `1`",
            ],
        );
    }

    #[test]
    fn retry_policies_are_not_nodes() {
        rejected(
            &quote! { struct W { #[retry = pol] a: A, policy: P } start = a; edges { a => []; policy => []; } },
            &["unknown field `pol`"],
        );
        rejected(
            &quote! { struct W { #[retry = policy] a: A, policy: P } start = policy; edges { a => [policy]; } },
            &["unknown node `policy` in this workflow", "unknown node `policy` in this workflow"],
        );
        rejected(
            &quote! { struct W { #[retry = p] #[gather] p: P, a: A } start = a; edges { a => []; } },
            &["`p` is a retry policy, not a node: remove `#[gather]`"],
        );
    }
}
