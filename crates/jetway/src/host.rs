//! Serving workflows: a process that takes up steps and starts of runs.
//!
//! ```no_run
//! # use jetway::{Host, Transition, node, workflow};
//! # node! { pub struct A {}; context = (); input = u64; output = u64; |_ctx, n| { Ok(Transition::Next(n)) } }
//! # workflow! { pub struct Order { a: A } name = "order"; start = a; context = (); edges { a => {}; } }
//! # async fn example(order: Order) -> Result<(), jetway::host::HostError> {
//! Host::from_env()            // NATS_URL, NATS_CREDS, JETWAY_NAMESPACE
//!     .workflow(order)
//!     .concurrency(64)        // steps at once
//!     .build().await?         // waits for the server
//!     .run().await            // until SIGTERM, Ctrl-C, or an error that it cannot get over
//! # }
//! ```
//!
//! Any number of hosts may serve the same workflows: they share the work, and take over what one of them leaves when it
//! dies. A host needs nothing but its NATS server.
//!
//! Nodes run on the runtime that [`Host::start`] or [`Host::run`] is called on, so a node that blocks its thread holds
//! up other nodes at worst; the connection has a thread of its own.

mod builder;
mod connect;
mod facts;
mod handle;
mod identity;

pub use builder::HostBuilder;
pub use facts::HostFacts;
pub use handle::HostHandle;
pub use jetway_actors::{
    Drained, Fatal, RestartPolicy, ShutdownSignal, SystemConfig, SystemError, SystemStatus,
    shutdown_requested,
};

use crate::background::BackgroundRuntime;
use jetway_engine::{BuildError, Engine, backend::BackendError};
use jetway_state::BadName;
use std::{io, sync::Arc};

/// A process that serves workflows; connected, and about to start.
#[derive(Debug)]
pub struct Host {
    engine: Arc<Engine>,
    backend: connect::Connected,
    system: SystemConfig,
    facts: HostFacts,
    background: BackgroundRuntime,
}

impl Host {
    /// A host to be set up; with the default server and namespace.
    pub fn builder() -> HostBuilder {
        HostBuilder::new()
    }

    /// A host to be set up as the environment says: `NATS_URL` (servers, separated by commas), `NATS_CREDS` (a
    /// credentials file) and `JETWAY_NAMESPACE`. What is not set has its default.
    pub fn from_env() -> HostBuilder {
        HostBuilder::from_env()
    }

    /// What the host is connected to, and what it serves.
    pub fn facts(&self) -> &HostFacts {
        &self.facts
    }

    /// Takes up work, and goes on in the background until [`HostHandle::drain`] is called.
    ///
    /// # Errors
    /// Threads that cannot be made; a server that refuses.
    pub async fn start(self) -> Result<HostHandle, HostError> {
        HostHandle::start(self).await
    }

    /// Serves until SIGTERM or Ctrl-C; then takes nothing new, finishes what is in flight as long as it is allowed to,
    /// and gives back the rest. A second signal ends the process at once.
    ///
    /// # Errors
    /// What [`start`](Self::start) fails with, and [`HostError::Fatal`] where the host could not go on. Return it from
    /// `main`, so that the process ends with an exit code that makes a service manager start it again.
    pub async fn run(self) -> Result<(), HostError> {
        let handle = self.start().await?;
        let ended = tokio::select! {
            signal = shutdown_requested() => signal.map_err(HostError::Signals).inspect(|signal| {
                tracing::info!(%signal, within = ?handle.drain_within(), "stopping: no new work is taken");
            }),
            fatal = handle.fatal() => Err(HostError::Fatal(fatal)),
        };
        let drained = tokio::select! {
            drained = handle.drain() => drained,
            // Whoever asks twice does not want to wait.
            Ok(signal) = shutdown_requested() => {
                tracing::warn!(%signal, "stopped at once: unfinished steps are taken up again when their leases end");
                return ended.map(|_signal| ());
            }
        };
        tracing::info!(
            finished = drained.finished,
            nacked = drained.nacked,
            abandoned = drained.abandoned,
            "stopped"
        );
        ended.map(|_signal| ())
    }
}

/// What keeps a host from serving.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The server refuses, or is not what Jetway needs.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The namespace is not a name.
    #[error(transparent)]
    Namespace(#[from] BadName),
    /// The workflows are not what a host can serve.
    #[error(transparent)]
    Workflows(#[from] BuildError),
    /// The settings are not what a host can keep to.
    #[error(transparent)]
    System(#[from] SystemError),
    /// The thread of the connection cannot be made.
    #[error("the thread of the connection cannot be made")]
    Runtime(#[source] io::Error),
    /// The operating system does not tell when the process is asked to end.
    #[error("signals cannot be listened to")]
    Signals(#[source] io::Error),
    /// The host could not go on: a part of it failed again and again.
    #[error("the host cannot go on: {0}")]
    Fatal(Fatal),
}
