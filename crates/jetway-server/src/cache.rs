//! The directory in which Jetway keeps what it installs.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The cache directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The environment does not say where a cache may be.
    #[error("no place for a cache: set JETWAY_CACHE_DIR, XDG_CACHE_HOME or HOME")]
    NoPlace,
    /// A directory or file of the cache cannot be made.
    #[error("the cache `{path}` cannot be written: {source}; set JETWAY_CACHE_DIR to a directory of yours")]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// The directory in which Jetway keeps what it installs: `JETWAY_CACHE_DIR`, else `$XDG_CACHE_HOME/jetway`, else
/// `~/.cache/jetway`. It need not exist yet.
///
/// # Errors
/// None of the three variables is set.
pub fn cache_dir() -> Result<PathBuf, CacheError> {
    cache_dir_from(|name| std::env::var_os(name)).ok_or(CacheError::NoPlace)
}

fn cache_dir_from(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    path("JETWAY_CACHE_DIR")
        .or_else(|| path("XDG_CACHE_HOME").map(|home| home.join("jetway")))
        .or_else(|| path("HOME").map(|home| home.join(".cache/jetway")))
}

/// A new temporary directory inside `cache`, which is created where it is missing. What is made in it can be renamed to
/// its final place in the cache: a rename works within one file system only. Its path is absolute, since programs run in it.
///
/// # Errors
/// The cache cannot be written.
pub fn staging_dir(cache: &Path) -> Result<TempDir, CacheError> {
    std::path::absolute(cache)
        .and_then(|cache| std::fs::create_dir_all(&cache).map(|()| cache))
        .and_then(|cache| tempfile::Builder::new().prefix(".staging-").tempdir_in(cache))
        .map_err(|source| CacheError::Write { path: cache.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Option<PathBuf> {
        cache_dir_from(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_own_variable_wins_then_xdg_then_home() {
        let all = [("JETWAY_CACHE_DIR", "/j"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(from(&all), Some(PathBuf::from("/j")));
        assert_eq!(from(&all[1..]), Some(PathBuf::from("/x/jetway")));
        assert_eq!(from(&all[2..]), Some(PathBuf::from("/h/.cache/jetway")));
        assert_eq!(from(&[]), None);
        assert_eq!(
            from(&[("JETWAY_CACHE_DIR", ""), ("HOME", "/h")]),
            Some(PathBuf::from("/h/.cache/jetway"))
        );
    }
}
