//! Violations of rules, and the list of those that are known.

/// A violation of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// A crate or a file.
    pub(crate) place: String,
    pub(crate) what: String,
}

impl Violation {
    pub(crate) fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }
}

/// Panics if there is a violation.
pub(crate) fn expect_none(violations: &[Violation]) {
    expect_known(violations, &[]);
}

/// Panics if there is a violation at a place that is not in `known`, or none at a place that is. A folder in `known`
/// stands for all files in it.
pub(crate) fn expect_known(violations: &[Violation], known: &[&str]) {
    let problems = problems(violations, known);
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

fn problems(violations: &[Violation], known: &[&str]) -> Vec<String> {
    let covers = |known: &str, place: &str| {
        place.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let unknown = violations
        .iter()
        .filter(|violation| !known.iter().any(|known| covers(known, &violation.place)))
        .map(|violation| format!("{}: {}", violation.place, violation.what));
    let repaired = known
        .iter()
        .filter(|known| !violations.iter().any(|violation| covers(known, &violation.place)))
        .map(|known| format!("{known} does not violate the rule any more: remove it from the list KNOWN"));
    unknown.chain(repaired).collect()
}

#[test]
fn a_violation_at_an_unknown_place_is_a_problem() {
    let found = [Violation::new("crates/a/src/x.rs", "bad")];
    assert_eq!(problems(&found, &[]), ["crates/a/src/x.rs: bad"]);
    assert!(problems(&found, &["crates/a"]).is_empty());
    // A name that only begins alike is another place.
    assert_eq!(problems(&found, &["crates/a/src/x"]).len(), 2);
}

#[test]
fn a_known_place_without_a_violation_is_a_problem() {
    let problems = problems(&[], &["crates/a"]);
    assert!(problems[0].contains("crates/a does not violate the rule any more"), "{problems:?}");
}
