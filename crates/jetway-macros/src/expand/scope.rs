//! The names and types that the generated parts of one workflow share.

use super::root;
use crate::expand::located;
use crate::model::{Node, Workflow};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::spanned::Spanned;

/// A workflow and what its generated code calls things.
pub(super) struct Scope<'a> {
    pub(super) workflow: &'a Workflow,
    /// `::jetway::macro_support`
    pub(super) support: TokenStream,
    /// The work item enum.
    pub(super) item: Ident,
}

impl<'a> Scope<'a> {
    pub(super) fn new(workflow: &'a Workflow) -> Self {
        let item = format_ident!("{}WorkItem", workflow.head.ident);
        Self { workflow, support: root::support(workflow.head.ident.span()), item }
    }

    /// Where rustc shows mistakes that belong to no node and no edge: at the workflow's name.
    pub(super) fn here(&self) -> Span {
        located(self.workflow.head.ident.span())
    }

    /// The node's type as an implementation of `Node`. A mistake in it shows at the field's type.
    pub(super) fn node(&self, node: &Node) -> TokenStream {
        let (ty, context, support) = (&node.ty, &self.workflow.context, &self.support);
        quote_spanned!(ty.span()=> <#ty as #support::Node<#context>>)
    }

    /// What the node is given.
    pub(super) fn input(&self, node: &Node) -> TokenStream {
        let of = self.node(node);
        quote_spanned!(node.ty.span()=> #of::Input)
    }

    /// What the node hands on.
    pub(super) fn output(&self, node: &Node) -> TokenStream {
        let of = self.node(node);
        quote_spanned!(node.ty.span()=> #of::Output)
    }

    /// What an edge to the node must carry: its input, or one value of it where it gathers.
    pub(super) fn carried(&self, node: &Node) -> TokenStream {
        let (input, support) = (self.input(node), &self.support);
        if node.gathers {
            quote_spanned!(node.ty.span()=> <#input as #support::Gathers>::Value)
        } else {
            input
        }
    }

    /// `impl<T: Bound> Trait for Type<T> where ..` for the enum or the struct.
    pub(super) fn implement(&self, trait_: impl ToTokens, ty: &Ident) -> TokenStream {
        let (generics, args, _) = self.workflow.head.generics.split_for_impl();
        let (allow, bounds) = (self.allow_bounds(), self.bounds());
        quote_spanned! {self.here()=>
            #[automatically_derived]
            #allow
            impl #generics #trait_ for #ty #args #bounds
        }
    }

    /// The `where` clause of everything generated: the user's, and what is asked of every node.
    ///
    /// With what is asked as a premise, rustc reports a field that is no node, or an input that cannot be stored, in
    /// one place instead of wherever generated code makes use of it. Where there are parameters a premise would hide
    /// what rustc knows about them.
    pub(super) fn bounds(&self) -> TokenStream {
        let given = &self.workflow.head.generics.where_clause;
        if self.is_generic() {
            return given.to_token_stream();
        }
        let context = &self.workflow.context;
        let nodes = self.workflow.nodes.iter().map(|node| {
            // rustc shows the whole path of the trait.
            let (ty, input, support) = (&node.ty, self.input(node), root::support(node.ty.span()));
            let gathers = node.gathers.then(|| quote_spanned!(ty.span()=> #input: #support::Gathers,));
            quote_spanned! {ty.span()=>
                #ty: #support::Node<#context>,
                #input: ::core::fmt::Debug + ::core::clone::Clone + ::core::cmp::PartialEq
                    + #support::serde::Serialize + #support::serde::de::DeserializeOwned,
                #gathers
            }
        });
        let given = given.iter().flat_map(|given| &given.predicates);
        quote_spanned!(self.here()=> where #(#nodes)* #(#given),*)
    }

    fn is_generic(&self) -> bool {
        !self.workflow.head.generics.params.is_empty()
    }

    /// Says of an input that cannot be stored which node takes it, before the bounds say what it lacks.
    pub(super) fn inputs(&self) -> TokenStream {
        if self.is_generic() {
            return self.generic_inputs();
        }
        let context = &self.workflow.context;
        let inputs = self.workflow.nodes.iter().map(|node| {
            let (ty, input, support) = (&node.ty, self.input(node), root::support(node.ty.span()));
            quote_spanned!(ty.span()=> #ty: #support::Node<#context>, #input: #support::InputOf<#ty>)
        });
        let allow = self.allow_bounds();
        quote_spanned! {self.here()=>
            const _: () = {
                #allow
                #[allow(dead_code, reason = "its bounds are what is looked at")]
                struct __JetwayInputs where #(#inputs),*;
            };
        }
    }

    /// As calls, which make no premise of what they ask for.
    fn generic_inputs(&self) -> TokenStream {
        let (generics, _, given) = self.workflow.head.generics.split_for_impl();
        let calls = self.workflow.nodes.iter().map(|node| {
            let (ty, input, support) = (&node.ty, self.input(node), root::support(node.ty.span()));
            quote_spanned!(ty.span()=> #support::is_input::<#ty, #input>();)
        });
        let allow = self.allow_bounds();
        quote_spanned! {self.here()=>
            const _: () = {
                #allow
                #[allow(dead_code, reason = "its calls are what is looked at")]
                fn __jetway_inputs #generics () #given { #(#calls)* }
            };
        }
    }

    /// What [`bounds`](Self::bounds) would be warned of.
    pub(super) fn allow_bounds(&self) -> TokenStream {
        quote_spanned! {self.here()=>
            #[allow(trivial_bounds, private_bounds, reason = "they are what is asked of every node")]
        }
    }
}
