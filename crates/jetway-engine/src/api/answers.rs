//! The answers of a host, as types. They become JSON where they leave the process.

use crate::backend::RunsPage;
use jetway_state::{
    Graph, Incarnation, ItemId, RunId, RunKey, WorkflowName,
    json::Json,
    run::{Snapshot, Status},
    view::{BuildWaitView, DoneView},
};
use serde::{Deserialize, Deserializer, Serialize, de};

/// The answer to a start.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum StartAnswer {
    /// The run ended within the time that the request waits.
    Ended(Box<DoneView>),
    /// The run exists.
    Started {
        /// The run.
        run_id: RunId,
        /// The identity of this start of the run id.
        incarnation: Incarnation,
    },
}

/// A result has a status, and its outputs are read as they are: serde's own way of looking for the variant (`untagged`) would
/// take them apart.
impl<'de> Deserialize<'de> for StartAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Run {
            run_id: RunId,
            incarnation: Incarnation,
            status: Option<Status>,
        }
        let answer = Json::deserialize(deserializer)?;
        let Run { run_id, incarnation, status } =
            serde_json::from_str(answer.get()).map_err(de::Error::custom)?;
        match status {
            Some(_) => serde_json::from_str(answer.get()).map(Self::Ended).map_err(de::Error::custom),
            None => Ok(Self::Started { run_id, incarnation }),
        }
    }
}

/// A page of runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunsView {
    /// The runs: first the one that changed last.
    pub runs: Vec<RunSummary>,
    /// The cursor of the next page: the [`after`](crate::backend::RunsQuery::after) of the next query. `None` on the last page.
    pub next: Option<String>,
    /// The number of runs that were looked at.
    #[serde(default)]
    pub scanned: u64,
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
    /// The identity of this start of the run id.
    pub incarnation: Incarnation,
    /// Its status.
    pub status: Status,
    /// Number of committed steps.
    pub steps: u64,
    /// Number of work items that are not finished.
    pub pending: usize,
    /// The pending items that a build cannot read. The run waits for a host of a build that can.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for_build: Vec<BuildWaitView>,
    /// Start time in RFC 3339.
    pub started_at: String,
    /// The time of the last commit, in RFC 3339.
    pub updated_at: String,
    /// End time in RFC 3339.
    pub finished_at: Option<String>,
}

impl From<&Snapshot> for RunSummary {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            workflow: snapshot.workflow.clone(),
            run_id: snapshot.run_id.clone(),
            incarnation: snapshot.chain_id(),
            status: snapshot.status,
            steps: snapshot.steps,
            pending: snapshot.pending(),
            waiting_for_build: BuildWaitView::of(snapshot),
            started_at: snapshot.started_at.to_string(),
            updated_at: snapshot.updated_at.to_string(),
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

/// The result of cancelling, terminating, pausing or resuming a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlView {
    /// The run.
    pub run_id: RunId,
    /// The new status.
    pub status: Status,
    /// Whether the status was different before.
    pub changed: bool,
}

/// Which items of a run are tried again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryQuery {
    /// The item; `None` for all that wait for a person.
    pub item: Option<ItemId>,
}

/// The items of a run that are tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryView {
    /// The run.
    pub run_id: RunId,
    /// Its status. Nothing of a paused run is tried before it is resumed.
    pub status: Status,
    /// The items.
    pub items: Vec<ItemId>,
}

impl From<RunsPage> for RunsView {
    fn from(page: RunsPage) -> Self {
        let mut view =
            Self { runs: Vec::new(), next: page.next, scanned: page.scanned, unreadable: Vec::new() };
        for stored in page.runs {
            match stored.open() {
                Ok((snapshot, _)) => view.runs.push(RunSummary::from(&snapshot)),
                Err(error) => {
                    let (RunKey { workflow, run_id }, error) = (stored.run, error.to_string());
                    view.unreadable.push(UnreadableRun { workflow, run_id, error });
                }
            }
        }
        view
    }
}

/// The workflows of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowsView {
    /// The workflows, by name.
    pub workflows: Vec<WorkflowView>,
}
