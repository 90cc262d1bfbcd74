//! What goes wrong between a client and the hosts.

use jetway_engine::backend::{ApiError, BackendError};
use jetway_nats::{BUSY, NO_HOST};
use jetway_state::{BadName, RunKey};
use std::time::Duration;

/// What goes wrong between a client and the hosts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server is out of reach, or refuses.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// No host is up.
    #[error("{message}: start one, such as `jetway host`")]
    NoHost {
        /// What was asked.
        message: String,
    },
    /// There is no such run or workflow.
    #[error("{message}")]
    NotFound {
        /// The host's own words.
        message: String,
    },
    /// The host refuses: a bad input, a run id that is taken.
    #[error("{message}")]
    Refused {
        /// In the manner of HTTP: 400 bad request, 409 conflict.
        code: u16,
        /// The host's own words.
        message: String,
    },
    /// The host, or what it needs, is out of order now. The same call may succeed later.
    #[error("{message}")]
    Unavailable {
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
    Record(BackendError),
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
            Self::NoHost { .. } | Self::Unavailable { .. } | Self::TimedOut { .. } => true,
            Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::BadName(_)
            | Self::Input(_)
            | Self::Record(_)
            | Self::Answer { .. } => false,
        }
    }
}

impl From<ApiError> for ClientError {
    fn from(ApiError { code, message }: ApiError) -> Self {
        match code {
            NO_HOST => Self::NoHost { message },
            BUSY => Self::Unavailable { message },
            404 => Self::NotFound { message },
            400..500 => Self::Refused { code, message },
            _ => Self::Unavailable { message },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_codes_become_kinds() {
        let kind = |code| ClientError::from(ApiError::new(code, "x"));
        assert!(matches!(kind(404), ClientError::NotFound { .. }));
        assert!(matches!(kind(409), ClientError::Refused { code: 409, .. }));
        assert!(matches!(kind(503), ClientError::Unavailable { .. }));
        assert!(matches!(kind(BUSY), ClientError::Unavailable { .. }));
        assert!(matches!(kind(NO_HOST), ClientError::NoHost { .. }));
    }
}
