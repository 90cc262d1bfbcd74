//! Decoders, parsers and rules given arbitrary bytes: one function for each kind of input. The fuzz targets in
//! `tests/fuzz` call them, and so does the test that runs the corpora.
//!
//! Each function accepts any bytes, panics only if a promise is broken, and returns whether the bytes were accepted.

mod chunks;
mod edits;
#[path = "../../../crates/jetway-macros/src"]
mod included {
    //! The parser of `workflow!` and `node!`: a crate of macros can be linked by the compiler only.
    pub(crate) mod errors;
    pub(crate) mod expand;
    pub(crate) mod model;
    pub(crate) mod parse;
    pub(crate) mod text;
    pub(crate) mod validate;
}
mod macros;
mod merging;
mod names;
mod rules;
mod starts;
mod wire;

// The included modules name each other by these paths.
use included::{errors, expand, model, parse, text, validate};

/// Takes any bytes and says whether they were understood.
pub type Target = fn(&[u8]) -> bool;

/// Every kind of bytes, by the name of its fuzz target and of the folder of its corpus.
pub const TARGETS: [(&str, Target); 13] = [
    ("chains", rules::chains::chains),
    ("chunks", chunks::chunks),
    ("headers", wire::headers),
    ("merging", merging::merging),
    ("names", names::names),
    ("node_macro", macros::node),
    ("requests", wire::requests),
    ("rules", rules::rules),
    ("snapshots", rules::snapshots),
    ("starts", starts::starts),
    ("subjects", wire::subjects),
    ("tickets", wire::tickets),
    ("workflow_macro", macros::workflow),
];

/// Does what a fuzz target does with one input.
///
/// # Panics
/// Where a promise is broken, or no target has that name.
pub fn run(target: &str, bytes: &[u8]) -> bool {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, function) = found.unwrap_or_else(|| panic!("there is no target {target:?}"));
    function(bytes)
}
