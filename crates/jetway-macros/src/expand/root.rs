//! What the user's crate calls Jetway.

use super::located;
use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;

/// `::jetway::macro_support`, under the name that the user's Cargo.toml gives to `jetway`, or to `jetway-core` where
/// there is no `jetway`.
///
/// Within one of these packages (its examples and tests, and the crate itself, which has an alias of its own name) the
/// name is the package's. Mistakes that involve it show at `shown`.
pub(super) fn support(shown: Span) -> TokenStream {
    let named = ["jetway", "jetway-core"].into_iter().find_map(|package| match crate_name(package) {
        Ok(FoundCrate::Name(name)) => Some(name),
        Ok(FoundCrate::Itself) => Some(package.replace('-', "_")),
        Err(_) => None,
    });
    // Without a Cargo.toml there is no other way than to assume.
    let span = located(shown);
    let name = Ident::new(named.as_deref().unwrap_or("jetway"), span);
    quote_spanned!(span=> ::#name::macro_support)
}
