//! The work item enum: one variant for each node, with the id of the item and the input of the node.

use super::{local, located, scope::Scope};
use crate::text::plain;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{LitStr, spanned::Spanned};

/// The enum and its traits.
pub(super) fn work_item(scope: &Scope<'_>) -> TokenStream {
    let parts = [definition(scope), debug(scope), clone(scope), equality(scope), display(scope), item(scope)];
    quote!(#(#parts)*)
}

/// The enum derives the traits of serde only. Other derives would bound the type parameters instead of the inputs.
fn definition(scope: &Scope<'_>) -> TokenStream {
    let (item, support, head, here) = (&scope.item, &scope.support, &scope.workflow.head, scope.here());
    let (vis, generics) = (&head.vis, &head.generics);
    let (allow, bounds) = (scope.allow_bounds(), scope.bounds());
    let serde = format!("{support}::serde").replace(' ', "");
    let exact = (!generics.params.is_empty()).then(|| quote_spanned!(here=> #[serde(bound = "")]));
    // The bytes are those of a variant with two fields. For such a variant ciborium generates the reading of everything
    // that CBOR knows, once per variant, which is slow to compile.
    let pair = format!("{support}::id_and_input").replace(' ', "");
    let about = format!("A work item of [`{}`]: a node and its input.", head.ident);
    let variants = scope.workflow.nodes.iter().map(|node| {
        let (variant, input) = (&node.variant, scope.input(node));
        let about = format!("Runs `{}`: the id of the item, and the input of the node.", plain(&node.ident));
        let pair = LitStr::new(&pair, located(node.ty.span()));
        quote_spanned! {here=>
            #[doc = #about]
            #[serde(deserialize_with = #pair)]
            #variant(::std::string::String, #input)
        }
    });
    quote_spanned! {here=>
        #[doc = #about]
        #[derive(#support::serde::Serialize, #support::serde::Deserialize)]
        #[serde(crate = #serde)]
        #exact
        #allow
        #vis enum #item #generics #bounds { #(#variants),* }
    }
}

fn debug(scope: &Scope<'_>) -> TokenStream {
    let head = scope.implement(quote!(::core::fmt::Debug), &scope.item);
    let here = scope.here();
    let [id, input] = ["id", "input"].map(|name| local(name, here));
    let arms = scope.workflow.nodes.iter().map(|node| {
        let (variant, name) = (&node.variant, node.variant.to_string());
        let shown = quote_spanned!(located(node.ty.span())=> field(#input));
        quote_spanned!(here=> Self::#variant(#id, #input) => f.debug_tuple(#name).field(#id).#shown.finish(),)
    });
    quote_spanned! {here=>
        #head {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match self { #(#arms)* }
            }
        }
    }
}

fn clone(scope: &Scope<'_>) -> TokenStream {
    let head = scope.implement(quote!(::core::clone::Clone), &scope.item);
    let here = scope.here();
    let [id, input] = ["id", "input"].map(|name| local(name, here));
    let arms = scope.workflow.nodes.iter().map(|node| {
        let variant = &node.variant;
        let copy = quote_spanned!(located(node.ty.span())=> ::core::clone::Clone::clone(#input));
        quote_spanned! {here=>
            Self::#variant(#id, #input) => Self::#variant(::core::clone::Clone::clone(#id), #copy),
        }
    });
    quote_spanned!(here=> #head { fn clone(&self) -> Self { match self { #(#arms)* } } })
}

fn equality(scope: &Scope<'_>) -> TokenStream {
    let head = scope.implement(quote!(::core::cmp::PartialEq), &scope.item);
    let here = scope.here();
    let [id, other_id, input, other_input] =
        ["id", "other_id", "input", "other_input"].map(|name| local(name, here));
    let arms = scope.workflow.nodes.iter().map(|node| {
        let variant = &node.variant;
        let equal = quote_spanned!(located(node.ty.span())=> ::core::cmp::PartialEq::eq(#input, #other_input));
        quote_spanned! {here=>
            (Self::#variant(#id, #input), Self::#variant(#other_id, #other_input)) => #id == #other_id && #equal,
        }
    });
    let others = (scope.workflow.nodes.len() > 1).then(|| quote_spanned!(here=> _ => false,));
    quote_spanned! {here=>
        #head {
            fn eq(&self, other: &Self) -> bool {
                match (self, other) { #(#arms)* #others }
            }
        }
    }
}

fn display(scope: &Scope<'_>) -> TokenStream {
    let head = scope.implement(quote!(::core::fmt::Display), &scope.item);
    let here = scope.here();
    let input = local("input", here);
    let arms = scope.workflow.nodes.iter().map(|node| {
        let (variant, format) = (&node.variant, format!("{}({{:?}})", node.variant));
        quote_spanned!(here=> Self::#variant(_, #input) => ::core::write!(f, #format, #input),)
    });
    quote_spanned! {here=>
        #head {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match self { #(#arms)* }
            }
        }
    }
}

fn item(scope: &Scope<'_>) -> TokenStream {
    let (support, nodes, here) = (&scope.support, &scope.workflow.nodes, scope.here());
    let id = local("id", here);
    let head = scope.implement(quote!(#support::WorkItem), &scope.item);
    let variants: Vec<_> = nodes.iter().map(|node| &node.variant).collect();
    let names = nodes.iter().map(|node| plain(&node.ident));
    let terminal = nodes.iter().map(|node| node.is_terminal());
    let gathered = gathered(scope);
    quote_spanned! {here=>
        #head {
            fn instance_id(&self) -> ::std::string::String {
                match self { #(Self::#variants(#id, _) => ::core::clone::Clone::clone(#id),)* }
            }
            fn is_terminal(&self) -> bool {
                match self { #(Self::#variants(..) => #terminal,)* }
            }
            fn node(&self) -> ::std::string::String {
                ::std::string::String::from(match self { #(Self::#variants(..) => #names,)* })
            }
            fn with_instance_id(mut self, id: ::std::string::String) -> Self {
                match &mut self { #(Self::#variants(#id, _) => *#id = id,)* }
                self
            }
            #gathered
        }
    }
}

/// The method `gathered`, if any node gathers.
fn gathered(scope: &Scope<'_>) -> Option<TokenStream> {
    let (support, nodes, here) = (&scope.support, &scope.workflow.nodes, scope.here());
    let input = local("input", here);
    let others = (nodes.len() > 1).then(|| quote_spanned!(here=> _ => return ::core::option::Option::None,));
    let arms: Vec<_> = nodes
        .iter()
        .filter(|node| node.gathers)
        .map(|node| {
            let (name, variant) = (plain(&node.ident), &node.variant);
            let all = quote_spanned!(located(node.ty.span())=> #support::Gathers::all(inputs));
            quote_spanned! {here=>
                #name => {
                    let mut inputs = ::std::vec::Vec::with_capacity(parts.len());
                    for part in parts {
                        match part { Self::#variant(_, #input) => inputs.push(#input), #others }
                    }
                    ::core::option::Option::Some(Self::#variant(::std::string::String::new(), #all))
                }
            }
        })
        .collect();
    (!arms.is_empty()).then(|| {
        quote_spanned! {here=>
            fn gathered(node: &str, parts: ::std::vec::Vec<Self>) -> ::core::option::Option<Self> {
                match node { #(#arms)* _ => ::core::option::Option::None }
            }
        }
    })
}
