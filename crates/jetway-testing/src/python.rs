//! Python interpreters with packages, for tests that talk to Jetway from another language.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use data_encoding::HEXLOWER;
use jetway_server::cache::{CacheError, cache_dir, staging_dir};
use jetway_server::command::{CommandError, isolated_python, run};
use sha2::{Digest, Sha256};

/// The variable that names an interpreter which has the packages already.
const INTERPRETER: &str = "JETWAY_TEST_PYTHON";

/// There is no Python interpreter with the packages.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// There is no Python 3, or it cannot make an environment with the packages.
    #[error("no Python environment with {packages}: {source}")]
    Environment {
        /// What was to be installed.
        packages: String,
        /// The step that failed.
        source: CommandError,
    },
    /// The interpreter that `JETWAY_TEST_PYTHON` names lacks a package, or is no interpreter.
    #[error("JETWAY_TEST_PYTHON names `{python}`, which has not all of {packages}: {source}")]
    Named {
        /// The interpreter.
        python: PathBuf,
        /// What it should have.
        packages: String,
        /// What happened on asking it.
        source: CommandError,
    },
    /// The environment cannot be kept.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The task that makes the environment was broken off, because the runtime is shutting down or the task panicked.
    #[error("making a Python environment was broken off: {0}")]
    BrokenOff(io::Error),
}

/// The path of a Python 3 interpreter that can import `packages` (as pip names them, with or without a version:
/// `nats-py`, `nats-py==2.11.0`).
///
/// It is the one that `JETWAY_TEST_PYTHON` names, if set. Else a virtual environment is made in the [cache
/// directory](cache_dir), once for each set of packages and each Python; any number of callers and processes may ask for
/// it at the same time. Takes some seconds the first time.
///
/// # Errors
///
/// When there is no `python3` with `venv` and pip, when pip cannot get a package, or when the named interpreter lacks one.
pub async fn python_with(packages: &[&str]) -> Result<PathBuf, PythonError> {
    let packages: Vec<String> = packages.iter().map(|package| (*package).to_owned()).collect();
    let task = tokio::task::spawn_blocking(move || {
        match std::env::var_os(INTERPRETER).filter(|value| !value.is_empty()) {
            Some(python) => named(python.into(), &packages),
            None => environment(&cache_dir()?, &packages),
        }
    });
    task.await.map_err(|stopped| PythonError::BrokenOff(io::Error::other(stopped)))?
}

/// The interpreter at `python`, after it was asked for the packages.
fn named(python: PathBuf, packages: &[String]) -> Result<PathBuf, PythonError> {
    let script = "import importlib.metadata as m, sys; [m.version(name) for name in sys.argv[1:]]";
    let names = packages.iter().map(|package| distribution(package));
    match run(Command::new(&python).args(["-c", script]).args(names)) {
        Ok(_) => Ok(python),
        Err(source) => Err(PythonError::Named { python, packages: packages.join(", "), source }),
    }
}

/// The name in a requirement such as `nats-py[nkeys]>=2.11`.
fn distribution(requirement: &str) -> &str {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let end = requirement.find(|c| !is_name(c)).unwrap_or(requirement.len());
    &requirement[..end]
}

/// The interpreter of the environment with exactly these packages in `cache`.
fn environment(cache: &Path, packages: &[String]) -> Result<PathBuf, PythonError> {
    let failed = |source| PythonError::Environment { packages: packages.join(", "), source };
    // An environment belongs to the interpreter that made it, so another Python gets another one.
    let script = "import sys; print(sys.version, sys.base_prefix)";
    let staging = staging_dir(cache)?;
    let host = run(isolated_python(staging.path()).args(["-c", script])).map_err(failed)?;
    let directory = cache.join(format!("python-{}", digest(&host, packages)));
    let python = directory.join("bin/python");
    if run(Command::new(&python).args(["-c", ""])).is_ok() {
        return Ok(python);
    }
    let staged = staging.path().join("venv");
    fill(staging.path(), &staged, packages).map_err(failed)?;
    publish_dir(&staged, &directory)?;
    run(Command::new(&python).args(["-c", ""])).map_err(failed)?;
    Ok(python)
}

