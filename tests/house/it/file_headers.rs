//! Every file begins with a sentence that says what it is for.

use crate::{
    violations::{Violation, expect_none},
    workspace::{Source, sources},
};
use anyhow::Result;

#[test]
fn every_file_says_what_it_is_for() -> Result<()> {
    expect_none(&without_header(&sources()?));
    Ok(())
}

fn without_header(sources: &[Source]) -> Vec<Violation> {
    let silent = sources.iter().filter(|source| !source.text.starts_with("//!"));
    silent.map(|source| Violation::new(&source.path, "does not begin with //!")).collect()
}

#[test]
fn a_file_without_a_header_is_found() {
    let of = |text: &str| without_header(&[Source::new("crates/a/src/x.rs", text)]).len();
    assert_eq!((of("//! Things.\n"), of("use std::fmt;\n")), (0, 1));
}
