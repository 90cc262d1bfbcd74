//! Why the verifier cannot run. A violation is no error.

use jetway::{client::ClientError, host::HostError};
use jetway_engine::backend::BackendError;
use jetway_server::ServerError;
use std::io;

/// Why the verifier cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No nats-server can be started or controlled.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A host process does not start.
    #[error("{0}")]
    Host(String),
    /// The clocks of hosts cannot be set.
    #[error("no libfaketime, which the phase {0} needs: {hint}", hint = jetway_testing::FakeTime::HINT)]
    NoFakeTime(&'static str),
    /// This process cannot be a host.
    #[error(transparent)]
    Serve(#[from] HostError),
    /// A request of the client failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A request to the server failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A call of the operating system failed.
    #[error("cannot {what}")]
    Io {
        /// The operation.
        what: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
