//! The name of Jetway in the user's crate.

use super::located;
use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;

/// The path `::jetway::macro_support`, with the name that the user's Cargo.toml gives to `jetway`, or to `jetway-core` if
/// there is no `jetway`.
///
/// Inside one of these packages (its library, examples and tests) the name is that of the package; the library has an
/// alias with its own name. rustc shows errors about the path at `shown`.
pub(super) fn support(shown: Span) -> TokenStream {
    let named = ["jetway", "jetway-core"].into_iter().find_map(|package| match crate_name(package) {
        Ok(FoundCrate::Name(name)) => Some(name),
        Ok(FoundCrate::Itself) => Some(package.replace('-', "_")),
        Err(_) => None,
    });
    // Without a Cargo.toml, assume the usual name.
    let span = located(shown);
    let name = Ident::new(named.as_deref().unwrap_or("jetway"), span);
    quote_spanned!(span=> ::#name::macro_support)
}
