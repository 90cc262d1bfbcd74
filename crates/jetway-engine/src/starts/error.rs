//! Errors of starts.

use crate::backend::BackendError;
use jetway_state::{
    BadName, Error, RunKey,
    run::{BadDeadline, BadStartTime},
};

/// Why a run cannot be started.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// This host does not serve the workflow.
    #[error("unknown workflow {name:?}; this host serves {known}")]
    UnknownWorkflow {
        /// The name in the request.
        name: String,
        /// The names of the workflows of this host.
        known: String,
    },
    /// The run id is not a valid name.
    #[error(transparent)]
    BadRunId(#[from] BadName),
    /// The time of the start is invalid.
    #[error(transparent)]
    BadStartTime(#[from] BadStartTime),
    /// The deadline is invalid.
    #[error(transparent)]
    BadDeadline(#[from] BadDeadline),
    /// The workflow cannot decode the input.
    #[error(transparent)]
    BadInput(Error),
    /// The run exists, with another input.
    #[error(
        "run {0} exists and was started with another input: use another run id, or the same input to get the same run"
    )]
    OtherInput(RunKey),
    /// The run could not be written.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl StartError {
    /// A stable word for the kind of error, fit for a subject.
    pub fn why(&self) -> &'static str {
        match self {
            Self::UnknownWorkflow { .. } => "unknown-workflow",
            Self::BadRunId(_) => "bad-run-id",
            Self::BadStartTime(_) => "bad-start-time",
            Self::BadDeadline(_) => "bad-deadline",
            Self::BadInput(_) => "bad-input",
            Self::OtherInput(_) => "other-input",
            Self::Backend(_) => "backend",
        }
    }

    /// Whether the same start may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Backend(error) if error.is_retryable())
    }

    /// The matching HTTP status code.
    pub fn code(&self) -> u16 {
        match self {
            Self::UnknownWorkflow { .. } => 404,
            Self::BadRunId(_) | Self::BadStartTime(_) | Self::BadDeadline(_) | Self::BadInput(_) => 400,
            Self::OtherInput(_) => 409,
            Self::Backend(error) if error.is_retryable() => 503,
            Self::Backend(_) => 500,
        }
    }
}
