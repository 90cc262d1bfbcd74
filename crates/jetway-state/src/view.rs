//! The JSON that clients see of a run: its result, its status, and its outputs in pages.

mod build_wait;
mod cancel;
mod left_out;
mod page;
mod pending;
mod person;
mod sentence;
mod signals;
mod status;
mod waits;

use crate::{
    Error, Incarnation, ItemId, RunId, RunKey, Timestamp, WorkflowName,
    json::Json,
    run::{RunError, Snapshot, Status},
};
pub use build_wait::BuildWaitView;
pub use cancel::CancelView;
pub use left_out::LeftOut;
pub use page::{NoPage, OutputPage, OutputQuery};
pub use pending::PendingView;
pub use person::PersonWaitView;
use serde::{Deserialize, Serialize};
pub use signals::MailboxView;
use std::collections::BTreeSet;
pub use waits::{HostsOf, WaitKind, WaitView};

/// The result of a run, published when it ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "status::DoneFields")]
pub struct DoneView {
    /// The run.
    pub run_id: RunId,
    /// The identity of this start of the run id: 16 characters. In a result that of its first incarnation, which the start has told; in
    /// a status the present one.
    pub incarnation: Incarnation,
    /// The workflow.
    pub workflow: WorkflowName,
    /// The final status.
    pub status: Status,
    /// The first terminal output in commit order: the JSON that `serde_json` writes for its type.
    pub output: Option<Json>,
    /// Every terminal output, in commit order.
    pub outputs: Vec<Json>,
    /// What was left out of `output` and `outputs`, because it is too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
    /// The error of a failed run.
    pub error: Option<ErrorView>,
    /// The time of the start, in RFC 3339.
    pub started_at: String,
    /// The time of the end, in RFC 3339.
    pub finished_at: Option<String>,
    /// The number of committed steps.
    pub steps: u64,
    /// That the run was cancelled: why, and how its clean-up went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<CancelView>,
}

/// An error of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorView {
    /// The node that failed.
    pub node: Option<String>,
    /// Its work item.
    pub item_id: Option<ItemId>,
    /// The attempt that failed, from 1.
    pub attempt: u32,
    /// A stable word for the kind: `error`, `panic`, `timeout`, `codec`, `limit`, `no_output`, ...
    pub kind: String,
    /// The message of the error.
    pub message: String,
}

/// The status of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "status::Fields")]
pub struct StatusView {
    /// The result so far, with the fields of the result message.
    #[serde(flatten)]
    pub run: DoneView,
    /// The first incarnation of the run, if it has continued as new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Incarnation>,
    /// How often it has continued as new.
    #[serde(default, skip_serializing_if = "never")]
    pub continued: u32,
    /// The time of the last commit, in RFC 3339.
    pub updated_at: String,
    /// The pending items, by node.
    pub pending: Vec<PendingView>,
    /// The child runs that items wait for, as `workflow/run_id`: the first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<String>,
    /// The number of further child runs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_children: usize,
    /// The items that wait for a person, since their attempts are used up: the first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for_person: Vec<PersonWaitView>,
    /// The pending items that a build cannot read, since another one wrote them or the context. They wait for a host of a build
    /// that can.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for_build: Vec<BuildWaitView>,
    /// Why the run makes no progress, if that is known: no host serves it, it is paused, no host of its build runs, or it waits
    /// for child runs, times, signals or a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// What the pending items wait for, by kind and node: the longest waits, at most a hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<WaitView>,
    /// When the run fails if it has not ended before, in RFC 3339; `None` if it has no deadline. A pause does not count: of a paused
    /// run, this is the deadline that it has if it is resumed now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// The signals that no item has waited for yet; `None` if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<MailboxView>,
    /// The number of failures that an `on_failure` edge handled.
    pub handled_failures: u64,
    /// The latest of these failures.
    pub latest_handled_failures: Vec<ErrorView>,
    /// The nodes that produced an output, each once, in the order of their first output.
    #[serde(default)]
    pub output_nodes: Vec<String>,
    /// The trace, as 32 hexadecimal digits.
    pub trace_id: String,
}

