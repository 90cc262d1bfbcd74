//! The top-level modules of a crate do not import each other in a cycle.
//!
//! A module imports another one by a `use` or by a path in an expression, a type or a macro. A `pub use` is a re-export and
//! no import. What a module imports from the crate root belongs to the module that the root re-exports it from. Tests do
//! not count.

mod graph;
mod imports;

use crate::{
    violations::{Violation, expect_known, expect_none},
    workspace::{manifests, root, sources_below},
};
use anyhow::{Context, Result};
use cargo_metadata::TargetKind;
use graph::cycles;
use imports::{Files, imports};

/// The crates that still have a cycle.
const KNOWN: &[&str] = &[];

#[test]
fn top_level_modules_have_no_import_cycle() -> Result<()> {
    let mut found = Vec::new();
    let mut crates = 0;
    for package in manifests(&root())?.workspace_packages() {
        let is_root =
            |kind: &TargetKind| matches!(kind, TargetKind::Lib | TargetKind::ProcMacro | TargetKind::Bin);
        if package.publish.as_ref().is_some_and(Vec::is_empty) {
            continue;
        }
        let root_file = package.targets.iter().find(|target| target.kind.iter().any(is_root));
        let root_file = root_file.map(|target| &target.src_path).context("the package has a target")?;
        let directory = root_file.parent().context("the file has a folder")?;
        let files: Files = sources_below(directory.as_std_path())?
            .into_iter()
            .map(|source| (source.path, source.text))
            .collect();
        let name = root_file.file_name().context("the file has a name")?;
        crates += 1;
        found.extend(violations(package.name.as_str(), &files, name)?);
    }
    assert!(crates > 5, "the crates were not found");
    expect_known(&found, KNOWN);
    Ok(())
}

fn violations(name: &str, files: &Files, root: &str) -> Result<Vec<Violation>> {
    let imports = imports(files, root).with_context(|| name.to_owned())?;
    Ok(cycles(&imports).into_iter().map(|cycle| Violation::new(name, cycle)).collect())
}

/// The violations in a crate of these files.
fn of(files: &[(&str, &str)]) -> Vec<Violation> {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    violations("made-up", &files, "lib.rs").expect("the files can be parsed")
}

/// The violations in a crate with the modules `a` and `b`, in which `b` imports `a`.
fn with_a(lib: &str, a: &str) -> Vec<Violation> {
    of(&[("lib.rs", &format!("mod a; mod b; {lib}")), ("a.rs", a), ("b.rs", "use crate::a::Thing;")])
}

#[test]
fn an_import_in_one_direction_is_no_cycle() {
    expect_none(&with_a(
        "",
        "pub struct Thing; use std::fmt; use crate::a::inner::X; mod inner { pub struct X; }",
    ));
}

#[test]
fn every_kind_of_import_closes_a_cycle() {
    for a in [
        "use crate::b::X;",
        "use crate::{b::{self, X}};",
        "use super::b;",
        "use {super::{b as other}};",
        "mod inner { use super::super::b::X; }",
        "fn f() { crate::b::f() }",
        "fn f() -> crate::b::X { todo!() }",
        "fn f() { super::b::CONSTANT; }",
        "fn f() { assert!(crate::b::g(), \"x\") }",
        "impl crate::b::Trait for Y {}",
        "pub(crate) use crate::b::X;",
        "fn f() { use crate::b::X; }",
        "fn f() { match 1 { crate::b::ONE => {} _ => {} } }",
    ] {
        let found = with_a("", a);
        assert!(found.len() == 1, "{a}: {found:?}");
        assert!(found[0].what.contains("a -> b -> a"), "{a}: {found:?}");
    }
}

#[test]
fn an_import_from_the_root_belongs_to_the_module_behind_it() {
    for (root, import) in [
        ("pub use b::Error;", "use crate::Error;"),
        ("pub use b::{Error as Failure};", "fn f() -> crate::Failure { todo!() }"),
        ("pub use crate::b::deep::Error;", "use super::Error;"),
        ("pub use b::*;", "use crate::Glob;"),
    ] {
        let files = [
            ("lib.rs", format!("mod a; mod b; {root}")),
            ("a.rs", import.to_owned()),
            ("b.rs", "use crate::a::Thing; pub struct Glob;".to_owned()),
        ];
        let found = of(&files.each_ref().map(|(path, text)| (*path, text.as_str())));
        assert!(found.len() == 1, "{root} {import}: {found:?}");
    }
}

#[test]
fn re_exports_tests_and_visibilities_are_no_imports() {
    for a in [
        "pub use crate::b::X;",
        "#[cfg(test)] mod tests { use crate::b::X; }",
        "#[cfg(test)] use crate::b::X;",
        "#[cfg(all(test, unix))] fn f() { crate::b::f() }",
        "impl Y { #[cfg(test)] fn f() { crate::b::f() } }",
        "pub(in crate::b) struct X;",
        "macro_rules! m { () => { $crate::b::X }; }",
        "/// See [`crate::b::X`].\nstruct Z;",
        "use b::X;",
    ] {
        let found = with_a("", a);
        assert_eq!(found, [], "{a}");
    }
}

#[test]
fn a_cycle_over_files_in_folders_is_found() {
    let found = of(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "mod inner;"),
        ("a/inner.rs", "use crate::b::X;"),
        ("b/mod.rs", "mod inner;"),
        ("b/inner.rs", "fn f() { crate::c::f() }"),
        ("c.rs", "use crate::a::Thing;"),
    ]);
    assert_eq!(found.len(), 1);
    let expected = "the modules a -> b -> c -> a import each other: \
                    a -> b (a/inner.rs: crate::b::X), b -> c (b/inner.rs: crate::c::f), c -> a (c.rs: crate::a::Thing)";
    assert_eq!(found[0].what, expected);
}