/// Makes an environment at `directory` and installs the packages into it.
///
/// It has no pip of its own: the host's pip installs by `--target`. That is quicker, works where Python comes without
/// `ensurepip`, and leaves no script with a path in it that moving the environment would break.
fn fill(staging: &Path, directory: &Path, packages: &[String]) -> Result<(), CommandError> {
    run(isolated_python(staging).args(["-m", "venv", "--without-pip"]).arg(directory))?;
    if packages.is_empty() {
        return Ok(());
    }
    let script = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let site_packages = run(Command::new(directory.join("bin/python")).args(["-c", script]))?;
    run(isolated_python(staging)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--target"])
        .arg(site_packages)
        .args(packages))?;
    Ok(())
}

/// Moves the complete directory `staged` to `target`. Another process may do the same at the same time: the first one
/// wins, and both succeed.
fn publish_dir(staged: &Path, target: &Path) -> Result<(), CacheError> {
    match std::fs::rename(staged, target) {
        // A directory replaces an empty one only, so a failure with the target in place means that it is complete.
        Err(_) if target.is_dir() => Ok(()),
        Err(source) => Err(CacheError::Write { path: target.to_owned(), source }),
        Ok(()) => Ok(()),
    }
}

fn digest(host: &str, packages: &[String]) -> String {
    let mut packages = packages.to_vec();
    packages.sort_unstable();
    packages.dedup();
    let hash = HEXLOWER.encode(&Sha256::digest(format!("{host}\n{}", packages.join("\n"))));
    hash.chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(packages: &[&str]) -> Vec<String> {
        packages.iter().map(|package| (*package).to_owned()).collect()
    }

    #[test]
    fn the_name_of_a_requirement_is_what_precedes_the_version() {
        for requirement in
            ["nats-py", "nats-py==2.11.0", "nats-py[nkeys]>=2", "nats-py ; python_version > '3'"]
        {
            assert_eq!(distribution(requirement), "nats-py");
        }
    }

    #[test]
    fn an_environment_is_named_after_its_packages_and_python() {
        let packages = owned(&["a", "b"]);
        assert_eq!(digest("3.12", &packages), digest("3.12", &owned(&["b", "a", "a"])));
        assert_ne!(digest("3.12", &packages), digest("3.13", &packages));
        assert_ne!(digest("3.12", &packages), digest("3.12", &owned(&["a"])));
    }

    #[test]
    fn a_named_interpreter_without_the_package_is_an_error() {
        let error = named("python3".into(), &owned(&["jetway-no-such-package"])).unwrap_err();
        assert!(matches!(error, PythonError::Named { .. }), "{error}");
        assert!(error.to_string().contains("jetway-no-such-package"), "{error}");
    }

    #[test]
    fn concurrent_callers_get_one_environment() {
        let cache = tempfile::tempdir().unwrap();
        let paths = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..3).map(|_| scope.spawn(|| environment(cache.path(), &[]))).collect();
            callers.into_iter().map(|caller| caller.join().unwrap().unwrap()).collect::<Vec<_>>()
        });
        assert!(paths.iter().all(|path| *path == paths[0]), "{paths:?}");
        assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 1, "no staging directory is left");
    }

    #[test]
    fn the_first_of_two_publishers_wins_and_both_succeed() {
        let cache = tempfile::tempdir().unwrap();
        let target = cache.path().join("thing");
        for content in ["first", "second"] {
            let staging = staging_dir(cache.path()).unwrap();
            let staged = staging.path().join("thing");
            std::fs::create_dir(&staged).unwrap();
            std::fs::write(staged.join("file"), content).unwrap();
            publish_dir(&staged, &target).unwrap();
        }
        assert_eq!(std::fs::read_to_string(target.join("file")).unwrap(), "first");
        assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 1, "no staging directory is left");
    }

    #[test]
    fn a_target_that_cannot_be_made_is_an_error() {
        let cache = tempfile::tempdir().unwrap();
        let error = publish_dir(&cache.path().join("missing"), &cache.path().join("target")).unwrap_err();
        assert!(error.to_string().contains("JETWAY_CACHE_DIR"), "{error}");
    }
}
