//! Failed requests, and the backend errors that they become.

use async_nats::jetstream::{
    self, ErrorCode,
    context::{PublishError, PublishErrorKind, RequestError, RequestErrorKind},
};
use jetway_engine::backend::{BackendError, BackendErrorKind};

/// A request that failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// The server replied with an error.
    #[error("{0}")]
    Refused(jetstream::Error),
    /// The subject has no subscriber: there is no such stream or consumer, or JetStream is not running.
    #[error("the server has no such stream or consumer, or its JetStream is not running")]
    NoResponders,
    /// This user may not send the request, or not receive the reply.
    #[error("{0}")]
    NotPermitted(String),
    /// There was no reply, or it cannot be read.
    #[error("{0}")]
    NoAnswer(String),
    /// A server answered that is behind the others.
    #[error(
        "the server that answers for stream {stream} has only sequences up to {latest}, and {seen} was written: it may have \
         been cut off, and not know yet that another one leads"
    )]
    TooOld {
        /// The stream.
        stream: String,
        /// The highest sequence that the server has.
        latest: u64,
        /// A sequence that is known to be written.
        seen: u64,
    },
}

impl Failure {
    /// The server's error code.
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(error) => Some(error.error_code()),
            Self::NoResponders | Self::NotPermitted(_) | Self::NoAnswer(_) | Self::TooOld { .. } => None,
        }
    }

    /// Whether the stream, consumer or message of the request does not exist.
    pub(crate) fn is_absent(&self) -> bool {
        self.code().is_some_and(|code| {
            [ErrorCode::STREAM_NOT_FOUND, ErrorCode::CONSUMER_NOT_FOUND, ErrorCode::NO_MESSAGE_FOUND]
                .contains(&code)
        })
    }

    /// Whether a stream may be missing.
    pub(crate) fn is_of_missing(&self) -> bool {
        matches!(self, Self::NoResponders) || self.code() == Some(ErrorCode::STREAM_NOT_FOUND)
    }

    /// The kind of the backend error.
    pub(crate) fn kind(&self) -> BackendErrorKind {
        match self {
            Self::Refused(error) => kind_of(error),
            Self::NotPermitted(_) => BackendErrorKind::Refused,
            Self::NoResponders | Self::NoAnswer(_) => BackendErrorKind::Unavailable,
            Self::TooOld { .. } => BackendErrorKind::Behind,
        }
    }

    /// The backend error `cannot <action>`, where `action` names the object: `read run a/b`.
    pub(crate) fn cannot(self, action: impl std::fmt::Display) -> BackendError {
        BackendError::new(self.kind(), format!("cannot {action}")).caused_by(self)
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        match error.kind() {
            RequestErrorKind::NoResponders => Self::NoResponders,
            RequestErrorKind::TimedOut => Self::NoAnswer("the server did not reply in time".to_owned()),
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
            (None, PublishErrorKind::StreamNotFound) => Self::NoResponders,
            (None, _) => Self::NoAnswer(error.to_string()),
        }
    }
}

/// The kind of the backend error for an error of the server.
pub(crate) fn kind_of(error: &jetstream::Error) -> BackendErrorKind {
    match error.error_code() {
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE => BackendErrorKind::Conflict,
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => {
            BackendErrorKind::TooLarge
        }
        // What disappears is made again, see `upkeep`.
        ErrorCode::STREAM_NOT_FOUND | ErrorCode::CONSUMER_NOT_FOUND => BackendErrorKind::Unavailable,
        ErrorCode::STREAM_INVALID_CONFIG
        | ErrorCode::STREAM_NAME_EXIST
        | ErrorCode::STREAM_SUBJECT_OVERLAP
        | ErrorCode::JETSTREAM_NOT_ENABLED
        | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT
        | ErrorCode::MESSAGE_TTL_DISABLED
        | ErrorCode::ATOMIC_PUBLISH_DISABLED
        | ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => BackendErrorKind::Misconfigured,
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => BackendErrorKind::Unavailable,
        _ if is_out_of_room(error) => BackendErrorKind::NoRoom,
        _ if error.code() >= 500 || error.code() == 429 => BackendErrorKind::Unavailable,
        _ => BackendErrorKind::Refused,
    }
}

/// Whether a limit of the stream, the account or the server is reached. An operator has to raise it or remove data.
pub(crate) fn is_out_of_room(error: &jetstream::Error) -> bool {
    matches!(
        error.error_code(),
        ErrorCode::STREAM_STORE_FAILED
            | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::STORAGE_RESOURCES_EXCEEDED
            | ErrorCode::MEMORY_RESOURCES_EXCEEDED
    )
}

/// Whether nothing answers, so that a loop over many objects has to end. Other errors concern one object.
pub(crate) fn is_unreachable(error: &BackendError) -> bool {
    matches!(error.kind(), BackendErrorKind::Unavailable | BackendErrorKind::Closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u64, http: u64) -> jetstream::Error {
        serde_json::from_str(&format!(r#"{{"code":{http},"err_code":{code},"description":"d"}}"#)).unwrap()
    }

    #[test]
    fn error_codes_map_to_kinds() {
        let expected = [
            (10071, 400, BackendErrorKind::Conflict),
            (10164, 400, BackendErrorKind::Unavailable),
            (10054, 400, BackendErrorKind::TooLarge),
            (10077, 503, BackendErrorKind::NoRoom),
            (10002, 400, BackendErrorKind::NoRoom),
            (10008, 503, BackendErrorKind::Unavailable),
            (10210, 429, BackendErrorKind::Unavailable),
            (10059, 404, BackendErrorKind::Unavailable),
            (10111, 400, BackendErrorKind::Refused),
        ];
        for (code, http, kind) in expected {
            assert_eq!(kind_of(&refused(code, http)), kind, "{code}");
        }
    }

    #[test]
    fn absent_is_not_unreachable() {
        assert!(Failure::Refused(refused(10037, 404)).is_absent());
        assert!(!Failure::NoResponders.is_absent());
        let error = Failure::Refused(refused(10037, 404)).cannot("read run a/b");
        assert_eq!(error.to_string(), "cannot read run a/b: d (code 404, error code 10037)");
    }
}
