//! Errors of the client.

use jetway_engine::backend::{ApiError, BackendError};
use jetway_nats::{BUSY, NO_HOST};
use jetway_state::{BadName, RunKey};
use std::time::Duration;

/// Why a call of a [`Client`](super::Client) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The NATS server does not answer, or it rejects the request.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// No host is running.
    #[error("{message}: start a host, for example `jetway host`")]
    NoHost {
        /// What was requested.
        message: String,
    },
    /// No such run or workflow.
    #[error("{message}")]
    NotFound {
        /// The message of the host.
        message: String,
    },
    /// The host rejects the request: an invalid input, or a run id that is in use.
    #[error("{message}")]
    Refused {
        /// As in HTTP: 400 for an invalid request, 409 for a conflict.
        code: u16,
        /// The message of the host.
        message: String,
    },
    /// The host cannot process the request now. The same call may succeed later.
    #[error("{message}")]
    Unavailable {
        /// The message of the host.
        message: String,
    },
    /// The run did not end in time.
    #[error("run {run} {}", not_ended(*waited))]
    TimedOut {
        /// The run.
        run: RunKey,
        /// How long the client waited.
        waited: Duration,
    },
    /// Invalid name of a workflow or run.
    #[error(transparent)]
    BadName(#[from] BadName),
    /// The input cannot be encoded as JSON.
    #[error("cannot encode the input as JSON: {0}")]
    Input(#[source] serde_json::Error),
    /// The payload of a signal cannot be encoded as JSON.
    #[error("cannot encode the payload of the signal as JSON: {0}")]
    Payload(#[source] serde_json::Error),
    /// A value in the record of the run cannot be decoded.
    #[error(transparent)]
    Value(jetway_state::Error),
    /// The record of the run cannot be decoded.
    #[error(transparent)]
    Record(BackendError),
    /// The answer has an unexpected format. The host may be of another version.
    #[error("cannot decode {what}: {source}; the host may be of another version")]
    Answer {
        /// What was decoded.
        what: &'static str,
        /// The error of the decoder.
        source: serde_json::Error,
    },
}

/// What a wait that was too short says. The time is rounded to what people read.
fn not_ended(waited: Duration) -> String {
    if waited.is_zero() {
        return "has not ended".to_owned();
    }
    let rounded = match waited.as_millis() {
        0..1000 => Duration::from_millis(u64::from(waited.subsec_millis()).max(1)),
        _ => {
            Duration::from_secs(waited.as_secs())
                + Duration::from_millis(u64::from(waited.subsec_millis() / 100 * 100))
        }
    };
    format!("did not end within {rounded:?}")
}

impl ClientError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Backend(error) => error.is_retryable(),
            Self::NoHost { .. } | Self::Unavailable { .. } | Self::TimedOut { .. } => true,
            Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::BadName(_)
            | Self::Input(_)
            | Self::Payload(_)
            | Self::Record(_)
            | Self::Value(_)
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
    fn a_time_is_rounded() {
        assert_eq!(not_ended(Duration::ZERO), "has not ended");
        assert_eq!(not_ended(Duration::from_nanos(1_448_554)), "did not end within 1ms");
        assert_eq!(not_ended(Duration::from_nanos(30_123_456_789)), "did not end within 30.1s");
    }

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
