//! Pure crates: no runtime, no clock, no randomness anywhere below them.

use crate::{
    violations::{Violation, expect_known},
    workspace::root,
};
use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use std::{collections::BTreeSet, fs, path::Path, process::Command};

/// The pure crates, by folder.
const PURE: &[&str] = &["crates/jetway-state"];

/// The crates that still have a banned package or feature.
const KNOWN: &[&str] = &[];

/// Packages that a pure crate must not contain.
const BANNED: &[&str] = &["tokio", "rand", "getrandom"];

/// Features of packages that a pure crate must not contain.
const BANNED_FEATURES: &[(&str, &str)] = &[("chrono", "clock"), ("chrono", "now")];

#[test]
fn pure_crates_have_no_runtime_clock_or_randomness() -> Result<()> {
    let mut found = Vec::new();
    for path in PURE {
        found.extend(impurities(&root().join(path), Some(&root().join("Cargo.lock")))?);
    }
    expect_known(&found, KNOWN);
    Ok(())
}

/// The banned packages and features in the normal dependencies of the crate at `path`.
///
/// Cargo resolves features for a whole workspace, so that another crate may enable a feature of a shared dependency.
/// Therefore a new workspace depends on this crate alone.
fn impurities(path: &Path, lock: Option<&Path>) -> Result<Vec<Violation>> {
    let workspace = tempfile::tempdir()?;
    let path = path.canonicalize().with_context(|| path.display().to_string())?;
    let name = path.file_name().context("the crate has a folder")?.to_string_lossy();
    let manifest = format!(
        "[workspace]\n[package]\nname = \"alone\"\nedition = \"2024\"\n[dependencies]\n{name} = {{ path = {path:?} }}\n"
    );
    fs::create_dir(workspace.path().join("src"))?;
    fs::write(workspace.path().join("src/lib.rs"), "")?;
    fs::write(workspace.path().join("Cargo.toml"), manifest)?;
    if let Some(lock) = lock {
        fs::copy(lock, workspace.path().join("Cargo.lock"))?;
    }
    let metadata = MetadataCommand::new()
        .manifest_path(workspace.path().join("Cargo.toml"))
        .other_options(["--filter-platform".to_owned(), host()?])
        .exec()?;
    Ok(banned(&metadata, &name))
}

/// The target that rustc compiles for.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names its host")?;
    Ok(host.to_owned())
}

fn banned(metadata: &Metadata, name: &str) -> Vec<Violation> {
    let Some(resolve) = &metadata.resolve else {
        return vec![Violation::new(name, "cargo metadata resolved nothing")];
    };
    let mut found = Vec::new();
    let mut seen: BTreeSet<&PackageId> = BTreeSet::new();
    let mut open: Vec<&PackageId> = resolve.root.iter().collect();
    while let Some(id) = open.pop() {
        let Some(node) = resolve.nodes.iter().find(|node| node.id == *id).filter(|_| seen.insert(id)) else {
            continue;
        };
        let package = metadata[id].name.as_str();
        if BANNED.contains(&package) {
            found.push(Violation::new(name, format!("contains the package {package}")));
        }
        let features = node.features.iter().map(|feature| feature.as_str());
        found.extend(
            features.filter(|feature| BANNED_FEATURES.contains(&(package, feature))).map(|feature| {
                Violation::new(name, format!("contains {package} with the feature {feature}"))
            }),
        );
        let normal = node
            .deps
            .iter()
            .filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
        open.extend(normal.map(|dep| &dep.pkg));
    }
    found
}

/// A crate `pure` with these dependencies, and made-up crates `tokio` and `chrono`.
fn made_up(root: &Path, dependencies: &str) -> Result<()> {
    let chrono = "[features]\ndefault = [\"clock\"]\nclock = []\n";
    let pure = format!("[dependencies]\n{dependencies}");
    let wrapper = "[dependencies]\ntokio = { path = \"../tokio\" }\n";
    for (name, rest) in [("tokio", ""), ("chrono", chrono), ("wrapper", wrapper), ("pure", pure.as_str())] {
        fs::create_dir_all(root.join(name).join("src"))?;
        fs::write(root.join(name).join("src/lib.rs"), "")?;
        let manifest = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n{rest}");
        fs::write(root.join(name).join("Cargo.toml"), manifest)?;
    }
    Ok(())
}

#[test]
fn a_banned_package_below_a_pure_crate_is_found() -> Result<()> {
    let root = tempfile::tempdir()?;
    made_up(root.path(), "wrapper = { path = \"../wrapper\" }\n")?;
    let found = impurities(&root.path().join("pure"), None)?;
    assert_eq!(found, [Violation::new("pure", "contains the package tokio")]);
    made_up(root.path(), "\n[dev-dependencies]\nwrapper = { path = \"../wrapper\" }\n")?;
    assert_eq!(impurities(&root.path().join("pure"), None)?, []);
    Ok(())
}

#[test]
fn a_banned_feature_below_a_pure_crate_is_found() -> Result<()> {
    let root = tempfile::tempdir()?;
    made_up(root.path(), "chrono = { path = \"../chrono\" }\n")?;
    let found = impurities(&root.path().join("pure"), None)?;
    assert_eq!(found, [Violation::new("pure", "contains chrono with the feature clock")]);
    made_up(root.path(), "chrono = { path = \"../chrono\", default-features = false }\n")?;
    assert_eq!(impurities(&root.path().join("pure"), None)?, []);
    Ok(())
}
