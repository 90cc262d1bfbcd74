//! A host: a process that runs the steps of workflows.
//!
//! ```no_run
//! # use jetway::{Host, Transition, node, workflow};
//! # node! { pub struct A {}; context = (); input = u64; output = u64; |_ctx, n| { Ok(Transition::Next(n)) } }
//! # workflow! { pub struct Order { a: A } name = "order"; start = a; context = (); edges { a => {}; } }
//! # async fn example(order: Order) -> Result<(), jetway::host::HostError> {
//! Host::from_env()            // NATS_URL, NATS_CREDS, JETWAY_NAMESPACE and more
//!     .workflow(order)
//!     .concurrency(64)        // concurrent steps per workflow
//!     .build().await?         // waits for the server
//!     .run().await            // until SIGTERM, Ctrl-C, or an unrecoverable error
//! # }
//! ```
//!
//! Any number of hosts may serve the same workflows. They share the work, and take over the steps of a host that crashes.
//! A host needs only its NATS server.
//!
//! Nodes run on the runtime that calls [`Host::start`] or [`Host::run`]. The connection has threads of its own, so a node
//! that blocks its thread can delay other nodes but not the connection.

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
pub use jetway_engine::EngineConfig;
pub use jetway_state::run::Limits;

use crate::{
    background::{BackgroundRuntime, BoxFuture},
    nats::EnvironmentError,
};
use jetway_engine::{BuildError, Engine, backend::BackendError};
use std::{io, pin::pin, sync::Arc};

/// A host that is connected to its server and not started yet.
#[derive(Debug)]
pub struct Host {
    engine: Arc<Engine>,
    backend: connect::Connected,
    system: SystemConfig,
    facts: HostFacts,
    background: BackgroundRuntime,
}

impl Host {
    /// Configures a host, with the default server and namespace.
    pub fn builder() -> HostBuilder {
        HostBuilder::new()
    }

    /// Configures a host from the environment: `NATS_URL` (server addresses, separated by commas), the login and the TLS
    /// files in the variables of the `nats` command, and `JETWAY_NAMESPACE`. Unset variables keep their defaults. See
    /// [`config_from_env`](crate::nats::config_from_env).
    pub fn from_env() -> HostBuilder {
        HostBuilder::from_env()
    }

    /// The host's connection and workflows.
    pub fn facts(&self) -> &HostFacts {
        &self.facts
    }

    /// Starts the host. It runs in the background until [`HostHandle::drain`] is called.
    ///
    /// # Errors
    /// A thread cannot be started, or the server rejects a request.
    pub async fn start(self) -> Result<HostHandle, HostError> {
        HostHandle::start(self).await
    }

    /// Runs until SIGTERM or Ctrl-C. Then it accepts no new work, waits for running steps up to the drain limit, and gives
    /// back the rest to other hosts. After a second signal it returns at once.
    ///
    /// # Errors
    /// The errors of [`start`](Self::start), and [`HostError::Fatal`] if a part of the host fails for good. Return the
    /// error from `main`: the process then ends with an exit code that makes a service manager restart it.
    pub async fn run(self) -> Result<(), HostError> {
        self.run_boxed().await
    }

    /// Boxed, so that it is compiled in this crate and not wherever it is awaited.
    fn run_boxed(self) -> BoxFuture<'static, Result<(), HostError>> {
        Box::pin(self.run_until_asked())
    }

    async fn run_until_asked(self) -> Result<(), HostError> {
        let mut requested = pin!(shutdown_requested());
        // This listens from now on. A host that is asked to stop while it starts, or just after that, gives its work back too.
        tokio::select! {
            biased;
            early = &mut requested => return early.map(|_signal| ()).map_err(HostError::Signals),
            () = std::future::ready(()) => {}
        }
        let handle = self.start().await?;
        let ended = tokio::select! {
            signal = &mut requested => signal.map_err(HostError::Signals).inspect(|signal| {
                tracing::info!(%signal, within = ?handle.drain_within(), "stopping: accepting no new work");
            }),
            fatal = handle.fatal() => Err(HostError::Fatal(fatal)),
        };
        let drained = tokio::select! {
            drained = handle.drain() => drained,
            // A second signal means: do not wait.
            Ok(signal) = shutdown_requested() => {
                tracing::warn!(%signal, "stopped without draining: unfinished steps run again when their leases expire");
                return ended.map(|_signal| ());
            }
        };
        let Drained { finished, nacked, abandoned, .. } = drained;
        tracing::info!(
            "stopped: of the messages in flight, {finished} finished, {nacked} given back, {abandoned} abandoned"
        );
        ended.map(|_signal| ())
    }
}

/// Why a host cannot start or continue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The server rejects a request, or does not meet the requirements of Jetway.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The namespace, or a setting of the connection in the environment, is invalid.
    #[error(transparent)]
    Settings(#[from] EnvironmentError),
    /// A host cannot serve these workflows.
    #[error(transparent)]
    Workflows(#[from] BuildError),
    /// The settings are invalid.
    #[error(transparent)]
    System(#[from] SystemError),
    /// The threads of the connection cannot be started.
    #[error("cannot start the threads of the connection")]
    Runtime(#[source] io::Error),
    /// Signal handlers cannot be installed.
    #[error("cannot listen for SIGTERM and SIGINT")]
    Signals(#[source] io::Error),
    /// A part of the host failed repeatedly.
    #[error("the host failed: {0}")]
    Fatal(Fatal),
}
