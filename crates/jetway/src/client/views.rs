//! What hosts answer.

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
    /// Where the next page begins: the [`after`](super::RunsQuery::after) of the next query. `None` where there is no
    /// more.
    pub next: Option<String>,
    /// The runs of this page whose records cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnreadableRun>,
}

/// A run whose record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadableRun {
    /// The workflow.
    pub workflow: WorkflowName,
    /// The run.
    pub run_id: RunId,
    /// Why, and what to do.
    pub error: String,
}

/// One run of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The workflow.
    pub workflow: WorkflowName,
    /// The run.
    pub run_id: RunId,
    /// How it stands.
    pub status: Status,
    /// How many steps were committed.
    pub steps: u64,
    /// How many work items are to be run.
    pub pending: usize,
    /// When it began, in RFC 3339.
    pub started_at: String,
    /// When it ended, in RFC 3339.
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
    /// Stands for its graph and the types of its inputs, in hexadecimal.
    pub fingerprint: String,
    /// Its graph in Graphviz's DOT language.
    pub dot: String,
    /// Its graph as data. `None` where the host is of a build that does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<Graph>,
}

/// What came of telling a run to stop, to wait or to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlView {
    /// The run.
    pub run_id: RunId,
    /// How it stands now.
    pub status: Status,
    /// Whether it stood otherwise before.
    pub changed: bool,
}
