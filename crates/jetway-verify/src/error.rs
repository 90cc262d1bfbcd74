//! What keeps the verifier from verifying. A promise that is found broken is none of these.

use jetway::{client::ClientError, host::HostError};
use jetway_engine::backend::BackendError;
use jetway_server::ServerError;
use std::io;

/// What keeps the verifier from verifying.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no nats-server.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A host process does not start.
    #[error("{0}")]
    Host(String),
    /// This process cannot be a host.
    #[error(transparent)]
    Serve(#[from] HostError),
    /// The client cannot ask.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The server cannot be asked.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The operating system refuses.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
