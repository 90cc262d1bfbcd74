//! The data that a client returns.

use jetway_state::{
    Graph, RunId, WorkflowName,
    run::{Snapshot, Status},
};
use serde::{Deserialize, Serialize};

/// A page of runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunsView {
    /// The runs.
    pub runs: Vec<RunSummary>,
    /// The cursor of the next page: the [`after`](super::RunsQuery::after) of the next query. `None` on the last page.
    pub next: Option<String>,
    /// The runs of this page whose records cannot be decoded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnreadableRun>,
}

/// A run whose record cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadableRun {
    /// The workflow.
    pub workflow: WorkflowName,
    /// The run.
    pub run_id: RunId,
    /// The cause, and what to do.
    pub error: String,
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The workflow.
    pub workflow: WorkflowName,
    /// The run.
    pub run_id: RunId,
    /// Its status.
    pub status: Status,
    /// Number of committed steps.
    pub steps: u64,
    /// Number of work items that are not finished.
    pub pending: usize,
    /// Start time in RFC 3339.
    pub started_at: String,
    /// End time in RFC 3339.
    pub finished_at: Option<String>,
}

impl From<&Snapshot> for RunSummary {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            workflow: snapshot.workflow.clone(),
            run_id: snapshot.run_id.clone(),
            status: snapshot.status,
            steps: snapshot.steps,
            pending: snapshot.pending(),
            started_at: snapshot.started_at.to_string(),
            finished_at: snapshot.finished_at.map(|at| at.to_string()),
        }
    }
}

/// A workflow that a host serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowView {
    /// Its name.
    pub name: WorkflowName,
    /// A hash of its graph and of the types of its inputs, in hexadecimal.
    pub fingerprint: String,
    /// Its graph in Graphviz's DOT language.
    pub dot: String,
    /// Its graph as data. `None` if the version of the host does not provide it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<Graph>,
}

/// The result of cancelling, pausing or resuming a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlView {
    /// The run.
    pub run_id: RunId,
    /// The new status.
    pub status: Status,
    /// Whether the status was different before.
    pub changed: bool,
}
