//! The struct of `workflow!` and its `Workflow` implementation.

use super::{
    attempt, derives, derives_debug, edge_traits::EdgeTraits, field_visibility, graph, local, located, rules,
    scope::Scope, work_item,
};
use crate::{
    model::{Shadowed, Workflow},
    text::plain,
};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

/// All code that `workflow!` generates.
pub(crate) fn workflow(workflow: &Workflow) -> TokenStream {
    let scope = Scope::new(workflow);
    let (definition, debug) = (definition(workflow), debug(&scope));
    let item = work_item::work_item(&scope);
    let implementation = implementation(&scope);
    let warnings = workflow.nodes.iter().filter_map(|node| node.shadowed.as_ref()).map(warning);
    let inputs = scope.inputs();
    quote!(#definition #debug #inputs #item #implementation #(#warnings)*)
}

fn definition(workflow: &Workflow) -> TokenStream {
    let head = &workflow.head;
    let (attrs, vis, ident, generics) = (&head.attrs, &head.vis, &head.ident, &head.generics);
    let by_hand = if debugs_fields(workflow) { &["Debug"][..] } else { &[] };
    let (derives, bounds) = (derives(attrs, by_hand), &generics.where_clause);
    let fields = workflow.fields.iter().map(|field| {
        let (attrs, ident, ty) = (&field.attrs, &field.ident, &field.ty);
        let vis = field_visibility(&field.vis, ident.span());
        quote!(#(#attrs)* #vis #ident: #ty)
    });
    quote!(#(#attrs)* #derives #vis struct #ident #generics #bounds { #(#fields),* })
}

/// Whether `Debug` is implemented with bounds on the fields instead of the type parameters. A derived `Debug` would reject
/// closures as type arguments, although the nodes that hold them implement `Debug`.
fn debugs_fields(workflow: &Workflow) -> bool {
    let head = &workflow.head;
    head.generics.type_params().next().is_some() && !derives_debug(&head.attrs)
}

fn debug(scope: &Scope<'_>) -> Option<TokenStream> {
    let workflow = scope.workflow;
    if !debugs_fields(workflow) {
        return None;
    }
    let (head, here) = (&workflow.head, scope.here());
    let (generics, args, given) = head.generics.split_for_impl();
    let (ident, allow) = (&head.ident, scope.allow_bounds());
    let given = given.iter().flat_map(|given| &given.predicates);
    let bounds = workflow.fields.iter().map(|field| {
        let ty = &field.ty;
        quote_spanned!(ty.span()=> #ty: ::core::fmt::Debug)
    });
    let name = plain(ident);
    let shown = workflow.fields.iter().map(|field| {
        let (ident, name) = (&field.ident, plain(&field.ident));
        quote_spanned!(here=> .field(#name, &self.#ident))
    });
    Some(quote_spanned! {here=>
        #[automatically_derived]
        #allow
        impl #generics ::core::fmt::Debug for #ident #args where #(#given,)* #(#bounds),* {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_struct(#name)#(#shown)*.finish()
            }
        }
    })
}

fn implementation(scope: &Scope<'_>) -> TokenStream {
    let (support, workflow, item, here) = (&scope.support, scope.workflow, &scope.item, scope.here());
    let (context, args) = (&workflow.context, workflow.head.generics.split_for_impl().1);
    let start = &workflow.nodes[workflow.start];
    // If a node is less public than the workflow, rustc reports these items: show the error at the node's type.
    let (input, output) = (scope.input(start), output(scope));
    let input = quote_spanned!(start.ty.span()=> type Input = #input;);
    let start = &start.variant;
    let head = scope.implement(quote!(#support::Workflow<#context>), &workflow.head.ident);
    let constants = constants(scope);
    let (engine, traits) = engine(scope);
    quote_spanned! {here=>
        const _: () = {
            #(#traits)*

            #[#support::async_trait::async_trait]
            #head {
                #input
                #output
                type WorkItem = #item #args;

                #constants

                fn start_work_item(&self, input: Self::Input) -> Self::WorkItem {
                    #item::#start(::std::string::ToString::to_string(&#support::ItemId::start()), input)
                }

                #engine
            }
        };
    }
}

/// The output: the type of the `output` clause, or of the first node that is terminal.
fn output(scope: &Scope<'_>) -> TokenStream {
    let workflow = scope.workflow;
    let terminal = workflow.nodes.iter().find(|node| node.is_terminal());
    match (&workflow.output, terminal) {
        (Some(given), _) => quote_spanned!(given.span()=> type Output = #given;),
        (None, Some(node)) => {
            let output = scope.output(node);
            quote_spanned!(node.ty.span()=> type Output = #output;)
        }
        // Rejected by `validate`.
        (None, None) => TokenStream::new(),
    }
}

/// The methods that describe the workflow.
fn constants(scope: &Scope<'_>) -> TokenStream {
    let (support, workflow, here) = (&scope.support, scope.workflow, scope.here());
    let (name, context, graph) = (&workflow.name, &workflow.context, graph::graph(scope));
    let (rules, deadline) = (rules::step_rules(scope), rules::deadline(scope));
    let signals = workflow.nodes.iter().map(|node| {
        let (of, field) = (scope.node(node), &node.ident);
        quote_spanned!(located(node.ty.span())=> #of::signals(&self.#field))
    });
    quote_spanned! {here=>
        fn name(&self) -> &'static str {
            #name
        }

        fn to_dot(&self) -> &'static str {
            #support::drawn(&#support::Workflow::<#context>::graph(self))
        }

        fn graph(&self) -> #support::Graph {
            #graph
        }

        #rules

        #deadline

        fn signals(&self) -> ::std::vec::Vec<#support::SignalType> {
            <[::std::vec::Vec<#support::SignalType>]>::concat(&[#(#signals),*])
        }
    }
}

/// The methods that run a work item, and the traits of the edges.
fn engine(scope: &Scope<'_>) -> (TokenStream, Vec<TokenStream>) {
    let (support, context, here) = (&scope.support, &scope.workflow.context, scope.here());
    let mut edge_traits = EdgeTraits::default();
    let arms: Vec<_> =
        scope.workflow.nodes.iter().map(|node| attempt::arm(scope, node, &mut edge_traits)).collect();
    let failures: Vec<_> = scope
        .workflow
        .nodes
        .iter()
        .filter_map(|node| attempt::failure_arm(scope, node, &mut edge_traits))
        .collect();
    let cancels: Vec<_> = scope
        .workflow
        .nodes
        .iter()
        .filter_map(|node| attempt::cancel_arm(scope, node, &mut edge_traits))
        .collect();
    let [item, id, error] = ["item", "id", "error"].map(|name| local(name, here));
    let others = (failures.len() < arms.len()).then(|| quote!(_ => #support::Outcome::Failed(#error),));
    let failed = (!failures.is_empty()).then(|| {
        quote_spanned! {here=>
            fn fail_work_item(
                &self,
                #item: Self::WorkItem,
                #error: #support::Error,
            ) -> #support::Outcome<Self::WorkItem, Self::Output> {
                match #item { #(#failures)* #others }
            }
        }
    });
    let cancelled = cancelled(scope, &cancels);
    // The name of the lifetime must not conflict with one of the user's.
    let engine = quote_spanned! {here=>
        async fn attempt_work_item<'jetway>(
            &'jetway self,
            ctx: &'jetway #support::WorkflowCtx<#context>,
            #item: Self::WorkItem,
        ) -> #support::Outcome<Self::WorkItem, Self::Output> {
            match #item { #(#arms)* }
        }

        async fn process_work_item<'jetway>(
            &'jetway self,
            ctx: &'jetway #support::WorkflowCtx<#context>,
            #item: Self::WorkItem,
            queue: &mut ::std::collections::VecDeque<Self::WorkItem>,
        ) -> ::core::result::Result<::core::option::Option<Self::Output>, #support::Error> {
            let #id = #support::WorkItem::instance_id(&#item);
            #support::Workflow::<#context>::attempt_work_item(self, ctx, #item).await.into_queue(&#id, queue)
        }

        #failed
        #cancelled
    };
    (engine, edge_traits.into_traits())
}

/// The method for cancelled items, if a node has an `on_cancel` edge.
fn cancelled(scope: &Scope<'_>, arms: &[TokenStream]) -> Option<TokenStream> {
    if arms.is_empty() {
        return None;
    }
    let (here, item) = (scope.here(), local("item", scope.here()));
    let others = (arms.len() < scope.workflow.nodes.len()).then(|| quote!(_ => ::std::vec![],));
    Some(quote_spanned! {here=>
        fn cancel_work_item(&self, #item: Self::WorkItem) -> ::std::vec::Vec<Self::WorkItem> {
            match #item { #(#arms)* #others }
        }
    })
}

/// A warning. A macro can only emit one as the use of a deprecated item.
fn warning(shadowed: &Shadowed) -> TokenStream {
    let name = plain(&shadowed.from);
    let note =
        format!("the arms of `{name}` are drawn but never taken, because `{name}` has a direct edge too");
    let used = quote_spanned!(shadowed.from.span()=> shadowed_arms);
    quote! {
        const _: () = {
            #[deprecated(note = #note)]
            #[allow(non_upper_case_globals, reason = "it is part of a sentence")]
            const shadowed_arms: () = ();
            #used
        };
    }
}
