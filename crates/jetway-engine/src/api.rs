//! The API of a host: requests to it, and their answers.

use crate::backend::{BackendError, RunsQuery, StartRequest};
use async_trait::async_trait;
use jetway_state::run::control::Control;
use std::{fmt, time::Duration};

/// What a host answers to requests; a backend that can carry requests serves it.
#[async_trait]
pub trait Api: Send + Sync + fmt::Debug {
    /// Whether this host serves the workflow.
    fn serves(&self, workflow: &str) -> bool;

    /// Starts a run. Replies `{"run_id"}` when the run exists, or the result when it ends within `wait`.
    async fn start(
        &self,
        request: StartRequest,
        wait: Option<Duration>,
    ) -> Result<serde_json::Value, ApiError>;

    /// The status of a run.
    async fn status(&self, workflow: &str, run_id: &str) -> Result<serde_json::Value, ApiError>;

    /// Tells a run to stop, to wait or to go on. Replies `{"run_id", "status", "changed"}`; 409 where it has ended
    /// otherwise.
    async fn control(
        &self,
        control: Control,
        workflow: &str,
        run_id: &str,
    ) -> Result<serde_json::Value, ApiError>;

    /// A page of runs: `{"runs": [...], "next": ...}`, and `"unreadable"` where the records of some cannot be read.
    async fn runs(&self, query: RunsQuery) -> Result<serde_json::Value, ApiError>;

    /// The workflows of this host: names, fingerprints, graphs, also in DOT.
    async fn workflows(&self) -> Result<serde_json::Value, ApiError>;
}

/// An error for the one who asked: a code in the manner of HTTP, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// 400 bad request, 404 not found, 409 conflict, 503 unavailable, 500 anything else.
    pub code: u16,
    /// What is wrong, and what to do.
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
        Self::new(if error.is_retryable() { 503 } else { 500 }, error.to_string())
    }
}
