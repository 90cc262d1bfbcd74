//! What a run looks like from outside: the JSON of `status` and of the done message.

use crate::{
    ItemId, RunId, Timestamp, WorkflowName, json,
    run::{RunError, Snapshot, Status},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The result of a run, published when it ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DoneView {
    /// The run.
    pub run_id: RunId,
    /// The workflow.
    pub workflow: WorkflowName,
    /// How it ended.
    pub status: Status,
    /// The first terminal output in commit order.
    pub output: Option<Value>,
    /// Every terminal output, in commit order.
    pub outputs: Vec<Value>,
    /// Why it failed.
    pub error: Option<ErrorView>,
    /// When it began, in RFC 3339.
    pub started_at: String,
    /// When it ended, in RFC 3339.
    pub finished_at: Option<String>,
    /// How many steps were committed.
    pub steps: u64,
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
    /// The error's own words.
    pub message: String,
}

/// A run as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    /// The result so far, in the shape of the done message.
    #[serde(flatten)]
    pub run: DoneView,
    /// When it was last written, in RFC 3339.
    pub updated_at: String,
    /// What is to be run, by node.
    pub pending: Vec<PendingView>,
    /// The child runs that items wait for, as `workflow/run_id`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<String>,
    /// Why the run does not go on, where that is known: nobody serves it, or it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// How many failures a fallback caught.
    pub handled_failures: u64,
    /// The latest of them.
    pub latest_handled_failures: Vec<ErrorView>,
    /// The nodes that gave an output, each once, in the order of their first one.
    #[serde(default)]
    pub output_nodes: Vec<String>,
    /// The trace, as 32 hexadecimal digits.
    pub trace_id: String,
}

/// Pending work items of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingView {
    /// The node; `None` for branches whose payloads are beside the snapshot.
    pub node: Option<String>,
    /// How many of its items are pending.
    pub items: usize,
    /// How many of them wait for a place at the node, which takes only so many at a time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waiting: usize,
    /// Since when the oldest is, in RFC 3339.
    pub since: String,
}

impl DoneView {
    /// When the run began whose result this is; `None` where the JSON does not say so.
    pub fn began(result: &[u8]) -> Option<Timestamp> {
        #[derive(Deserialize)]
        struct Began {
            started_at: String,
        }
        let began: Began = serde_json::from_slice(result).ok()?;
        Timestamp::parse(&began.started_at)
    }

    /// Whether a result is that of a later run than the one that is there. A name can be used again when the record of its run
    /// is forgotten, which may be sooner than its result is. What is no result at all, as a stranger may have published, makes
    /// way as well.
    pub fn supersedes(result: &[u8], there: &[u8]) -> bool {
        Self::began(result).is_some_and(|new| Self::began(there).is_none_or(|old| new > old))
    }

    /// Whether a result is that of a run that began at `since` or later. Where that is zero, whatever is there is one.
    pub fn is_since(result: &[u8], since: Timestamp) -> bool {
        Self::began(result).map_or(since == Timestamp::default(), |began| began >= since)
    }
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

impl From<&Snapshot> for DoneView {
    fn from(snapshot: &Snapshot) -> Self {
        let outputs: Vec<Value> = snapshot
            .outputs
            .iter()
            .map(|output| json::from_cbor(&output.value).unwrap_or_default())
            .collect();
        Self {
            run_id: snapshot.run_id.clone(),
            workflow: snapshot.workflow.clone(),
            status: snapshot.status,
            output: outputs.first().cloned(),
            outputs,
            error: snapshot.error.as_ref().map(ErrorView::from),
            started_at: snapshot.started_at.to_string(),
            finished_at: snapshot.finished_at.map(|at| at.to_string()),
            steps: snapshot.steps,
        }
    }
}

impl From<&Snapshot> for StatusView {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            run: DoneView::from(snapshot),
            updated_at: snapshot.updated_at.to_string(),
            pending: pending(snapshot),
            children: children(snapshot),
            waiting_for: waiting_for(snapshot),
            handled_failures: snapshot.handled_failures.count,
            latest_handled_failures: snapshot.handled_failures.latest.iter().map(ErrorView::from).collect(),
            output_nodes: output_nodes(snapshot),
            trace_id: format!("{:032x}", snapshot.trace.trace_id),
        }
    }
}

fn children(snapshot: &Snapshot) -> Vec<String> {
    let waits = !snapshot.status.is_terminal();
    snapshot.children.values().filter(|_| waits).map(ToString::to_string).collect()
}

fn output_nodes(snapshot: &Snapshot) -> Vec<String> {
    let mut seen = BTreeSet::new();
    snapshot.outputs.iter().map(|output| &output.node).filter(|node| seen.insert(*node)).cloned().collect()
}

impl StatusView {
    /// Says that the run waits for a host, where none of those that are alive serves its workflow and nothing else is known
    /// to hold it up.
    #[must_use]
    pub fn served_by<'a>(mut self, served: impl IntoIterator<Item = &'a WorkflowName>) -> Self {
        let waits = self.run.status == Status::Running && self.waiting_for.is_none();
        if waits && !served.into_iter().any(|name| *name == self.run.workflow) {
            let workflow = self.run.workflow.as_str();
            self.waiting_for = Some(format!("no live host serves the workflow {workflow:?}"));
        }
        self
    }
}

/// Why the run does not go on, as far as its record says.
fn waiting_for(snapshot: &Snapshot) -> Option<String> {
    match snapshot.status {
        Status::Paused => Some("the run is paused: resume it to go on".to_owned()),
        Status::Running if snapshot.waits_for_children() => {
            let first = snapshot.children.values().next()?;
            Some(match snapshot.children.len() {
                1 => format!("child run {first} goes on"),
                children => format!("{children} child runs go on, {first} among them"),
            })
        }
        Status::Running | Status::Completed | Status::Failed | Status::Cancelled => None,
    }
}

fn pending(snapshot: &Snapshot) -> Vec<PendingView> {
    let mut by_node: BTreeMap<Option<String>, Pending> = BTreeMap::new();
    let mut add = |node: Option<&str>, items: usize, waiting: usize, since: Timestamp| {
        let entry =
            by_node.entry(node.map(ToOwned::to_owned)).or_insert(Pending { items: 0, waiting: 0, since });
        entry.items += items;
        entry.waiting += waiting;
        entry.since = entry.since.min(since);
    };
    for item in snapshot.items.values() {
        add(Some(&item.node), 1, usize::from(item.waits_for_slot), item.pending_since);
    }
    for fan_out in snapshot.fan_outs.values() {
        let (branches, since) = (&fan_out.branches, fan_out.pending_since);
        let mut named = 0;
        for (node, bounded) in &branches.bounded {
            let waiting = bounded.waiting.len() as usize;
            let items = waiting + bounded.in_flight.len();
            if items > 0 {
                add(Some(node), items, waiting, since);
            }
            named += items;
        }
        for seed in branches.inline.values().filter(|seed| !branches.bounded.contains_key(&seed.node)) {
            add(Some(&seed.node), 1, 0, since);
            named += 1;
        }
        let elsewhere = (branches.open() as usize).saturating_sub(named);
        if elsewhere > 0 {
            add(None, elsewhere, 0, since);
        }
    }
    by_node
        .into_iter()
        .map(|(node, Pending { items, waiting, since })| PendingView {
            node,
            items,
            waiting,
            since: since.to_string(),
        })
        .collect()
}

struct Pending {
    items: usize,
    waiting: usize,
    since: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
