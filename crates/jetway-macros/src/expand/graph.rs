//! `graph`: the workflow as data.

use super::scope::Scope;
use crate::{
    model::{Node, Success, Target},
    text::plain,
};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

/// The expression of the graph. Arms that are only drawn are no part of it, since no value takes them.
pub(super) fn graph(scope: &Scope<'_>) -> TokenStream {
    let (support, workflow, here) = (&scope.support, scope.workflow, scope.here());
    let (name, start) = (&workflow.name, plain(&workflow.nodes[workflow.start].ident));
    let nodes = workflow.nodes.iter().map(|node| {
        let (name, variant, input) = (plain(&node.ident), node.variant.to_string(), scope.input(node));
        let (terminal, gathers) = (node.is_terminal(), node.gathers);
        let input = quote_spanned!(here=> ::core::any::type_name::<#input>());
        quote_spanned!(here=> #support::graph_node(#name, #variant, #terminal, #gathers, #input))
    });
    let edges = workflow.nodes.iter().flat_map(|node| edges(scope, node));
    quote_spanned!(here=> #support::graph(#name, #start, ::std::vec![#(#nodes),*], ::std::vec![#(#edges),*]))
}

fn edges(scope: &Scope<'_>, node: &Node) -> Vec<TokenStream> {
    let (support, from, here) = (&scope.support, plain(&node.ident), scope.here());
    let edge = |to: Option<&Target>, kind: TokenStream| {
        let to = match to.map(|to| plain(&scope.workflow.node(to).ident)) {
            Some(to) => quote_spanned!(here=> ::core::option::Option::Some(#to)),
            None => quote_spanned!(here=> ::core::option::Option::None),
        };
        quote_spanned!(here=> #support::graph_edge(#from, #to, #support::EdgeKind::#kind))
    };
    let success: Vec<_> = match &node.success {
        // A terminal node is marked as such; it has no edge out of the run.
        Success::Output => Vec::new(),
        Success::Direct(to) => to.iter().map(|to| edge(Some(to), quote!(Direct))).collect(),
        Success::Match { arms, .. } => arms
            .iter()
            .flat_map(|arm| {
                let text = arm.text();
                let kind = quote!(Match(::std::string::String::from(#text)));
                let to: Vec<_> =
                    if arm.to.is_empty() { vec![None] } else { arm.to.iter().map(Some).collect() };
                to.into_iter().map(|to| edge(to, kind.clone())).collect::<Vec<_>>()
            })
            .collect(),
    };
    let failure = node.fallbacks.iter().map(|to| edge(Some(to), quote!(Failure)));
    success.into_iter().chain(failure).collect()
}