impl From<&RunError> for ErrorView {
    fn from(error: &RunError) -> Self {
        Self {
            node: error.node.clone(),
            item_id: error.item.clone(),
            attempt: error.attempt,
            kind: error.kind.clone(),
            message: error.message.clone(),
        }
    }
}

impl DoneView {
    /// The result of a run, or its result so far.
    ///
    /// # Errors
    /// [`Error::Codec`] if the record has an output that is not JSON.
    pub fn new(snapshot: &Snapshot) -> Result<Self, Error> {
        let outputs = snapshot.outputs.iter().map(|output| output.value.to_json());
        let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            run_id: snapshot.run_id.clone(),
            incarnation: snapshot.chain_id(),
            workflow: snapshot.workflow.clone(),
            status: snapshot.status,
            output: outputs.first().cloned(),
            outputs,
            left_out: None,
            error: snapshot.error.as_ref().map(ErrorView::from),
            started_at: snapshot.started_at.to_string(),
            finished_at: snapshot.finished_at.map(|at| at.to_string()),
            steps: snapshot.steps,
            cancel: snapshot.cancel.as_ref().map(CancelView::from),
        })
    }
}

impl DoneView {
    /// The answer to a start that was refused: the run has failed without a step. A long reason, which may quote the whole input,
    /// is cut, and says so.
    pub fn refused(run: RunKey, incarnation: Incarnation, why: &str, reason: String, at: Timestamp) -> Self {
        Self {
            run_id: run.run_id,
            incarnation,
            workflow: run.workflow,
            status: Status::Failed,
            output: None,
            outputs: Vec::new(),
            left_out: None,
            error: Some(ErrorView {
                node: None,
                item_id: None,
                attempt: 0,
                kind: why.to_owned(),
                message: RunError::bounded(reason),
            }),
            started_at: at.to_string(),
            finished_at: Some(at.to_string()),
            steps: 0,
            cancel: None,
        }
    }
}

/// How many bytes of outputs are in a status.
const OUTPUTS_IN_STATUS: usize = 128 * 1024;

/// How many child runs are in a status.
const CHILDREN_IN_STATUS: usize = 100;

impl StatusView {
    /// The status of a run at `now`, by the clock of the server: what is due by then waits no longer. Large outputs are left out.
    ///
    /// # Errors
    /// [`Error::Codec`] if the record has an output that is not JSON.
    pub fn new(snapshot: &Snapshot, now: Timestamp) -> Result<Self, Error> {
        // Whoever asks may know the time of the server a little less well than who wrote the record.
        let now = now.max(snapshot.updated_at);
        let mut children = children(snapshot);
        let more_children = children.len().saturating_sub(CHILDREN_IN_STATUS);
        children.truncate(CHILDREN_IN_STATUS);
        let run = DoneView { incarnation: snapshot.incarnation, ..DoneView::new(snapshot)? };
        Ok(Self {
            run: run.within(OUTPUTS_IN_STATUS),
            chain: snapshot.chain,
            continued: snapshot.continued,
            updated_at: snapshot.updated_at.to_string(),
            pending: pending::by_node(snapshot, now),
            children,
            more_children,
            waiting_for_person: PersonWaitView::of(snapshot),
            waiting_for_build: BuildWaitView::of(snapshot),
            waiting_for: sentence::waiting_for(snapshot, now),
            waits: WaitView::of(snapshot, now),
            deadline: snapshot.deadline_at(now).map(|deadline| deadline.to_string()),
            mailbox: MailboxView::of(snapshot),
            handled_failures: snapshot.handled_failures.count,
            latest_handled_failures: snapshot.handled_failures.latest.iter().map(ErrorView::from).collect(),
            output_nodes: output_nodes(snapshot),
            trace_id: format!("{:032x}", snapshot.trace.trace_id),
        })
    }
}

fn children(snapshot: &Snapshot) -> Vec<String> {
    let waits = !snapshot.status.is_terminal();
    snapshot.awaited_children().filter(|_| waits).map(|(_, child)| child.run.to_string()).collect()
}

fn output_nodes(snapshot: &Snapshot) -> Vec<String> {
    let mut seen = BTreeSet::new();
    snapshot.outputs.iter().map(|output| &output.node).filter(|node| seen.insert(*node)).cloned().collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn never(times: &u32) -> bool {
    *times == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
