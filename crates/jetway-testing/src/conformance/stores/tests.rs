//! The table of rules and the cases are one list.

use super::CASES;
use std::collections::BTreeSet;

#[test]
fn every_case_states_a_rule_and_every_rule_has_its_case() {
    let rows = include_str!("../stores.rs").lines().filter(|line| line.starts_with("//! | "));
    let mut named = BTreeSet::new();
    for row in rows.filter(|row| !row.ends_with("| case |")) {
        let cases = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let cases: Vec<_> = cases.split(", ").map(|case| case.trim().trim_matches('`')).collect();
        assert!(cases.iter().all(|case| CASES.contains(case)), "no such case: {row}");
        named.extend(cases);
    }
    assert_eq!(named, CASES.iter().copied().collect(), "a case is in no row");
}
