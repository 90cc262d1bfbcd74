//! What the server answers, as errors of the backend.

use async_nats::jetstream::{
    self, ErrorCode,
    context::{PublishError, PublishErrorKind, RequestError, RequestErrorKind},
    response::Response,
};
use jetway_engine::backend::{BackendError, BackendErrorKind};

/// A request that came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// The server refused it, with a code.
    #[error("{0}")]
    Refused(jetstream::Error),
    /// Nobody listens: no stream, no consumer, or no JetStream (any more, or not yet).
    #[error("the server has no such stream or consumer, or its JetStream is not running")]
    Nobody,
    /// No answer, or one that cannot be read.
    #[error("{0}")]
    NoAnswer(String),
}

impl Failure {
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(error) => Some(error.error_code()),
            Self::Nobody | Self::NoAnswer(_) => None,
        }
    }

    /// Whether what was asked for is not there: a stream, a consumer, a message.
    pub(crate) fn is_absent(&self) -> bool {
        self.code().is_some_and(|code| {
            [ErrorCode::STREAM_NOT_FOUND, ErrorCode::CONSUMER_NOT_FOUND, ErrorCode::NO_MESSAGE_FOUND]
                .contains(&code)
        })
    }

    /// The error of a backend. `what` says what was tried, in words that "cannot" goes before: `read run a/b`.
    pub(crate) fn cannot(self, what: impl std::fmt::Display) -> BackendError {
        let kind = match &self {
            Self::Refused(error) => kind(error),
            Self::Nobody | Self::NoAnswer(_) => BackendErrorKind::Unavailable,
        };
        BackendError::new(kind, format!("cannot {what}")).caused_by(self)
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        match error.kind() {
            RequestErrorKind::NoResponders => Self::Nobody,
            RequestErrorKind::TimedOut => Self::NoAnswer("the server did not answer in time".to_owned()),
            RequestErrorKind::InvalidSubject | RequestErrorKind::Other => Self::NoAnswer(error.to_string()),
        }
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let refusal =
            std::error::Error::source(&error).and_then(|source| source.downcast_ref::<jetstream::Error>());
        match (refusal, error.kind()) {
            (Some(refusal), _) => Self::Refused(refusal.clone()),
            (None, PublishErrorKind::StreamNotFound) => Self::Nobody,
            (None, _) => Self::NoAnswer(error.to_string()),
        }
    }
}

/// Takes the value out of a response.
pub(crate) fn value<T>(response: Result<Response<T>, RequestError>) -> Result<T, Failure> {
    match response? {
        Response::Ok(value) => Ok(value),
        Response::Err { error } => Err(Failure::Refused(error)),
    }
}

/// What the caller acts on.
pub(crate) fn kind(error: &jetstream::Error) -> BackendErrorKind {
    match error.error_code() {
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE => BackendErrorKind::Conflict,
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => {
            BackendErrorKind::TooLarge
        }
        ErrorCode::STREAM_NOT_FOUND
        | ErrorCode::CONSUMER_NOT_FOUND
        | ErrorCode::STREAM_INVALID_CONFIG
        | ErrorCode::STREAM_NAME_EXIST
        | ErrorCode::STREAM_SUBJECT_OVERLAP
        | ErrorCode::JETSTREAM_NOT_ENABLED
        | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT
        | ErrorCode::MESSAGE_TTL_DISABLED
        | ErrorCode::ATOMIC_PUBLISH_DISABLED
        | ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => BackendErrorKind::Misconfigured,
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => BackendErrorKind::Unavailable,
        _ if no_room(error) => BackendErrorKind::NoRoom,
        _ if error.code() >= 500 || error.code() == 429 => BackendErrorKind::Unavailable,
        _ => BackendErrorKind::Refused,
    }
}

/// Whether a limit of the stream, the account or the server is reached. Waiting does not help by itself: somebody has to
/// make room.
pub(crate) fn no_room(error: &jetstream::Error) -> bool {
    matches!(
        error.error_code(),
        ErrorCode::STREAM_STORE_FAILED
            | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::STORAGE_RESOURCES_EXCEEDED
            | ErrorCode::MEMORY_RESOURCES_EXCEEDED
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u64, http: u64) -> jetstream::Error {
        serde_json::from_str(&format!(r#"{{"code":{http},"err_code":{code},"description":"d"}}"#)).unwrap()
    }

    #[test]
    fn codes_become_kinds() {
        let expected = [
            (10071, 400, BackendErrorKind::Conflict),
            (10164, 400, BackendErrorKind::Unavailable),
            (10054, 400, BackendErrorKind::TooLarge),
            (10077, 503, BackendErrorKind::NoRoom),
            (10002, 400, BackendErrorKind::NoRoom),
            (10008, 503, BackendErrorKind::Unavailable),
            (10210, 429, BackendErrorKind::Unavailable),
            (10059, 404, BackendErrorKind::Misconfigured),
            (10111, 400, BackendErrorKind::Refused),
        ];
        for (code, http, kind_of) in expected {
            assert_eq!(kind(&refused(code, http)), kind_of, "{code}");
        }
    }

    #[test]
    fn what_is_absent_is_told_from_what_is_out_of_reach() {
        assert!(Failure::Refused(refused(10037, 404)).is_absent());
        assert!(!Failure::Nobody.is_absent());
        let error = Failure::Refused(refused(10037, 404)).cannot("read run a/b");
        assert_eq!(error.to_string(), "cannot read run a/b: d (code 404, error code 10037)");
    }
}
