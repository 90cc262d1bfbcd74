//! The time is passed in. Only the module `clock` reads it.

use crate::{
    violations::{Violation, expect_known},
    workspace::{Source, sources},
};
use anyhow::Result;
use syn::{
    Attribute, Expr, ExprCall, ExprPath, Item,
    visit::{self, Visit},
};

/// The crates with a clock that tests can move.
const CRATES: &[&str] = &[
    "crates/jetway-state/",
    "crates/jetway-core/",
    "crates/jetway-engine/",
    "crates/jetway-nats/",
    "crates/jetway/",
    "actors/",
];

/// The module that reads the time.
const CLOCK: &str = "crates/jetway-core/src/clock.rs";

/// The types and modules whose function `now` gives the time of day.
const SOURCES_OF_TIME: &[&str] = &["clock", "SystemTime", "Timestamp", "Utc"];

/// The places that still read the time themselves.
const KNOWN: &[&str] = &[];

#[test]
fn the_time_is_passed_in() -> Result<()> {
    expect_known(&calls_of_now(&sources()?)?, KNOWN);
    Ok(())
}

fn calls_of_now(sources: &[Source]) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    let is_ours = |source: &&Source| CRATES.iter().any(|path| source.path.starts_with(path));
    for source in sources.iter().filter(is_ours).filter(|source| source.is_product() && source.path != CLOCK)
    {
        let mut calls = Calls::default();
        calls.visit_file(&source.syntax()?);
        found.extend(calls.found.into_iter().map(|call| Violation::new(&source.path, format!("{call}()"))));
    }
    Ok(found)
}

#[derive(Default)]
struct Calls {
    found: Vec<String>,
}

fn is_test_module(item: &Item) -> bool {
    let for_tests = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    };
    matches!(item, Item::Mod(module) if module.attrs.iter().any(for_tests))
}

impl<'ast> Visit<'ast> for Calls {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test_module(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(ExprPath { path, .. }) = &*call.func {
            let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            if let [.., source, function] = names.as_slice()
                && function == "now"
                && SOURCES_OF_TIME.contains(&source.as_str())
            {
                self.found.push(names.join("::"));
            }
        }
        visit::visit_expr_call(self, call);
    }
}

#[test]
fn a_call_of_now_is_found() -> Result<()> {
    let of = |path: &str, text: &str| Ok::<_, anyhow::Error>(calls_of_now(&[Source::new(path, text)])?.len());
    let file = "crates/jetway-engine/src/x.rs";
    assert_eq!(of(file, "fn f() { g(jetway_core::clock::now()) }")?, 1);
    assert_eq!(of(file, "fn f() { let at = SystemTime::now(); }")?, 1);
    assert_eq!(of(file, "fn f(clock: &dyn Clock) { clock.now(); Instant::now(); }")?, 0);
    assert_eq!(of(file, "#[cfg(test)] mod tests { fn f() { clock::now(); } }")?, 0);
    assert_eq!(of(CLOCK, "fn f() { SystemTime::now(); }")?, 0);
    assert_eq!(of("crates/jetway-engine/tests/it/x.rs", "fn f() { clock::now(); }")?, 0);
    Ok(())
}
