//! Dependencies between the crates point down, and each external system has one crate that names it.

use crate::{
    violations::{Violation, expect_none},
    workspace::{manifests, root},
};
use anyhow::Result;
use cargo_metadata::{DependencyKind, Metadata};
use std::{fs, path::Path};

/// The crates of the product, and the other crates of the product that each may depend on.
///
/// state <- core <- engine <- {nats, actors} <- jetway <- {verify, console, cli}. The macros, the server and the test
/// support are beside this chain.
const ALLOWED: &[(&str, &[&str])] = &[
    ("jetway-state", &[]),
    ("jetway-core", &["jetway-state"]),
    ("jetway-macros", &[]),
    ("jetway-engine", &["jetway-state", "jetway-core"]),
    ("jetway-nats", &["jetway-state", "jetway-core", "jetway-engine"]),
    ("jetway-actors", &["jetway-state", "jetway-core", "jetway-engine"]),
    (
        "jetway",
        &["jetway-state", "jetway-core", "jetway-macros", "jetway-engine", "jetway-nats", "jetway-actors"],
    ),
    ("jetway-server", &[]),
    ("jetway-testing", &["jetway-state", "jetway-core", "jetway-macros", "jetway-engine", "jetway-server"]),
    (
        "jetway-verify",
        &[
            "jetway-state",
            "jetway-core",
            "jetway-engine",
            "jetway-nats",
            "jetway",
            "jetway-server",
            "jetway-testing",
        ],
    ),
    ("jetway-console", &["jetway-state", "jetway"]),
    ("jetway-cli", &["jetway-state", "jetway", "jetway-verify", "jetway-console", "jetway-server"]),
];

/// External crates, and the only crate of the product that may depend on each.
const OWNERS: &[(&str, &str)] = &[("async-nats", "jetway-nats"), ("actix", "jetway-actors")];

#[test]
fn crates_depend_on_lower_layers_only() -> Result<()> {
    let metadata = manifests(&root())?;
    assert!(metadata.workspace_members.len() > 10, "the crates were not found");
    expect_none(&upward_dependencies(&metadata));
    Ok(())
}

/// Dependencies for tests do not count, and neither do packages that are not published.
fn upward_dependencies(metadata: &Metadata) -> Vec<Violation> {
    let mut found = Vec::new();
    for package in metadata.workspace_packages() {
        if package.publish.as_ref().is_some_and(Vec::is_empty) {
            continue;
        }
        let name = package.name.as_str();
        let Some((_, allowed)) = ALLOWED.iter().find(|(other, _)| *other == name) else {
            found.push(Violation::new(name, "has no layer: add it to the table ALLOWED"));
            continue;
        };
        for dependency in &package.dependencies {
            let is_owned = |(external, owner): &&(&str, &str)| *external == dependency.name && *owner != name;
            if dependency.kind == DependencyKind::Development {
                continue;
            }
            if dependency.path.is_some() && !allowed.contains(&dependency.name.as_str()) {
                found.push(Violation::new(name, format!("must not depend on {}", dependency.name)));
            }
            if let Some((external, owner)) = OWNERS.iter().find(is_owned) {
                found.push(Violation::new(name, format!("depends on {external}, only {owner} may")));
            }
        }
    }
    found
}

/// A workspace of these crates with these dependency tables.
fn made_up(root: &Path, crates: &[(&str, &str)]) -> Result<Metadata> {
    fs::write(root.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\n")?;
    for (name, dependencies) in crates {
        fs::create_dir_all(root.join(name).join("src"))?;
        fs::write(root.join(name).join("src/lib.rs"), "")?;
        let manifest =
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{dependencies}");
        fs::write(root.join(name).join("Cargo.toml"), manifest)?;
    }
    manifests(root)
}

#[test]
fn a_dependency_on_a_higher_layer_is_found() -> Result<()> {
    let root = tempfile::tempdir()?;
    let down = "[dependencies]\njetway-state = { path = \"../jetway-state\" }\n";
    let up = "[dependencies]\njetway-core = { path = \"../jetway-core\", optional = true }\n";
    let metadata = made_up(root.path(), &[("jetway-state", ""), ("jetway-core", down)])?;
    assert_eq!(upward_dependencies(&metadata), []);
    let metadata = made_up(root.path(), &[("jetway-state", up), ("jetway-core", "")])?;
    assert_eq!(
        upward_dependencies(&metadata),
        [Violation::new("jetway-state", "must not depend on jetway-core")]
    );
    Ok(())
}

#[test]
fn a_second_crate_that_names_nats_is_found() -> Result<()> {
    let root = tempfile::tempdir()?;
    let nats = "[dependencies]\nasync-nats = \"0.51\"\n";
    let for_tests = "[dev-dependencies]\nasync-nats = \"0.51\"\n";
    let metadata = made_up(root.path(), &[("jetway-nats", nats), ("jetway-core", for_tests)])?;
    assert_eq!(upward_dependencies(&metadata), []);
    let metadata = made_up(root.path(), &[("jetway-core", nats)])?;
    let expected = Violation::new("jetway-core", "depends on async-nats, only jetway-nats may");
    assert_eq!(upward_dependencies(&metadata), [expected]);
    Ok(())
}

#[test]
fn a_crate_without_a_layer_is_found() -> Result<()> {
    let root = tempfile::tempdir()?;
    let metadata = made_up(root.path(), &[("jetway-other", ""), ("for-tests", "publish = false\n")])?;
    let expected = Violation::new("jetway-other", "has no layer: add it to the table ALLOWED");
    assert_eq!(upward_dependencies(&metadata), [expected]);
    Ok(())
}
