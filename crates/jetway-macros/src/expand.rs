//! Generates code from a valid definition. All paths are absolute, below `macro_support` of the crate that the user
//! depends on, so that the code needs no imports and no other dependencies.

mod attempt;
mod edge_traits;
mod graph;
pub(crate) mod merge;
pub(crate) mod node;
mod root;
mod rules;
mod scope;
mod work_item;
pub(crate) mod workflow;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Attribute, Meta, Path, Token, Visibility, parse_quote, punctuated::Punctuated};

/// A span for generated code: rustc shows errors at `span`, and lints still treat the code as generated.
fn located(span: Span) -> Span {
    span.resolved_at(Span::call_site())
}

/// A local variable that the user's code cannot see; errors are shown at `span`.
fn local(name: &str, span: Span) -> Ident {
    Ident::new(name, span.resolved_at(Span::mixed_site()))
}

/// `#[derive(Debug, Clone)]`, without traits that the user's attributes derive or that are implemented by hand.
fn derives(attrs: &[Attribute], by_hand: &[&str]) -> TokenStream {
    let derived: Vec<Ident> = attrs.iter().flat_map(derived).collect();
    let wanted: [(&str, Path); 2] =
        [("Debug", parse_quote!(::core::fmt::Debug)), ("Clone", parse_quote!(::core::clone::Clone))];
    let is_there = |name: &str| by_hand.contains(&name) || derived.iter().any(|ident| ident == name);
    let missing = wanted.iter().filter(|(name, _)| !is_there(name)).map(|(_, path)| path);
    quote!(#[derive(#(#missing),*)])
}

/// Whether the user's attributes derive `Debug`.
fn derives_debug(attrs: &[Attribute]) -> bool {
    attrs.iter().flat_map(derived).any(|ident| ident == "Debug")
}

fn derived(attribute: &Attribute) -> Vec<Ident> {
    let Meta::List(list) = &attribute.meta else {
        return Vec::new();
    };
    if !list.path.is_ident("derive") {
        return Vec::new();
    }
    // If this does not parse, rustc reports the error.
    let paths = list.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated).unwrap_or_default();
    paths.into_iter().filter_map(|path| path.segments.last().map(|last| last.ident.clone())).collect()
}

/// The visibility of a field; public by default. A field that the macro makes public needs no docs.
///
/// rustc shows errors about the visibility at `shown`.
fn field_visibility(vis: &Visibility, shown: Span) -> TokenStream {
    match vis {
        Visibility::Inherited => {
            quote_spanned!(located(shown)=> #[allow(missing_docs, reason = "the macro makes it public")] pub)
        }
        _ => quote!(#vis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traits_are_derived_once() {
        let attrs = [parse_quote!(#[doc = "x"]), parse_quote!(#[derive(PartialEq, std::fmt::Debug)])];
        assert_eq!(derives(&attrs, &[]).to_string(), quote!(#[derive(::core::clone::Clone)]).to_string());
        assert_eq!(
            derives(&[parse_quote!(#[derive(Clone, Debug)])], &[]).to_string(),
            quote!(#[derive()]).to_string()
        );
        assert_eq!(derives(&[], &["Debug"]).to_string(), quote!(#[derive(::core::clone::Clone)]).to_string());
    }
}
