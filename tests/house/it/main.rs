//! The rules for the sources of Jetway, one rule a file.
//!
//! Each rule is a function over sources or over `cargo metadata`. One test applies it to this repository. Other tests
//! apply it to a small made-up tree and show that a violation is found.
//!
//! Some rules have a list `KNOWN` of places that still violate them. A test also fails if a place on the list does not
//! violate the rule any more: remove it from the list.

mod clock;
mod file_headers;
mod file_sizes;
mod layers;
mod log_fields;
mod module_cycles;
mod pure_crates;
mod subjects;
mod test_names;
mod top_level;
mod violations;
mod workspace;
