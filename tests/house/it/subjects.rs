//! Only jetway-nats names a subject or a stream.

use crate::{
    violations::{Violation, expect_none},
    workspace::{Source, sources},
};
use anyhow::Result;

/// How names of subjects, streams and buckets begin. Attributes of spans begin with `jetway.` as well; a subject continues
/// with a namespace.
const NAMES: [&str; 5] = ["\"jetway.{", "jetway.default.", "\"JETWAY_", "$KV.", "$JS."];

/// Variables of the environment that begin like a stream.
const VARIABLES: [&str; 10] = [
    "JETWAY_NAMESPACE",
    "JETWAY_REPLICAS",
    "JETWAY_{role}_PASSWORD",
    "JETWAY_CACHE_DIR",
    "JETWAY_TEST_PYTHON",
    "JETWAY_TEST_FAKETIME",
    "JETWAY_TEST_JAEGER",
    "JETWAY_TEST_NATS",
    "JETWAY_MACRO",
    "JETWAY_FAIL_POINT",
];

#[test]
fn only_jetway_nats_names_a_subject() -> Result<()> {
    expect_none(&names_of_subjects(&sources()?));
    Ok(())
}

fn names_of_subjects(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.is_product()) {
        if source.path.starts_with("crates/jetway-nats/") {
            continue;
        }
        for line in source.without_tests().lines().map(str::trim) {
            let is_code = !line.starts_with("//") && !line.contains("env = ") && !line.contains("std::env");
            let is_variable = VARIABLES.iter().any(|variable| line.contains(variable));
            if is_code && !is_variable && NAMES.iter().any(|name| line.contains(name)) {
                found.push(Violation::new(&source.path, line));
            }
        }
    }
    found
}

#[test]
fn a_subject_elsewhere_is_found() {
    let code = "fn f(ns: &str) -> String {\n    format!(\"jetway.{ns}.work\")\n}\n";
    let of = |path: &str, text: &str| names_of_subjects(&[Source::new(path, text)]);
    assert_eq!(of("crates/jetway-engine/src/a.rs", code).len(), 1);
    assert_eq!(of("crates/jetway-nats/src/a.rs", code), []);
    assert_eq!(of("crates/jetway-engine/src/a.rs", "// `$JS.ACK`\n"), []);
    assert_eq!(of("crates/jetway-engine/src/a.rs", "env::var(\"JETWAY_NAMESPACE\")\n"), []);
}
