//! Errors of nodes, steps and runs.

mod chain;

use crate::Timestamp;
use std::time::Duration;

/// The error of a node, of a step and of a run.
///
/// The first five variants and their messages are part of the floxide interface: code that is written for it matches on
/// them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Any other error; the text describes it.
    #[error("Generic error: {0}")]
    Generic(String),
    /// The run was cancelled, or its process is stopping.
    #[error("Workflow cancelled")]
    Cancelled,
    /// The step exceeded its time limit.
    #[error("Workflow timed out after {0:?}")]
    Timeout(Duration),
    /// There is no run with that id.
    #[error("Workflow has not been started")]
    NotStarted,
    /// The run has ended.
    #[error("Workflow already completed")]
    AlreadyCompleted,
    /// A node panicked; the text is the message of the panic.
    #[error("node panicked: {0}")]
    Panicked(String),
    /// A value could not be encoded or decoded.
    #[error("cannot {action} {what}: {reason}")]
    Codec {
        /// What the value is: `input of node "parse"`.
        what: String,
        /// `encode`, `decode` or `read back`.
        action: &'static str,
        /// The error of the codec.
        reason: String,
    },
    /// The node failed, and would fail again: no policy retries it. The text describes it.
    #[error("{0}")]
    Terminal(String),
    /// The node failed, and says when to try again: not earlier, whatever the policy says.
    #[error("{message}")]
    RetryAfter {
        /// Describes the error.
        message: String,
        /// The least time until the next attempt.
        after: Duration,
    },
    /// The node failed with an error of another type. See [`caused_by`](Self::caused_by).
    #[error("{message}")]
    Caused {
        /// The path of that type; empty if it is not known.
        type_name: String,
        /// The messages of the error and of its sources.
        message: String,
    },
    /// The step was not done in the time that it has from when it is ready (`within`).
    #[error("not done within {limit:?}{}", last.as_ref().map_or_else(String::new, |last| format!("; the last attempt failed: {last}")))]
    NotDoneWithin {
        /// The time.
        limit: Duration,
        /// The error of the last attempt, if one has failed.
        last: Option<String>,
    },
    /// So many attempts at the step ended with the loss of their host that no further one is made.
    #[error("the host ended {0} times during this step: the node seems to crash it")]
    HostsLost(u32),
    /// A wait of more than 100 years.
    #[error("time out of range: a run waits for at most 100 years")]
    TimeOutOfRange,
    /// The run was not done at its deadline.
    #[error("the run was not done at its deadline, {0}")]
    Deadline(Timestamp),
    /// The run cannot continue as new: other items are open, or have values that wait to be gathered. The text says how many of its
    /// branches are open, and how many of them wait for child runs.
    #[error("the run cannot continue as new while {0}: end them first, or gather them")]
    BranchesOpen(String),
    /// A limit was exceeded; the text says which, and by how much.
    #[error("limit exceeded: {0}")]
    Limit(String),
    /// All work of the run is done, and no terminal node produced an output.
    #[error("the run ended without an output: every branch was held, filtered out or ended early")]
    NoOutput,
    /// The run failed in another process; the text is the recorded error.
    #[error("{0}")]
    Failed(String),
    /// A store did not answer, or refused.
    #[error("storage: {0}")]
    Storage(String),
}

impl Error {
    /// Whether the same call may succeed later: after an error of a store, or an exceeded time limit.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Storage(_) | Self::Timeout(_) | Self::RetryAfter { .. })
    }

    /// The least time until the next attempt, if the node has said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RetryAfter { after, .. } => Some(*after),
            _ => None,
        }
    }

    /// A stable word for the kind of error, for span attributes and records.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Generic(_) => "error",
            Self::Cancelled => "cancelled",
            Self::Timeout(_) | Self::NotDoneWithin { .. } => "timeout",
            Self::NotStarted => "not_started",
            Self::AlreadyCompleted => "already_completed",
            Self::Panicked(_) => "panic",
            Self::Codec { .. } => "codec",
            Self::Terminal(_) => "terminal",
            Self::RetryAfter { .. } => "retry_after",
            Self::Caused { .. } => "error",
            Self::HostsLost(_) => "worker_lost",
            Self::TimeOutOfRange => "time_out_of_range",
            Self::Deadline(_) => "deadline",
            Self::BranchesOpen(_) => "branches_open",
            Self::Limit(_) => "limit",
            Self::NoOutput => "no_output",
            Self::Failed(_) => "failed",
            Self::Storage(_) => "storage",
        }
    }

    /// A value cannot be encoded; `what` names it.
    pub fn encode(what: impl Into<String>, reason: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self::Codec { what: what.into(), action: "encode", reason: reason.into().to_string() }
    }

    /// A value was encoded, and its own type cannot read it again; `what` names it.
    pub fn read_back(what: impl Into<String>, reason: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self::Codec { what: what.into(), action: "read back", reason: reason.into().to_string() }
    }

    /// A value cannot be decoded; `what` names it.
    pub fn decode(what: impl Into<String>, reason: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self::Codec { what: what.into(), action: "decode", reason: reason.into().to_string() }
    }
}

/// What to do about a value that exceeds a limit, as the end of a message.
pub const STORE_ELSEWHERE: &str = "store large values elsewhere and pass references to them";

/// The name of [`Error`] in the floxide interface.
pub type FloxideError = Error;
