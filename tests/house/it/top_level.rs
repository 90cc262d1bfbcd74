//! The top level of the repository holds what DESIGN names, and nothing else.

use crate::{
    violations::{Violation, expect_none},
    workspace::root,
};
use anyhow::Result;
use std::fs;

const TOP_LEVEL: [&str; 10] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "actors",
    "benches",
    "crates",
    "deploy",
    "nats.conf",
    "tests",
];

#[test]
fn the_top_level_holds_what_it_should() -> Result<()> {
    let names = fs::read_dir(root())?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    expect_none(&unexpected(&names.collect::<Result<Vec<_>>>()?));
    Ok(())
}

/// Hidden entries and build results do not count.
fn unexpected(names: &[String]) -> Vec<Violation> {
    let counts = |name: &&String| !name.starts_with('.') && *name != "target";
    let extra = names.iter().filter(counts).filter(|name| !TOP_LEVEL.contains(&name.as_str()));
    let missing = TOP_LEVEL.iter().filter(|wanted| !names.iter().any(|name| name == *wanted));
    extra
        .map(|name| Violation::new(name, "does not belong to the top level"))
        .chain(missing.map(|name| Violation::new(*name, "is missing at the top level")))
        .collect()
}

#[test]
fn an_unexpected_entry_is_found() {
    let mut names: Vec<String> = TOP_LEVEL.iter().map(|name| (*name).to_owned()).collect();
    names.push(".github".to_owned());
    assert_eq!(unexpected(&names), []);
    names.push("scripts".to_owned());
    names.retain(|name| name != "LICENSE");
    let found = unexpected(&names);
    assert_eq!(found.iter().map(|found| found.place.as_str()).collect::<Vec<_>>(), ["scripts", "LICENSE"]);
}
