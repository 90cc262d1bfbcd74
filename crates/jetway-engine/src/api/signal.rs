//! Signals as requests, and their answers.

use bytes::Bytes;
use jetway_state::{Incarnation, RunId, run::Verdict};
use serde::{Deserialize, Serialize};

/// A signal that is sent as a request, not validated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignalRequest {
    /// The name of the workflow, as in the request.
    pub workflow: String,
    /// The run id, as in the request.
    pub run_id: String,
    /// The name of the signal, as in the request.
    pub name: String,
    /// The id that its sender has chosen.
    pub id: Option<String>,
    /// The incarnation that it is for; `None` for whichever incarnation has the run id.
    pub incarnation: Option<Incarnation>,
    /// The media type of the payload; `None` for JSON.
    pub content_type: Option<String>,
    /// The payload.
    pub payload: Bytes,
}

/// The answer to a signal that was sent as a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalAnswer {
    /// The run.
    pub run_id: RunId,
    /// The name of the signal.
    pub name: String,
    /// Always true: otherwise the answer is an error.
    pub applied: bool,
    /// Whether the request has started the run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub started: bool,
    /// Whether an item had waited for it (`taken`), or it is in the mailbox (`kept`), or it was applied before (`duplicate`).
    pub verdict: Verdict,
}
