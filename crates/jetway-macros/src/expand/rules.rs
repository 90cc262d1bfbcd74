//! `step_rules` and `deadline`: the retry policies and time limits of the nodes, and the time limit of runs.

use super::{located, scope::Scope};
use crate::{
    model::{Node, Policy},
    parse::limit::Limit,
    text::plain,
};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

/// The expression of the policy of a node, or of its workflow.
pub(super) fn policy(scope: &Scope<'_>, node: &Node) -> Option<TokenStream> {
    let here = located(node.ident.span());
    match (&node.policy, &scope.workflow.policy) {
        (Some(field), _) => Some(quote_spanned!(here=> self.#field)),
        (None, default) => default.as_ref().map(|default| default_policy(scope, default)),
    }
}

fn default_policy(scope: &Scope<'_>, policy: &Policy) -> TokenStream {
    match policy {
        Policy::Field(field) => quote_spanned!(scope.here()=> self.#field),
        Policy::Given(expression) => quote!((#expression)),
    }
}

/// The node as it is called: with its limits around it.
pub(super) fn limited(scope: &Scope<'_>, node: &Node) -> TokenStream {
    let (field, support, context) = (&node.ident, &scope.support, &scope.workflow.context);
    let here = located(node.ident.span());
    if node.limits.is_empty() {
        return quote_spanned!(here=> &self.#field);
    }
    let name = plain(field);
    quote_spanned! {here=>
        &#support::LimitedNode::new(
            &self.#field,
            #support::Workflow::<#context>::step_rules(self, #name),
        )
    }
}

/// The method, if a node has rules.
pub(super) fn step_rules(scope: &Scope<'_>) -> Option<TokenStream> {
    let (support, here) = (&scope.support, scope.here());
    let nodes = &scope.workflow.nodes;
    let arms: Vec<_> = nodes.iter().filter_map(|node| arm(scope, node)).collect();
    if arms.is_empty() {
        return None;
    }
    Some(quote_spanned! {here=>
        fn step_rules(&self, node: &str) -> #support::StepRules {
            match node {
                #(#arms)*
                _ => ::core::default::Default::default(),
            }
        }
    })
}

/// The method, if runs have a deadline.
pub(super) fn deadline(scope: &Scope<'_>) -> Option<TokenStream> {
    let (deadline, here) = (scope.workflow.deadline.as_ref()?, scope.here());
    Some(quote_spanned! {here=>
        fn deadline(&self) -> ::core::option::Option<::core::time::Duration> {
            ::core::option::Option::Some(#deadline)
        }
    })
}

fn arm(scope: &Scope<'_>, node: &Node) -> Option<TokenStream> {
    let (support, here, name) = (&scope.support, located(node.ident.span()), plain(&node.ident));
    let policy = policy(scope, node);
    if policy.is_none() && node.limits.is_empty() {
        return None;
    }
    let none = quote_spanned!(here=> ::core::option::Option::None);
    let retry = policy.map_or_else(
        || none.clone(),
        |policy| {
            let cloned =
                quote_spanned!(here=> <#support::RetryPolicy as ::core::clone::Clone>::clone(&#policy));
            quote_spanned!(here=> ::core::option::Option::Some(#cloned))
        },
    );
    let limit = |limit: &Option<Limit>| match limit {
        Some(limit) => quote!(::core::option::Option::Some(#limit)),
        None => none.clone(),
    };
    let [timeout, within, heartbeat] =
        [&node.limits.timeout, &node.limits.within, &node.limits.heartbeat].map(limit);
    Some(quote_spanned! {here=>
        #name => #support::StepRules {
            retry: #retry,
            timeout: #timeout,
            within: #within,
            heartbeat: #heartbeat,
        },
    })
}
