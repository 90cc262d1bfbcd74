//! Names of tests are short enough to read in a list.

use crate::{
    violations::{Violation, expect_known},
    workspace::{Source, sources},
};
use anyhow::Result;
use syn::{
    ItemFn,
    visit::{self, Visit},
};

/// A name has fewer characters than this.
const LIMIT: usize = 60;

/// The packages that still have longer names.
const KNOWN: &[&str] = &[];

#[test]
fn names_of_tests_are_short() -> Result<()> {
    expect_known(&long_names(&sources()?)?, KNOWN);
    Ok(())
}

fn long_names(sources: &[Source]) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    for source in sources {
        let mut tests = Tests::default();
        tests.visit_file(&source.syntax()?);
        let long = tests.names.into_iter().filter(|name| name.len() >= LIMIT);
        found.extend(long.map(|name| Violation::new(&source.path, format!("{name} is too long"))));
    }
    Ok(found)
}

#[derive(Default)]
struct Tests {
    names: Vec<String>,
}

impl<'ast> Visit<'ast> for Tests {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        // `#[test]` as well as `#[tokio::test]`.
        let mut last = function.attrs.iter().filter_map(|attribute| attribute.path().segments.last());
        if last.any(|segment| segment.ident == "test") {
            self.names.push(function.sig.ident.to_string());
        }
        visit::visit_item_fn(self, function);
    }
}

#[test]
fn a_long_name_is_found() -> Result<()> {
    let of = |attribute: &str, length: usize| {
        let text = format!("mod tests {{ #[{attribute}] async fn {}() {{}} }}", "x".repeat(length));
        Ok::<_, anyhow::Error>(long_names(&[Source::new("crates/a/src/x.rs", &text)])?.len())
    };
    assert_eq!(of("test", LIMIT)?, 1);
    assert_eq!(of("tokio::test(flavor = \"multi_thread\")", LIMIT)?, 1);
    assert_eq!(of("test", LIMIT - 1)?, 0);
    assert_eq!(of("inline", LIMIT)?, 0);
    Ok(())
}
