//! Parses the input of the macros. Only the syntax is checked here; `validate` checks the meaning.

pub(crate) mod arm;
pub(crate) mod edge;
pub(crate) mod head;
pub(crate) mod limit;
pub(crate) mod node;
pub(crate) mod workflow;

use crate::text::{did_you_mean, plain};
use proc_macro2::Ident;

/// The error for a clause with an unknown name.
fn unknown_clause(keyword: &Ident, known: &[&str]) -> syn::Error {
    let written = plain(keyword);
    let hint = did_you_mean(&written, known.iter().copied());
    let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    syn::Error::new(keyword.span(), format!("unknown clause `{written}`: expected one of {known}{hint}"))
}
