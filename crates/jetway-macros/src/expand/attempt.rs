//! `attempt_work_item`: runs a node and follows its edges.

use super::{
    edge_traits::{EdgeTraits, EdgeValue},
    local, located,
    rules::{limited, policy},
    scope::Scope,
};
use crate::{
    model::{Node, Success, Target},
    parse::arm::Arm,
    text::mentions,
};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};

/// The arm of `match item` for one node.
pub(super) fn arm(scope: &Scope<'_>, node: &Node, edge_traits: &mut EdgeTraits) -> TokenStream {
    let (item, variant, support, here) =
        (&scope.item, &node.variant, &scope.support, located(node.ident.span()));
    let [input, result, saved] = ["input", "result", "saved"].map(|name| local(name, here));
    let copies = GuardInputs::of(node).copies(&input);
    let process = process(scope, node, &input);
    let route = route(scope, node, edge_traits);
    let followed = quote_spanned!(here=> #support::follow(#result, #route));
    let (save, outcome) = if node.fallbacks.is_empty() {
        (TokenStream::new(), followed)
    } else {
        let (error, context) = (local("error", here), &scope.workflow.context);
        let fail = quote_spanned! {here=>
            #support::Workflow::<#context>::fail_work_item(
                self,
                #item::#variant(::std::string::String::new(), #saved),
                #error,
            )
        };
        (
            quote_spanned!(here=> let #saved = ::core::clone::Clone::clone(&#input);),
            quote_spanned!(here=> #support::or_failed(#followed, |#error| #fail)),
        )
    };
    quote_spanned! {here=>
        #item::#variant(_, #input) => {
            #copies
            #save
            let #result = #support::within_context(ctx, #process).await;
            #outcome
        }
    }
}

/// The arm of `match item` for the failure of a node that has an `on_failure` edge.
pub(super) fn failure_arm(
    scope: &Scope<'_>,
    node: &Node,
    edge_traits: &mut EdgeTraits,
) -> Option<TokenStream> {
    if node.fallbacks.is_empty() {
        return None;
    }
    let (item, variant, support, here) =
        (&scope.item, &node.variant, &scope.support, located(node.ident.span()));
    let [saved, error] = ["saved", "error"].map(|name| local(name, here));
    let items = items(scope, &node.fallbacks, &saved, |target, value| {
        edge_traits.fallback(scope, node, target, value, &error)
    });
    Some(quote_spanned! {here=>
        #item::#variant(_, #saved) => {
            #support::handle_failure(#support::Outcome::Failed(#error), |#error| #items)
        }
    })
}

