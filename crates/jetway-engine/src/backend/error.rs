//! Errors of backends.

use std::{error::Error as StdError, fmt, sync::Arc};

/// An error of a backend: a kind to act on, a message, and its cause.
#[derive(Debug, Clone)]
pub struct BackendError {
    kind: BackendErrorKind,
    message: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The kind of an error, for the caller to act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackendErrorKind {
    /// The compare-and-swap failed: another writer came first. Load again.
    Conflict,
    /// The backend did not answer, or its answer leaves open whether the call succeeded. The same call may succeed later.
    Unavailable,
    /// Whoever answered lacks what is known to be written: a server that was cut off. Another one may answer later.
    Behind,
    /// A limit of the backend is reached: nothing was stored. The same call succeeds when an operator has made room.
    NoRoom,
    /// The value is larger than the backend can store. A retry does not help.
    TooLarge,
    /// No build can read the stored value.
    Corrupt,
    /// A newer build wrote the value: this one leaves it as it is.
    Newer,
    /// The connection is closed: nothing succeeds without a new one.
    Closed,
    /// The backend has a configuration that this build cannot use.
    Misconfigured,
    /// The backend refused the call: missing permissions, an invalid name.
    Refused,
    /// Who asked gave a value that the call cannot use, such as the cursor of another list.
    Invalid,
}

impl BackendError {
    /// An error of that kind. `message` says what failed, and for which object; it starts in lower case.
    pub fn new(kind: BackendErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The kind of the error.
    pub fn kind(&self) -> BackendErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            BackendErrorKind::Unavailable | BackendErrorKind::Behind | BackendErrorKind::NoRoom
        )
    }

    /// Whether a compare-and-swap failed.
    pub fn is_conflict(&self) -> bool {
        self.kind == BackendErrorKind::Conflict
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.source.as_ref().map(ToString::to_string) {
            // The message may say all of it.
            Some(source) if !self.message.contains(&source) => write!(f, ": {source}"),
            _ => Ok(()),
        }
    }
}

impl StdError for BackendError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as &(dyn StdError + 'static))
    }
}

impl From<BackendError> for jetway_state::Error {
    fn from(error: BackendError) -> Self {
        Self::Storage(error.to_string())
    }
}
