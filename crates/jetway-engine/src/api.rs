//! The API of a host: requests to it, and their answers.

mod answers;
mod signal;

pub use answers::{
    ControlView, RetryQuery, RetryView, RunSummary, RunsView, StartAnswer, UnreadableRun, WorkflowView,
    WorkflowsView,
};
pub use signal::{SignalAnswer, SignalRequest};

use crate::backend::{BackendError, BackendErrorKind, RunsQuery, StartRequest};
use async_trait::async_trait;
use jetway_state::{
    run::control::Control,
    view::{OutputPage, OutputQuery, StatusView},
};
use std::{fmt, time::Duration};

/// The requests that a host answers. A backend that can carry requests serves them.
#[async_trait]
pub trait Api: Send + Sync + fmt::Debug {
    /// Whether this host serves the workflow.
    fn serves(&self, workflow: &str) -> bool;

    /// Starts a run. Returns its result if it ends within `wait`.
    async fn start(&self, request: StartRequest, wait: Option<Duration>) -> Result<StartAnswer, ApiError>;

    /// Returns the status of a run.
    async fn status(&self, workflow: &str, run_id: &str) -> Result<StatusView, ApiError>;

    /// Returns a page of an output of a run.
    async fn output(&self, workflow: &str, run_id: &str, query: OutputQuery) -> Result<OutputPage, ApiError>;

    /// Cancels, pauses or resumes a run. Error 409 if the run has ended with another status.
    async fn control(&self, control: Control, workflow: &str, run_id: &str) -> Result<ControlView, ApiError>;

    /// Tries an item of a run again that waits for a person, or all of them. Error 409 if there is none.
    async fn retry(&self, workflow: &str, run_id: &str, query: RetryQuery) -> Result<RetryView, ApiError>;

    /// Stores a signal to a run, and returns when it was applied. Error 404 if there is no such run, 400 for a name that no node waits
    /// for and for a bad payload, 409 if the run does not take it.
    async fn signal(&self, request: SignalRequest) -> Result<SignalAnswer, ApiError>;

    /// Starts a run with a signal in its mailbox, or sends the signal to the run that has the id, whatever its input was. Errors as those
    /// of a start and of a signal.
    async fn signal_with_start(
        &self,
        start: StartRequest,
        signal: SignalRequest,
    ) -> Result<SignalAnswer, ApiError>;

    /// Returns a page of runs.
    async fn runs(&self, query: RunsQuery) -> Result<RunsView, ApiError>;

    /// Returns the workflows of this host: names, fingerprints, and graphs, also in DOT.
    async fn workflows(&self) -> Result<WorkflowsView, ApiError>;

    /// Returns one of these workflows. Error 404 if this host does not serve it.
    async fn workflow(&self, name: &str) -> Result<WorkflowView, ApiError>;
}

/// An error for the client: an HTTP status code, and a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// 400 bad request, 404 not found, 409 conflict, 503 unavailable, 500 any other error.
    pub code: u16,
    /// What failed, and what to do.
    pub message: String,
}

impl ApiError {
    /// An error of that code.
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<BackendError> for ApiError {
    fn from(error: BackendError) -> Self {
        let code = match error.kind() {
            BackendErrorKind::Invalid => 400,
            _ if error.is_retryable() => 503,
            _ => 500,
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u8_an_invalid_cursor_is_the_mistake_of_who_asks() {
        for (kind, code) in [
            (BackendErrorKind::Invalid, 400),
            (BackendErrorKind::Unavailable, 503),
            (BackendErrorKind::Refused, 500),
        ] {
            assert_eq!(ApiError::from(BackendError::new(kind, "it failed")).code, code, "{kind:?}");
        }
    }
}
