//! What goes wrong between a client and the hosts.

use jetway_core::{BadName, RunKey, backend::BackendError, codec::EnvelopeError};
use std::time::Duration;

/// What goes wrong between a client and the hosts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server is out of reach, or refuses.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// No host is up. The start message is kept for the first that comes.
    #[error("no host is up: run {run} starts when one is")]
    NoHost {
        /// The run that will be.
        run: RunKey,
    },
    /// No host has made the run yet. The start message is kept, unless a host has refused it.
    #[error(
        "no host has made run {run} yet: it is busy, or it refused the input; its log and the dead letters tell"
    )]
    Unconfirmed {
        /// The run.
        run: RunKey,
    },
    /// There is no such run or workflow.
    #[error("{message}")]
    NotFound {
        /// The host's own words.
        message: String,
    },
    /// The run had not ended when the time was up.
    #[error("run {run} had not ended after {waited:?}")]
    TimedOut {
        /// The run.
        run: RunKey,
        /// How long was waited.
        waited: Duration,
    },
    /// A name that cannot be one.
    #[error(transparent)]
    BadName(#[from] BadName),
    /// The input cannot be written as JSON.
    #[error("the input cannot be written as JSON: {0}")]
    Input(#[source] serde_json::Error),
    /// The run's record cannot be read.
    #[error(transparent)]
    Record(EnvelopeError),
    /// The answer is not what was expected: the host is of another version.
    #[error("{what} cannot be read: {source}")]
    Answer {
        /// What was read.
        what: &'static str,
        /// The codec's own words.
        source: serde_json::Error,
    },
}

impl ClientError {
    /// Whether the same call may succeed later without a change.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Backend(error) => error.is_retryable(),
            Self::NoHost { .. } | Self::Unconfirmed { .. } | Self::TimedOut { .. } => true,
            Self::NotFound { .. }
            | Self::BadName(_)
            | Self::Input(_)
            | Self::Record(_)
            | Self::Answer { .. } => false,
        }
    }
}