/// The arm of `match item` for a node that has an `on_cancel` edge: the work items of its targets.
pub(super) fn cancel_arm(
    scope: &Scope<'_>,
    node: &Node,
    edge_traits: &mut EdgeTraits,
) -> Option<TokenStream> {
    if node.clean_up.is_empty() {
        return None;
    }
    let (item, variant, here) = (&scope.item, &node.variant, located(node.ident.span()));
    let saved = local("saved", here);
    let items =
        items(scope, &node.clean_up, &saved, |target, value| edge_traits.cancel(scope, node, target, value));
    Some(quote_spanned!(here=> #item::#variant(_, #saved) => #items,))
}

/// The future of one call of the node, with its time limits, and with the retry policy of it or of its workflow.
fn process(scope: &Scope<'_>, node: &Node, input: &Ident) -> TokenStream {
    let (support, context, here) = (&scope.support, &scope.workflow.context, located(node.ident.span()));
    let called = limited(scope, node);
    match policy(scope, node) {
        None if node.limits.is_empty() => {
            let of = scope.node(node);
            quote_spanned!(here=> #of::process(#called, &ctx.store, #input))
        }
        None => quote_spanned!(here=> #support::Node::<#context>::process(#called, &ctx.store, #input)),
        Some(policy) => quote_spanned! {here=>
            #support::retried_by_host::<#context, _>(#called, &#policy, &ctx.store, #input)
        },
    }
}

/// A closure from one output of the node to its emission.
fn route(scope: &Scope<'_>, node: &Node, edge_traits: &mut EdgeTraits) -> TokenStream {
    let support = &scope.support;
    match &node.success {
        Success::Output if node.only_cleans_up => {
            quote_spanned!(located(node.ident.span())=> |_| #support::Emission::to(::std::vec![]))
        }
        Success::Output => {
            let span = node.ident.span();
            let value = local("value", span);
            let output = edge_traits.output(scope, EdgeValue::Output(node), span, &value.to_token_stream());
            quote_spanned!(located(span)=> |#value| #support::Emission::output(#output))
        }
        Success::Direct(to) => {
            let value = local("value", node.ident.span());
            let edge_value = EdgeValue::Output(node);
            let items =
                items(scope, to, &value, |target, value| edge_traits.input(scope, edge_value, target, value));
            quote_spanned!(located(node.ident.span())=> |#value| #support::Emission::to(#items))
        }
        Success::Match { from, arms } => {
            // rustc must show a missing arm at the edge.
            let value = local("value", from.span());
            let mut arms: Vec<_> = arms.iter().map(|arm| match_arm(scope, node, arm, edge_traits)).collect();
            // An arm with another span before the last one prevents that rustc suggests new `match` arms inside the edge.
            let elsewhere = from.span().resolved_at(Span::mixed_site());
            let never = quote_spanned!(elsewhere=> _ if false => ::core::unreachable!(),);
            arms.insert(arms.len().saturating_sub(1), never);
            quote_spanned!(located(from.span())=> |#value| match #value { #(#arms)* })
        }
    }
}

fn match_arm(scope: &Scope<'_>, node: &Node, arm: &Arm<Target>, edge_traits: &mut EdgeTraits) -> TokenStream {
    let (support, pattern, here) = (&scope.support, &arm.pattern, located(arm.pattern.span));
    let (matches, guard, payload) = (&pattern.matches, arm.guard.iter(), local("payload", here));
    let given = match pattern.payload.as_slice() {
        [] => quote_spanned!(here=> ()),
        [name] => quote!(#name),
        names => quote_spanned!(here=> (#(#names),*)),
    };
    let edge_value = EdgeValue::Payload(node, pattern);
    let emission = if arm.to.is_empty() && node.only_cleans_up {
        quote_spanned!(here=> { let _ignored = #payload; #support::Emission::to(::std::vec![]) })
    } else if arm.to.is_empty() {
        let output = edge_traits.output(scope, edge_value, pattern.span, &payload.to_token_stream());
        quote_spanned!(here=> #support::Emission::output(#output))
    } else {
        let items = items(scope, &arm.to, &payload, |target, value| {
            edge_traits.input(scope, edge_value, target, value)
        });
        quote_spanned!(here=> #support::Emission::to(#items))
    };
    let inner = quote_spanned!(here=> let #payload = #given; #emission);
    // The span ends at the bracket; otherwise rustc suggests new arms in the middle of this one.
    let body = quote_spanned!(located(arm.end)=> { #inner });
    quote_spanned!(here=> #matches #(if #guard)* => #body)
}

/// One work item for each target. All but the last get a clone of the value.
fn items(
    scope: &Scope<'_>,
    to: &[Target],
    value: &Ident,
    mut convert: impl FnMut(&Target, &TokenStream) -> TokenStream,
) -> TokenStream {
    let last = to.len().saturating_sub(1);
    let items = to.iter().enumerate().map(|(position, target)| {
        let (item, variant) = (&scope.item, &scope.workflow.node(target).variant);
        let here = located(target.ident.span());
        let value = local(&value.to_string(), here);
        let value = if position == last {
            quote!(#value)
        } else {
            quote_spanned!(here=> ::core::clone::Clone::clone(&#value))
        };
        let input = convert(target, &value);
        quote_spanned!(here=> #item::#variant(::std::string::String::new(), #input))
    });
    let items: Vec<_> = items.collect();
    quote_spanned!(scope.here()=> ::std::vec![#(#items),*])
}

/// What the guards use besides `self`, `ctx` and the bindings of their pattern.
struct GuardInputs {
    input: bool,
    store: bool,
}

impl GuardInputs {
    fn of(node: &Node) -> Self {
        let Success::Match { arms, .. } = &node.success else {
            return Self { input: false, store: false };
        };
        let seen = |name| {
            arms.iter()
                .filter_map(|arm| arm.guard.as_ref())
                .any(|guard| mentions(guard.to_token_stream(), name))
        };
        Self { input: seen("input"), store: seen("__store") }
    }

    /// Variables with names that the user's code can see.
    fn copies(&self, item_input: &Ident) -> TokenStream {
        let input = self.input.then(|| quote!(let input = ::core::clone::Clone::clone(&#item_input);));
        let store = self.store.then(|| quote!(let __store = &ctx.store;));
        quote!(#input #store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::format_ident;

    #[test]
    fn a_policy_wraps_the_node() {
        let definition = quote! { struct W { a: A } start = a; edges { a => []; } };
        let mut workflow = syn::parse2(definition).and_then(crate::validate::workflow).unwrap();
        workflow.nodes[0].policy = Some(format_ident!("backoff"));
        let call = process(&Scope::new(&workflow), &workflow.nodes[0], &format_ident!("input")).to_string();
        let call = call.replace(' ', "");
        assert!(call.contains("retried_by_host::<(),_>(&self.a,&self.backoff,"), "{call}");
    }
}
