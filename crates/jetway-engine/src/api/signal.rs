//! Signals as requests, and their answers.

use bytes::Bytes;
use jetway_state::{Incarnation, RunId};
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

/// The answer to a signal: it was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalView {
    /// The run.
    pub run_id: RunId,
    /// The name of the signal.
    pub name: String,
    /// Whether the record of the run has it. It is true in every answer.
    pub applied: bool,
    /// What became of it.
    pub verdict: SignalVerdict,
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalVerdict {
    /// An item waited for it, and has it.
    Taken,
    /// No item waits for it: the run keeps it until one does.
    Kept,
    /// The run had a signal with this id before.
    Duplicate,
}
