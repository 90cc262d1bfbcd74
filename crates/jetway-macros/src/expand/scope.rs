//! The names and types that the generated parts of one workflow share.

use super::root;
use crate::expand::located;
use crate::model::{Node, Workflow};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::spanned::Spanned;

/// A workflow and the names that its generated code uses.
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

    /// Where rustc shows errors that belong to no node and no edge: at the name of the workflow.
    pub(super) fn here(&self) -> Span {
        located(self.workflow.head.ident.span())
    }

    /// The node's type as an implementation of `Node`. rustc shows errors at the type of the field.
    pub(super) fn node(&self, node: &Node) -> TokenStream {
        let (ty, context, support) = (&node.ty, &self.workflow.context, &self.support);
        quote_spanned!(ty.span()=> <#ty as #support::Node<#context>>)
    }

    /// The input type of the node.
    pub(super) fn input(&self, node: &Node) -> TokenStream {
        let of = self.node(node);
        quote_spanned!(node.ty.span()=> #of::Input)
    }

    /// The output type of the node.
    pub(super) fn output(&self, node: &Node) -> TokenStream {
        let of = self.node(node);
        quote_spanned!(node.ty.span()=> #of::Output)
    }

    /// The type that an edge to the node carries: its input, or one value of the input if the node gathers.
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

    /// The `where` clause of all generated items: the user's, and the bounds of every node.
    ///
    /// With these bounds rustc reports a field that is not a node, or an input that cannot be stored, once instead of
    /// at every use in generated code. They are left out for generic workflows, where they would hide what rustc knows
    /// about the parameters.
    pub(super) fn bounds(&self) -> TokenStream {
        let declared = &self.workflow.head.generics.where_clause;
        if self.is_generic() {
            return declared.to_token_stream();
        }
        let context = &self.workflow.context;
        let nodes = self.workflow.nodes.iter().map(|node| {
            // rustc shows errors at the whole path of the trait.
            let (ty, input, support) = (&node.ty, self.input(node), root::support(node.ty.span()));
            let gathers = node.gathers.then(|| quote_spanned!(ty.span()=> #input: #support::Gathers,));
            quote_spanned! {ty.span()=>
                #ty: #support::Node<#context>,
                #input: ::core::fmt::Debug + ::core::clone::Clone + ::core::cmp::PartialEq
                    + #support::serde::Serialize + #support::serde::de::DeserializeOwned,
                #gathers
            }
        });
        let declared = declared.iter().flat_map(|declared| &declared.predicates);
        quote_spanned!(self.here()=> where #(#nodes)* #(#declared),*)
    }

    fn is_generic(&self) -> bool {
        !self.workflow.head.generics.params.is_empty()
    }

    /// Makes rustc report which node has an input that cannot be stored, before it reports the missing traits.
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
                #[allow(dead_code, reason = "only its bounds are checked")]
                struct __JetwayInputs where #(#inputs),*;
            };
        }
    }

    /// Uses calls instead of bounds, because bounds would hide what rustc knows about the parameters.
    fn generic_inputs(&self) -> TokenStream {
        let (generics, _, declared) = self.workflow.head.generics.split_for_impl();
        let calls = self.workflow.nodes.iter().map(|node| {
            let (ty, input, support) = (&node.ty, self.input(node), root::support(node.ty.span()));
            quote_spanned!(ty.span()=> #support::is_input::<#ty, #input>();)
        });
        let allow = self.allow_bounds();
        quote_spanned! {self.here()=>
            const _: () = {
                #allow
                #[allow(dead_code, reason = "only its calls are checked")]
                fn __jetway_inputs #generics () #declared { #(#calls)* }
            };
        }
    }

    /// Allows the lints that [`bounds`](Self::bounds) triggers.
    pub(super) fn allow_bounds(&self) -> TokenStream {
        quote_spanned! {self.here()=>
            #[allow(trivial_bounds, private_bounds, reason = "every node needs these bounds")]
        }
    }
}
