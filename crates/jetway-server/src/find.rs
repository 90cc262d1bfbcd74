//! Which `nats-server` to run: the one that was named, else the first good one on the `PATH`, else the installed one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use semver::Version;

use crate::cache::cache_dir;
use crate::command::run;
use crate::error::ServerError;
use crate::install;
use crate::version::{INSTALLED_VERSION, MIN_VERSION};

/// A `nats-server` that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerBinary {
    /// The program.
    pub path: PathBuf,
    /// Its version, as it says itself.
    pub version: Version,
    /// How it was found.
    pub origin: Origin,
}

/// How a server was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `NATS_SERVER_BIN` names it.
    Named,
    /// It is on the `PATH`.
    SearchPath,
    /// An earlier installation in the cache.
    Cache,
    /// It has just been installed into the cache.
    Installed,
}

/// Where to look for a server.
#[derive(Debug, Clone)]
pub struct Finder {
    named: Option<PathBuf>,
    search_path: OsString,
    cache_dir: PathBuf,
}

impl Finder {
    /// Looks where the environment says: `NATS_SERVER_BIN`, `PATH`, and the [cache directory](cache_dir).
    ///
    /// # Errors
    ///
    /// When there is no place for a cache.
    pub fn from_env() -> Result<Self, ServerError> {
        Ok(Self {
            named: std::env::var_os("NATS_SERVER_BIN").filter(|value| !value.is_empty()).map(PathBuf::from),
            search_path: std::env::var_os("PATH").unwrap_or_default(),
            cache_dir: cache_dir()?,
        })
    }

    /// Looks nowhere but in `cache_dir`, and installs there.
    pub fn in_cache(cache_dir: impl Into<PathBuf>) -> Self {
        Self { named: None, search_path: OsString::new(), cache_dir: cache_dir.into() }
    }

    /// Takes the server at `path` and tries nothing else, as with `NATS_SERVER_BIN`.
    pub fn named(mut self, path: impl Into<PathBuf>) -> Self {
        self.named = Some(path.into());
        self
    }

    /// Looks in these directories (separated as in `PATH`) before the cache.
    pub fn search_path(mut self, directories: impl Into<OsString>) -> Self {
        self.search_path = directories.into();
        self
    }

    /// Finds a server of at least [`MIN_VERSION`], or installs one. Blocks; an installation takes some seconds.
    ///
    /// `progress` gets a sentence for everything that a person should know: a server that was passed over, and why; that
    /// an installation begins and where it ended.
    ///
    /// # Errors
    ///
    /// When the named server is none or too old, or when there is no server and none can be installed.
    pub fn find_or_install(&self, progress: &mut dyn FnMut(&str)) -> Result<ServerBinary, ServerError> {
        if let Some(path) = &self.named {
            return checked(path, Origin::Named);
        }
        let installed = install::installed_path(&self.cache_dir);
        let on_path = std::env::split_paths(&self.search_path).map(|directory| directory.join("nats-server"));
        let candidates = on_path
            .map(|path| (path, Origin::SearchPath))
            .chain(std::iter::once((installed.clone(), Origin::Cache)));
        for (path, origin) in candidates.filter(|(path, _)| path.is_file()) {
            match checked(&path, origin) {
                Ok(binary) => return Ok(binary),
                Err(unusable) => progress(&format!("passed over: {unusable}")),
            }
        }
        install::install(&self.cache_dir, &installed, progress)
            .map_err(|source| ServerError::Unavailable { source: Box::new(source) })?;
        progress(&format!("installed nats-server {INSTALLED_VERSION} as {}", installed.display()));
        checked(&installed, Origin::Installed)
    }
}

fn checked(path: &Path, origin: Origin) -> Result<ServerBinary, ServerError> {
    let answer = run(Command::new(path).arg("--version"))
        .map_err(|source| ServerError::NotAServer { path: path.to_owned(), source })?;
    let Some(version) = parse_version(&answer) else {
        return Err(ServerError::UnknownVersion { path: path.to_owned(), answer });
    };
    if version < MIN_VERSION {
        return Err(ServerError::TooOld { path: path.to_owned(), version });
    }
    Ok(ServerBinary { path: path.to_owned(), version, origin })
}

/// Reads `nats-server: v2.15.1`.
fn parse_version(answer: &str) -> Option<Version> {
    let version = answer.strip_prefix("nats-server: ")?.trim();
    Version::parse(version.strip_prefix('v').unwrap_or(version)).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A program that answers `--version` as a server would. It is written by another process: a file that this one has
    /// just had open for writing may still be "busy" when a thread beside this one is starting a program.
    fn fake_server(directory: &Path, answer: &str) -> PathBuf {
        let path = directory.join("nats-server");
        let script = format!("printf '#!/bin/sh\\necho \"{answer}\"\\n' > '{}'", path.display());
        run(Command::new("sh").args(["-c", &script])).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn versions_are_read_as_the_server_writes_them() {
        assert_eq!(parse_version("nats-server: v2.15.1"), Some(Version::new(2, 15, 1)));
        assert_eq!(parse_version("nats-server: 2.12.0\n"), Some(Version::new(2, 12, 0)));
        assert!(parse_version("nats-server: v2.12.0-RC.1").unwrap() < MIN_VERSION);
        assert_eq!(parse_version("something else 1.2.3"), None);
    }

    #[test]
    fn a_named_server_that_is_too_old_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = fake_server(directory.path(), "nats-server: v2.11.9");
        let error = Finder::in_cache(directory.path()).named(&path).find_or_install(&mut |_| {}).unwrap_err();
        assert!(matches!(&error, ServerError::TooOld { version, .. } if *version == Version::new(2, 11, 9)));
        assert!(error.to_string().contains("2.12.0 is the oldest that works"), "{error}");
    }

    #[test]
    fn a_named_server_that_is_missing_is_an_error() {
        let finder = Finder::in_cache("/nowhere").named("/nowhere/nats-server");
        let error = finder.find_or_install(&mut |_| {}).unwrap_err();
        assert!(matches!(error, ServerError::NotAServer { .. }), "{error}");
    }

    #[test]
    fn an_old_server_on_the_path_is_passed_over_with_a_note() {
        let (old, good, other) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fake_server(old.path(), "nats-server: v2.10.26");
        fake_server(other.path(), "no version at all");
        let expected = fake_server(good.path(), "nats-server: v2.12.4");
        let path = std::env::join_paths([old.path(), other.path(), good.path()]).unwrap();

        let mut notes = Vec::new();
        let finder = Finder::in_cache(old.path()).search_path(path);
        let found = finder.find_or_install(&mut |note| notes.push(note.to_owned())).unwrap();

        assert_eq!(
            found,
            ServerBinary { path: expected, version: Version::new(2, 12, 4), origin: Origin::SearchPath }
        );
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(
            notes[0].contains("nats-server 2.10.26") && notes[1].contains("no version at all"),
            "{notes:?}"
        );
    }
}
