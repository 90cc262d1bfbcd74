//! Test support: a real `nats-server` under the control of a test, a bad network, wrong clocks, Python, and the conformance suite.
//!
//! Jetway is tested against the server it runs on, never against a stand-in. This is a normal library: use it for the
//! tests of your own workflows too. The server itself is that of [`jetway_server`], whose names are exported here as well.
//!
//! ```no_run
//! use std::time::Duration;
//! use jetway_testing::{NatsServer, shared_server, unique_namespace, wait_until};
//!
//! # async fn example() -> Result<(), jetway_testing::ServerError> {
//! // One server for the whole test process; every test has its own namespace.
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
//! # Environment
//!
//! | variable | meaning |
//! |---|---|
//! | `NATS_SERVER_BIN`, `JETWAY_CACHE_DIR` | see [`jetway_server`] |
//! | `JETWAY_TEST_FAKETIME` | the library that [`FakeTime::find`] finds first |
//! | `JETWAY_TEST_JAEGER`, `JETWAY_TEST_NATS` | the programs that [`GoTool::find`] finds first |
//! | `JETWAY_TEST_PYTHON` | the Python interpreter that [`python_with`] returns instead of making an environment |
//!
//! Linux and macOS are supported.

#[cfg(feature = "clock")]
mod clock;
mod cluster;
#[cfg(feature = "conformance")]
pub mod conformance;
mod faketime;
mod go_tool;
#[cfg(feature = "interceptor")]
pub mod interceptor;
mod namespace;
mod proxy;
mod python;
mod resident;
mod shared;
mod wait;

#[cfg(feature = "clock")]
pub use clock::TestClock;
pub use cluster::NatsCluster;
pub use faketime::FakeTime;
pub use go_tool::{GoTool, GoToolError};
pub use jetway_server::{
    Finding, NATS_CONF, NatsServer, NatsServerBuilder, ServerError, WaitError, try_wait_until,
};
pub use namespace::unique_namespace;
pub use proxy::Proxy;
pub use python::{PythonError, python_with};
pub use resident::resident_bytes;
pub use shared::{conf_for_many_namespaces, shared_server};
pub use wait::wait_until;
