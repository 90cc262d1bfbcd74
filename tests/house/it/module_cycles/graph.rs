//! Cycles in a graph.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// From a module to those that it imports, with an example for each import.
pub(super) type Imports = BTreeMap<String, BTreeMap<String, String>>;

/// One shortest cycle for each group of modules that import each other.
pub(super) fn cycles(imports: &Imports) -> Vec<String> {
    let mut described = BTreeSet::new();
    let mut found = Vec::new();
    for module in imports.keys().filter(|module| !module.is_empty()) {
        if described.contains(module) {
            continue;
        }
        if let Some(cycle) = cycle_from(imports, module) {
            // The whole group, so that it is described once.
            let reaches = reachable(imports, module);
            described.extend(reaches.into_iter().filter(|other| reachable(imports, other).contains(module)));
            found.push(describe(imports, &cycle));
        }
    }
    found
}

/// A shortest way from a module back to itself, with the module at both ends.
fn cycle_from(imports: &Imports, start: &str) -> Option<Vec<String>> {
    let mut open = VecDeque::from([vec![start.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = open.pop_front() {
        for next in imports.get(way.last()?).into_iter().flat_map(BTreeMap::keys) {
            let longer: Vec<String> = way.iter().chain([next]).cloned().collect();
            if next == start {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                open.push_back(longer);
            }
        }
    }
    None
}

fn reachable(imports: &Imports, start: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![start.to_owned()];
    while let Some(module) = open.pop() {
        for next in imports.get(&module).into_iter().flat_map(BTreeMap::keys) {
            if seen.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    seen
}

fn describe(imports: &Imports, cycle: &[String]) -> String {
    let edges: Vec<String> = cycle
        .windows(2)
        .map(|edge| format!("{} -> {} ({})", edge[0], edge[1], imports[&edge[0]][&edge[1]]))
        .collect();
    format!("the modules {} import each other: {}", cycle.join(" -> "), edges.join(", "))
}

#[test]
fn groups_are_described_once() {
    let edge = |from: &str, to: &[&str]| {
        let to = to.iter().map(|to| ((*to).to_owned(), "x".to_owned())).collect();
        (from.to_owned(), to)
    };
    let imports = Imports::from([
        edge("a", &["b", "d"]),
        edge("b", &["a", "c"]),
        edge("c", &["a"]),
        edge("d", &["e"]),
        edge("e", &["d"]),
        edge("f", &["a"]),
    ]);
    let found = cycles(&imports);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("a -> b -> a") && found[1].contains("d -> e -> d"), "{found:?}");
}
