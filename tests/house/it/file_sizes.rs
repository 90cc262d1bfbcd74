//! Files are short. Clippy holds the length of functions: see `too-many-lines-threshold` in `.clippy.toml`.

use crate::{
    violations::{Violation, expect_none},
    workspace::{Source, sources},
};
use anyhow::Result;

/// The most lines of a file, without its unit tests.
const MOST: usize = 500;

#[test]
fn files_are_short() -> Result<()> {
    expect_none(&long_files(&sources()?));
    Ok(())
}

fn long_files(sources: &[Source]) -> Vec<Violation> {
    let lines = |source: &Source| source.without_tests().lines().count();
    let long = sources.iter().filter(|source| source.is_product() && lines(source) > MOST);
    long.map(|source| {
        let what = format!("has {} lines without its tests, at most {MOST} are allowed", lines(source));
        Violation::new(&source.path, what)
    })
    .collect()
}

#[test]
fn a_long_file_is_found() {
    let of = |path: &str, text: &str| long_files(&[Source::new(path, text)]).len();
    let line = "const X: u8 = 1;\n";
    assert_eq!(of("crates/a/src/x.rs", &line.repeat(MOST + 1)), 1);
    assert_eq!(of("crates/a/src/x.rs", &line.repeat(MOST)), 0);
    assert_eq!(
        of("crates/a/src/x.rs", &format!("{line}#[cfg(test)]\nmod tests {{\n{}}}", line.repeat(MOST))),
        0
    );
    assert_eq!(of("crates/a/tests/it/x.rs", &line.repeat(MOST + 1)), 0);
}
