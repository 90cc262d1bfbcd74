//! A real `nats-server` under test control.
//!
//! Jetway is tested against the server it runs on, never against a stand-in. This crate finds a `nats-server` (or
//! installs one into a cache of its own), starts it on a free port of the loopback interface with the project's
//! `nats.conf`, and can kill, pause, stop and restart it on its store. It is a normal library: use it for the tests of
//! your own workflows too.
//!
//! ```no_run
//! use std::time::Duration;
//! use jetway_testing::{NatsServer, shared_server, unique_namespace, wait_until};
//!
//! # async fn example() -> Result<(), jetway_testing::ServerError> {
//! // One server for the whole test process; every test keeps to a namespace of its own.
//! let url = shared_server().await.url();
//! let namespace = unique_namespace("orders");
//!
//! // A server of its own for a test that breaks it.
//! let mut server = NatsServer::start().await?;
//! server.kill().await?;
//! server.restart().await?;
//!
//! // No sleeping: a condition and a deadline.
//! wait_until("the order is shipped", Duration::from_secs(10), async || true).await;
//! # Ok(())
//! # }
//! ```
//!
//! # No server outlives its owner
//!
//! A server ends when its [`NatsServer`] is dropped, and also when the process that started it ends in any way,
//! `kill -9` included. See [`server`] for how.
//!
//! # Environment
//!
//! | variable | meaning |
//! |---|---|
//! | `NATS_SERVER_BIN` | the `nats-server` to use; nothing else is tried |
//! | `JETWAY_CACHE_DIR` | where a server and Python environments are installed; else `$XDG_CACHE_HOME/jetway`, else `~/.cache/jetway` |
//! | `JETWAY_TEST_PYTHON` | the Python interpreter that [`python_with`] returns instead of making an environment |
//!
//! Linux and macOS are supported.

mod cache;
mod command;
#[cfg(feature = "conformance")]
pub mod conformance;
mod namespace;
mod proxy;
mod python;
mod resident;
pub mod server;
mod wait;

pub use cache::{CacheError, cache_dir};
pub use command::CommandError;
pub use namespace::unique_namespace;
pub use proxy::Proxy;
pub use python::{PythonError, python_with};
pub use resident::resident_bytes;
pub use server::{NatsServer, NatsServerBuilder, ServerError, shared_server};
pub use wait::{Finding, WaitError, try_wait_until, wait_until};
