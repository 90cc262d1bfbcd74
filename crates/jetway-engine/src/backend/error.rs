//! What goes wrong between the engine and its backend.

use std::{error::Error as StdError, fmt, sync::Arc};

/// An error of a backend: a kind to act on, a sentence, and what it came from.
#[derive(Debug, Clone)]
pub struct BackendError {
    kind: BackendErrorKind,
    message: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What the caller of a backend acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackendErrorKind {
    /// The compare-and-swap lost: somebody else has written. Load again.
    Conflict,
    /// The backend did not answer, or not in a way that tells what became of the call. The same call may succeed later.
    Unavailable,
    /// A limit of the backend is reached: nothing was stored, and the same call succeeds once somebody has made room.
    NoRoom,
    /// The value is larger than the backend can keep. It will never succeed.
    TooLarge,
    /// What was read is not what any build can read.
    Corrupt,
    /// What was read was written by a newer build: this one leaves it alone.
    Newer,
    /// The connection has ended for good: nothing succeeds until a new one is made.
    Closed,
    /// The backend is set up in a way that this build cannot work with.
    Misconfigured,
    /// The backend refused: permissions, a bad name.
    Refused,
}

impl BackendError {
    /// An error of that kind. `message` is a lowercase sentence that names what was done to what.
    pub fn new(kind: BackendErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same error with what it came from.
    #[must_use]
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What to act on.
    pub fn kind(&self) -> BackendErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, BackendErrorKind::Unavailable | BackendErrorKind::NoRoom)
    }

    /// Whether a compare-and-swap lost.
    pub fn is_conflict(&self) -> bool {
        self.kind == BackendErrorKind::Conflict
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
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
