//! The rules of the house, held by a test.

use anyhow::{Context, Result};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use walkdir::WalkDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the workspace").to_owned()
}

/// Every Rust file that is built from this repository, with its path from the root.
fn sources() -> Result<Vec<(String, String)>> {
    let root = root();
    let mut sources = Vec::new();
    let kept = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || !(name.starts_with('.') || name == "target")
    };
    for entry in WalkDir::new(&root).sort_by_file_name().into_iter().filter_entry(kept) {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "rs") {
            let path = entry.path().strip_prefix(&root)?.to_string_lossy().into_owned();
            sources.push((path, fs::read_to_string(entry.path())?));
        }
    }
    anyhow::ensure!(sources.len() > 50, "the sources were not found");
    Ok(sources)
}

/// What belongs to the product, and not to its tests, examples and benchmarks.
fn is_product(path: &str) -> bool {
    let in_tests = |part| matches!(part, "tests" | "benches" | "examples" | "tests.rs" | "laws" | "laws.rs");
    !path.split('/').any(in_tests)
}

fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or(text)
}

fn check(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn files_stay_small() -> Result<()> {
    let long = sources()?
        .into_iter()
        .filter(|(path, _)| is_product(path))
        .map(|(path, text)| (path, without_tests(&text).lines().count()))
        .filter(|(_, lines)| *lines > 500)
        .map(|(path, lines)| format!("{path} has {lines} lines without its tests; 500 are allowed"));
    check(&long.collect::<Vec<_>>());
    Ok(())
}

#[test]
fn every_file_says_what_it_is_for() -> Result<()> {
    let silent = sources()?
        .into_iter()
        .filter(|(path, text)| !text.starts_with("//!") && !path.contains("/ui/"))
        .map(|(path, _)| format!("{path} does not begin with //!"));
    check(&silent.collect::<Vec<_>>());
    Ok(())
}

#[test]
fn the_rules_of_the_engine_are_pure() -> Result<()> {
    let banned =
        ["async ", "tokio", "std::fs", "std::net", "SystemTime", "Instant", "::now()", "rand::", "tracing::"];
    let mut broken = Vec::new();
    for (path, text) in sources()?.iter().filter(|(path, _)| path.starts_with("crates/jetway-core/src/run")) {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            broken.extend(
                banned.iter().filter(|word| line.contains(**word)).map(|word| format!("{path}: {word}")),
            );
        }
    }
    check(&broken);
    Ok(())
}

#[test]
fn only_jetway_nats_names_a_subject() -> Result<()> {
    // Span attributes begin with jetway. as well; a subject goes on with a namespace.
    let named = ["\"jetway.{", "jetway.default.", "\"JETWAY_", "$KV.", "$JS."];
    let allowed = |path: &str| path.starts_with("crates/jetway-nats/");
    let mut broken = Vec::new();
    for (path, text) in sources()?.iter().filter(|(path, _)| is_product(path) && !allowed(path)) {
        for (number, line) in without_tests(text).lines().enumerate() {
            let code = !line.trim_start().starts_with("//")
                && !line.contains("env = ")
                && !line.contains("std::env");
            let subject = named.iter().any(|name| line.contains(name));
            let variable = [
                "JETWAY_NAMESPACE",
                "JETWAY_CACHE_DIR",
                "JETWAY_TEST_PYTHON",
                "JETWAY_MACRO",
                "JETWAY_MUTANT",
                "JETWAY_FAIL_POINT",
            ];
            if code && subject && !variable.iter().any(|name| line.contains(name)) {
                broken.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    check(&broken);
    Ok(())
}

#[test]
fn crates_keep_to_their_dependencies() -> Result<()> {
    let rules: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("crates/jetway-core", &["async-nats", "actix", "jetway-"][..]),
        ("crates/jetway-macros", &["async-nats", "actix", "tokio", "jetway-"][..]),
        ("crates/jetway-nats", &["actix", "jetway-actors", "jetway-macros"][..]),
        ("actors", &["async-nats", "jetway-nats"][..]),
        ("crates/jetway-server", &["async-nats", "actix", "jetway-"][..]),
        ("crates/jetway-testing", &["actix", "jetway-nats", "jetway-actors"][..]),
        ("crates/jetway", &["async-nats", "actix", "jetway-testing"][..]),
        ("crates/jetway-cli", &["async-nats", "actix", "jetway-testing"][..]),
        ("crates/jetway-verify", &["async-nats", "actix"][..]),
    ]);
    let mut broken = Vec::new();
    for (package, banned) in rules {
        let path = root().join(package).join("Cargo.toml");
        let manifest = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let section = manifest.split("\n[dependencies]").nth(1).unwrap_or_default();
        let section = section.split("\n[").next().unwrap_or_default();
        for name in section.lines().filter_map(|line| line.split(['.', ' ', '=']).next()) {
            let named =
                |banned: &&&str| name == **banned || (banned.ends_with('-') && name.starts_with(**banned));
            broken.extend(banned.iter().find(named).map(|_| format!("{package} depends on {name}")));
        }
    }
    check(&broken);
    Ok(())
}

#[test]
fn the_top_level_holds_what_it_should() -> Result<()> {
    let mut found: Vec<String> = fs::read_dir(root())?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    found.retain(|name| !name.starts_with('.') && name != "target");
    found.sort();
    let wanted = [
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
    assert_eq!(found, wanted);
    Ok(())
}
