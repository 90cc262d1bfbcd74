//! The sources and the manifests of this repository.

use anyhow::{Context, Result, ensure};
use cargo_metadata::{Metadata, MetadataCommand};
use std::{
    fs,
    path::{Path, PathBuf},
};
use walkdir::{DirEntry, WalkDir};

/// A Rust file.
pub(crate) struct Source {
    /// The path from the root of the repository.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    #[cfg(test)]
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether the file is part of the product, and not of its tests, examples, benchmarks and tools.
    pub(crate) fn is_product(&self) -> bool {
        let other = |part| {
            matches!(part, "tests" | "benches" | "examples" | "tests.rs" | "testing.rs" | "laws" | "laws.rs")
        };
        !self.path.split('/').any(other)
    }

    /// The text before the unit tests.
    pub(crate) fn without_tests(&self) -> &str {
        self.text.split("#[cfg(test)]\nmod ").next().unwrap_or(&self.text)
    }

    pub(crate) fn syntax(&self) -> Result<syn::File> {
        syn::parse_file(&self.text).with_context(|| self.path.clone())
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every Rust file of this repository, except those that do not compile on purpose.
pub(crate) fn sources() -> Result<Vec<Source>> {
    let sources = sources_below(&root())?;
    ensure!(sources.len() > 50, "the sources were not found");
    Ok(sources)
}

/// Every Rust file below a directory.
pub(crate) fn sources_below(directory: &Path) -> Result<Vec<Source>> {
    let wanted = |entry: &DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || !(name.starts_with('.') || name == "target" || name == "ui")
    };
    let mut sources = Vec::new();
    for entry in WalkDir::new(directory).sort_by_file_name().into_iter().filter_entry(wanted) {
        let entry = entry?;
        if entry.file_type().is_file() && entry.path().extension().is_some_and(|extension| extension == "rs")
        {
            let path = entry.path().strip_prefix(directory)?.to_string_lossy().into_owned();
            sources.push(Source { path, text: fs::read_to_string(entry.path())? });
        }
    }
    Ok(sources)
}

/// The manifests of the workspace at `root`, without their dependencies from elsewhere.
pub(crate) fn manifests(root: &Path) -> Result<Metadata> {
    Ok(MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?)
}
