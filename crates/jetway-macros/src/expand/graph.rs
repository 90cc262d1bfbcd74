//! `graph`: the workflow as data.

use super::{located, scope::Scope};
use crate::{
    model::{Node, Success, Target},
    parse::arm::Arm,
    text::plain,
};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

/// The expression of the graph. Arms that are only drawn are listed separately, since no value takes them.
pub(super) fn graph(scope: &Scope<'_>) -> TokenStream {
    let (support, workflow, here) = (&scope.support, scope.workflow, scope.here());
    let (name, start) = (&workflow.name, plain(&workflow.nodes[workflow.start].ident));
    let nodes = workflow.nodes.iter().map(|node| graph_node(scope, node));
    let edges = workflow.nodes.iter().flat_map(|node| edges(scope, node));
    let shadowed = workflow.nodes.iter().flat_map(|node| {
        node.shadowed.iter().flat_map(|shadowed| arms(scope, node, &shadowed.arms)).collect::<Vec<_>>()
    });
    quote_spanned! {here=>
        #support::Graph {
            name: ::std::string::String::from(#name),
            start: ::std::string::String::from(#start),
            nodes: ::std::vec![#(#nodes),*],
            edges: ::std::vec![#(#edges),*],
            shadowed: ::std::vec![#(#shadowed),*],
        }
    }
}

fn graph_node(scope: &Scope<'_>, node: &Node) -> TokenStream {
    let (support, here, input) = (&scope.support, scope.here(), scope.input(node));
    let (field, name, variant) = (&node.ident, plain(&node.ident), node.variant.to_string());
    let (terminal, gathers, retry) = (node.is_terminal(), node.gathers, node.is_retried());
    let at_most = match &node.at_most {
        Some(most) => quote_spanned!(here=> ::core::option::Option::Some(#most)),
        None => quote_spanned!(here=> ::core::option::Option::None),
    };
    let input = quote_spanned!(here=> ::core::any::type_name::<#input>());
    let of = scope.node(node);
    let nested = quote_spanned!(located(node.ty.span())=> #of::nested(&self.#field));
    quote_spanned! {here=>
        #support::GraphNode {
            name: ::std::string::String::from(#name),
            variant: ::std::string::String::from(#variant),
            terminal: #terminal,
            gathers: #gathers,
            input: ::std::string::String::from(#input),
            at_most: #at_most,
            retry: #retry,
            nested: ::core::option::Option::map(#nested, ::std::boxed::Box::new),
        }
    }
}

fn edges(scope: &Scope<'_>, node: &Node) -> Vec<TokenStream> {
    let success = match &node.success {
        // A terminal node has no edge; its `terminal` flag is set.
        Success::Output => Vec::new(),
        Success::Direct(to) => to.iter().map(|to| edge(scope, node, Some(to), &quote!(Direct))).collect(),
        Success::Match { arms: all, .. } => arms(scope, node, all),
    };
    let failure = node.fallbacks.iter().map(|to| edge(scope, node, Some(to), &quote!(Failure)));
    let cancel = node.clean_up.iter().map(|to| edge(scope, node, Some(to), &quote!(Cancel)));
    success.into_iter().chain(failure).chain(cancel).collect()
}

fn arms(scope: &Scope<'_>, node: &Node, arms: &[Arm<Target>]) -> Vec<TokenStream> {
    let edges = arms.iter().flat_map(|arm| {
        let text = arm.text();
        let kind = quote!(Match(::std::string::String::from(#text)));
        let to: Vec<_> = if arm.to.is_empty() { vec![None] } else { arm.to.iter().map(Some).collect() };
        to.into_iter().map(|to| edge(scope, node, to, &kind)).collect::<Vec<_>>()
    });
    edges.collect()
}

fn edge(scope: &Scope<'_>, node: &Node, to: Option<&Target>, kind: &TokenStream) -> TokenStream {
    let (support, from, here) = (&scope.support, plain(&node.ident), scope.here());
    let to = match to.map(|to| plain(&scope.workflow.node(to).ident)) {
        Some(to) => quote_spanned!(here=> ::core::option::Option::Some(#to)),
        None => quote_spanned!(here=> ::core::option::Option::None),
    };
    quote_spanned!(here=> #support::graph_edge(#from, #to, #support::EdgeKind::#kind))
}
