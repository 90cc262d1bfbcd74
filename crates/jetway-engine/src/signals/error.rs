//! Errors of signals.

use crate::{
    api::ApiError,
    backend::{BackendError, BackendErrorKind},
    wait_for_build::{DELIVERIES, DELIVERIES_TO_OTHERS, is_about_data},
};
use jetway_state::{
    BadName, Error, Incarnation, RunKey,
    run::{MAX_LETTER_BYTES, MAX_LETTERS, Status},
};

/// Why a signal is not applied.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SignalError {
    /// This host does not serve the workflow.
    #[error("unknown workflow {name:?}; this host serves {known}")]
    UnknownWorkflow {
        /// The name in the message.
        name: String,
        /// The names of the workflows of this host.
        known: String,
    },
    /// The name of the signal is not valid.
    #[error(transparent)]
    BadName(#[from] BadName),
    /// No node of the workflow waits for such a signal.
    #[error("no node of workflow {workflow:?} waits for a signal named {name:?}; {known}")]
    UnknownSignal {
        /// The workflow.
        workflow: String,
        /// The name.
        name: String,
        /// The names that it knows.
        known: String,
    },
    /// The payload is no value of the type of the signal.
    #[error(transparent)]
    BadPayload(Error),
    /// There is no such run, and none was started within the grace period.
    #[error("run {0} not found: it does not exist, or its record expired")]
    UnknownRun(RunKey),
    /// The run has ended.
    #[error("run {run} takes no more signals: it has ended, {status}")]
    RunEnded {
        /// The run.
        run: RunKey,
        /// Its status.
        status: Status,
    },
    /// The signal is for another incarnation of the run.
    #[error("the signal is not for this start of run {run}, which is incarnation {found}")]
    OtherIncarnation {
        /// The run.
        run: RunKey,
        /// Its incarnation.
        found: Incarnation,
    },
    /// The mailbox of the run is full.
    #[error(
        "the mailbox of run {0} is full: it holds {MAX_LETTERS} signals or {MAX_LETTER_BYTES} bytes that no node has waited for yet; \
         try again when the run has taken some"
    )]
    MailboxFull(RunKey),
    /// The signal could not be stored, or the record of the run not be read or written.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl SignalError {
    /// A stable word for the kind of error, fit for a subject.
    pub fn why(&self) -> &'static str {
        match self {
            Self::UnknownWorkflow { .. } => "unknown-workflow",
            Self::BadName(_) => "bad_name",
            Self::UnknownSignal { .. } => "unknown_signal",
            Self::BadPayload(_) => "bad_payload",
            Self::UnknownRun(_) => "unknown_run",
            Self::RunEnded { .. } => "run_ended",
            Self::OtherIncarnation { .. } => "other_incarnation",
            Self::MailboxFull(_) => "mailbox_full",
            Self::Backend(error) if is_about_data(error.kind()) => "unreadable_run",
            Self::Backend(_) => "backend",
        }
    }

    /// How often a message is delivered before it becomes a dead letter for this error.
    pub(super) fn deliveries(&self) -> u32 {
        match self {
            Self::Backend(error) if error.kind() == BackendErrorKind::Newer => DELIVERIES_TO_OTHERS,
            Self::Backend(error) if is_about_data(error.kind()) => DELIVERIES,
            _ => 1,
        }
    }

    /// Whether the same signal may be applied later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Backend(error) if error.is_retryable())
    }

    /// The matching HTTP status code.
    pub fn code(&self) -> u16 {
        match self {
            Self::UnknownWorkflow { .. } | Self::UnknownRun(_) => 404,
            Self::BadName(_) | Self::UnknownSignal { .. } | Self::BadPayload(_) => 400,
            Self::RunEnded { .. } | Self::OtherIncarnation { .. } | Self::MailboxFull(_) => 409,
            Self::Backend(error) if error.is_retryable() => 503,
            Self::Backend(_) => 500,
        }
    }
}

/// Whether an error is about the signal or the record of its run, and not about the backend.
pub(super) fn is_about_message(kind: BackendErrorKind) -> bool {
    is_about_data(kind) || matches!(kind, BackendErrorKind::TooLarge | BackendErrorKind::Invalid)
}

/// The message begins with the word for the error. A run that is not found is `not_found`: no grace period has passed.
impl From<SignalError> for ApiError {
    fn from(error: SignalError) -> Self {
        match &error {
            SignalError::Backend(error) => error.clone().into(),
            SignalError::UnknownRun(_) => Self::new(error.code(), format!("not_found: {error}")),
            _ => Self::new(error.code(), format!("{}: {error}", error.why())),
        }
    }
}
