//! What the macros make of any text that is Rust tokens.
//!
//! The text is the user's own, so that this is about defects, not about attacks: it ends in code or in errors at its
//! spans, and never in a panic of the compiler's.

use crate::{expand, parse, validate};
use proc_macro2::TokenStream;

/// How much text is looked at: the parser of Rust recurses, and what it does at any depth is not this project's.
const LONGEST: usize = 1024;

/// Any text as what stands in `workflow! { .. }`.
pub(crate) fn workflow(bytes: &[u8]) -> bool {
    let Some((text, tokens)) = tokens(bytes) else { return false };
    let workflow = syn::parse2::<parse::workflow::Definition>(tokens).and_then(validate::workflow);
    code(text, workflow.map(|workflow| expand::workflow::workflow(&workflow)))
}

/// Any text as what stands in `node! { .. }`, and as a struct that derives `Merge`.
pub(crate) fn node(bytes: &[u8]) -> bool {
    let Some((text, tokens)) = tokens(bytes) else { return false };
    let merge = syn::parse2::<syn::DeriveInput>(tokens.clone()).and_then(expand::merge::merge);
    let node = syn::parse2::<parse::node::NodeDef>(tokens).map(|node| expand::node::node(&node));
    let understood = [code(text, merge), code(text, node)];
    understood.contains(&true)
}

fn tokens(bytes: &[u8]) -> Option<(&str, TokenStream)> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= LONGEST)?;
    Some((text, text.parse().ok()?))
}

/// The code is items, and so are the errors.
fn code(text: &str, expanded: syn::Result<TokenStream>) -> bool {
    let understood = expanded.is_ok();
    // `T +` is a type where it stands and none within another: what comes of it is an error at its span all the same.
    if understood && text.contains('+') {
        return true;
    }
    let tokens = expanded.unwrap_or_else(|error| {
        assert!(!error.to_string().is_empty());
        error.into_compile_error()
    });
    if let Err(error) = syn::parse2::<syn::File>(tokens.clone()) {
        panic!("{error}: {tokens}");
    }
    understood
}
