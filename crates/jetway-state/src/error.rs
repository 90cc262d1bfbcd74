//! What can go wrong while a workflow runs.

use std::time::Duration;

/// The error of a node, of a step and of a run.
///
/// The first five variants and their texts are those of the interface that Jetway implements; code written against
/// it matches on them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Anything a node wants to say in a sentence.
    #[error("Generic error: {0}")]
    Generic(String),
    /// The run, or the process that executes it, was told to stop.
    #[error("Workflow cancelled")]
    Cancelled,
    /// The time limit of the step passed.
    #[error("Workflow timed out after {0:?}")]
    Timeout(Duration),
    /// There is no run of that id.
    #[error("Workflow has not been started")]
    NotStarted,
    /// The run has ended, so there is nothing to resume.
    #[error("Workflow already completed")]
    AlreadyCompleted,
    /// A node panicked; the text is the panic's own.
    #[error("node panicked: {0}")]
    Panicked(String),
    /// A value could not be encoded or decoded.
    #[error("{what} cannot be {action}: {reason}")]
    Codec {
        /// The value, in words: `input of node "parse"`.
        what: String,
        /// `encoded` or `decoded`.
        action: &'static str,
        /// The codec's own words.
        reason: String,
    },
    /// A bound was exceeded; the text says which and by how much.
    #[error("limit exceeded: {0}")]
    Limit(String),
    /// The work of the run ended and no terminal node produced an output.
    #[error("the run ended without an output: every branch was held, filtered out or ended early")]
    NoOutput,
    /// The run failed elsewhere; the text is the recorded error.
    #[error("{0}")]
    Failed(String),
    /// What keeps runs and work items did not answer, or refused.
    #[error("storage: {0}")]
    Storage(String),
}

impl Error {
    /// Whether the same call may succeed later without a change: storage that did not answer, a time limit.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Storage(_) | Self::Timeout(_))
    }

    /// A short stable word for the kind, for attributes and records.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Generic(_) => "error",
            Self::Cancelled => "cancelled",
            Self::Timeout(_) => "timeout",
            Self::NotStarted => "not_started",
            Self::AlreadyCompleted => "already_completed",
            Self::Panicked(_) => "panic",
            Self::Codec { .. } => "codec",
            Self::Limit(_) => "limit",
            Self::NoOutput => "no_output",
            Self::Failed(_) => "failed",
            Self::Storage(_) => "storage",
        }
    }

    /// A value that cannot be encoded; `what` names it.
    pub fn encode(what: impl Into<String>, reason: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self::Codec { what: what.into(), action: "encoded", reason: reason.into().to_string() }
    }

    /// A value that cannot be decoded; `what` names it.
    pub fn decode(what: impl Into<String>, reason: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self::Codec { what: what.into(), action: "decoded", reason: reason.into().to_string() }
    }
}

/// What to do where a value is larger than it may be, as the end of a sentence.
pub const STORE_ELSEWHERE: &str = "store large values elsewhere, and pass on where they are";

/// The name of [`Error`] in code written against floxide.
pub type FloxideError = Error;
