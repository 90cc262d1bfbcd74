//! The struct of `node!` and its `Node` implementation.

use super::{derives, field_visibility, root};
use crate::parse::node::{Body, NodeDef};
use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{Field, Fields, spanned::Spanned};

/// All code that `node!` generates.
pub(crate) fn node(node: &NodeDef) -> TokenStream {
    let (ident, support) = (&node.head.ident, root::support(node.head.ident.span()));
    let (generics, args, bounds) = node.head.generics.split_for_impl();
    let (context, input, output) = (&node.context, &node.input, &node.output);
    let (context_pattern, input_pattern) = (&node.context_pattern, &node.input_pattern);
    let definition = definition(node);
    let body = match &node.body {
        Body::Block(block) => quote!(#block),
        Body::Expr(expression) => quote!({ #expression }),
    };
    quote! {
        #definition

        #[#support::async_trait::async_trait]
        impl #generics #support::Node<#context> for #ident #args #bounds {
            type Input = #input;
            type Output = #output;

            async fn process(
                &self,
                #context_pattern: &#context,
                #input_pattern: #input,
            ) -> ::core::result::Result<#support::Transition<#output>, #support::Error>
            #body
        }
    }
}

fn definition(node: &NodeDef) -> TokenStream {
    let head = &node.head;
    let (attrs, vis, ident, generics) = (&head.attrs, &head.vis, &head.ident, &head.generics);
    let (derives, bounds) = (derives(attrs, &[]), &generics.where_clause);
    let fields = match &node.fields {
        Fields::Named(fields) => {
            let fields = fields.named.iter().map(field);
            quote!(#bounds { #(#fields),* })
        }
        Fields::Unnamed(fields) => {
            let fields = fields.unnamed.iter().map(field);
            quote!((#(#fields),*) #bounds;)
        }
        Fields::Unit => quote!(#bounds;),
    };
    quote!(#(#attrs)* #derives #vis struct #ident #generics #fields)
}

fn field(field: &Field) -> TokenStream {
    let (attrs, ty) = (&field.attrs, &field.ty);
    let vis = field_visibility(&field.vis, field.ident.as_ref().map_or_else(|| ty.span(), Ident::span));
    let name = field.ident.iter();
    quote!(#(#attrs)* #vis #(#name:)* #ty)
}
