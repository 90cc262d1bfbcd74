//! From a checked definition to code. Everything is named by absolute path, below `macro_support` of the crate that the
//! user depends on, so that the code asks nothing of the user's imports and dependencies.

mod attempt;
mod edge_traits;
mod graph;
pub(crate) mod merge;
pub(crate) mod node;
mod root;
mod scope;
mod work_item;
pub(crate) mod workflow;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Attribute, Meta, Path, Token, Visibility, parse_quote, punctuated::Punctuated};

/// The span of generated code that rustc shows at `span`. To lints it stays generated code.
fn located(span: Span) -> Span {
    span.resolved_at(Span::call_site())
}

/// A local variable that the user's code cannot see, shown at `span`.
fn local(name: &str, span: Span) -> Ident {
    Ident::new(name, span.resolved_at(Span::mixed_site()))
}

/// `#[derive(Debug, Clone)]` without what the user's own attributes derive, and without what is implemented by hand.
fn derives(attrs: &[Attribute], by_hand: &[&str]) -> TokenStream {
    let derived: Vec<Ident> = attrs.iter().flat_map(derived).collect();
    let wanted: [(&str, Path); 2] =
        [("Debug", parse_quote!(::core::fmt::Debug)), ("Clone", parse_quote!(::core::clone::Clone))];
    let is_there = |name: &str| by_hand.contains(&name) || derived.iter().any(|ident| ident == name);
    let missing = wanted.iter().filter(|(name, _)| !is_there(name)).map(|(_, path)| path);
    quote!(#[derive(#(#missing),*)])
}

/// Whether the user's own attributes derive `Debug`.
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
    // Where this does not parse, rustc says why.
    let paths = list.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated).unwrap_or_default();
    paths.into_iter().filter_map(|path| path.segments.last().map(|last| last.ident.clone())).collect()
}

/// A field is public unless its visibility is given. One that the macro makes public needs no docs.
///
/// What rustc has to say of the field it shows at `shown`.
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
    fn derives_are_not_doubled() {
        let attrs = [parse_quote!(#[doc = "x"]), parse_quote!(#[derive(PartialEq, std::fmt::Debug)])];
        assert_eq!(derives(&attrs, &[]).to_string(), quote!(#[derive(::core::clone::Clone)]).to_string());
        assert_eq!(
            derives(&[parse_quote!(#[derive(Clone, Debug)])], &[]).to_string(),
            quote!(#[derive()]).to_string()
        );
        assert_eq!(derives(&[], &["Debug"]).to_string(), quote!(#[derive(::core::clone::Clone)]).to_string());
    }
}
