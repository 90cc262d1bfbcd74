//! A crate written against floxide 3.2. Jetway stands behind the names `floxide`, `floxide-core` and `floxide-macros`
//! in `Cargo.toml`, and nothing else was changed for it.

#![allow(clippy::clone_on_copy, reason = "some types can be copied here that could only be cloned there")]
#![allow(
    clippy::field_reassign_with_default,
    clippy::type_complexity,
    reason = "as users of the interface write it"
)]

mod adaptors;
mod by_hand;
mod checkpoints;
mod contexts;
mod edges;
mod names;
mod nodes;
mod orchestrated;
mod plain_stores;
mod stepping;
mod stopping;
mod views;
