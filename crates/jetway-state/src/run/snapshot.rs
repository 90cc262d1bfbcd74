//! The durable record of a run.

use super::{
    chunk::ChunkRef,
    fan_out::{Arrivals, Branch, FanOut},
};
use crate::{CommitId, Fingerprint, ItemId, RunId, RunKey, Timestamp, WorkflowName};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The durable record of a run: the truth about it. Its pending items are the outbox: every one of them has a ticket,
/// or gets one again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The workflow.
    pub workflow: WorkflowName,
    /// The run.
    pub run_id: RunId,
    /// The write that this snapshot came from.
    pub commit: CommitId,
    /// Where the run stands.
    pub status: Status,
    /// The encoded context.
    pub context: Bytes,
    /// The pending items that are not branches of a fan-out still to be taken up.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub items: BTreeMap<ItemId, Item>,
    /// The open fan-outs, by the id of the item that opened them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fan_outs: BTreeMap<ItemId, FanOut>,
    /// The terminal outputs, in commit order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Output>,
    /// Why the run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// The failures that a fallback caught.
    #[serde(default, skip_serializing_if = "HandledFailures::is_empty")]
    pub handled_failures: HandledFailures,
    /// How many steps were committed.
    pub steps: u64,
    /// When the run began to exist.
    pub started_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// The run's place in a trace.
    pub trace: Trace,
    /// Stands for the input, so that a second start with another one can be told.
    #[serde(with = "serde_bytes")]
    pub input_digest: Vec<u8>,
    /// The items that wait for child runs. Where the run has ended, those that waited at its end: their children are
    /// to be cancelled.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub children: BTreeMap<ItemId, RunKey>,
    /// Those of these items whose child is not known to be started yet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unstarted: BTreeSet<ItemId>,
    /// The item that waits for this run to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// Whether chunks were ever written beside this snapshot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub chunked: bool,
}

impl Snapshot {
    /// Which run this is the record of.
    pub fn key(&self) -> RunKey {
        RunKey::new(self.workflow.clone(), self.run_id.clone())
    }

    /// How many work items are to be run.
    pub fn pending(&self) -> usize {
        self.items.len()
            + self.fan_outs.values().map(|fan_out| fan_out.branches.open() as usize).sum::<usize>()
    }

    /// Whether the item is still to be run; a paused run's items are, later.
    pub fn is_pending(&self, id: &ItemId) -> bool {
        if self.status.is_terminal() {
            return false;
        }
        self.items.contains_key(id)
            || id.as_branch().is_some_and(|(fan_out, position)| {
                self.fan_outs.get(&fan_out).is_some_and(|fan_out| fan_out.branches.is_open(position))
            })
    }

    /// Whether the item is pending and waits for a place at its node.
    pub fn waits_for_slot(&self, id: &ItemId) -> bool {
        match self.items.get(id) {
            Some(item) => item.waits_for_slot,
            None => id.as_branch().is_some_and(|(fan_out, position)| {
                self.fan_outs.get(&fan_out).is_some_and(|fan_out| fan_out.branches.waits_for_slot(position))
            }),
        }
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// There is work to do.
    Running,
    /// There is work to do, and none of it is taken up until the run is resumed.
    Paused,
    /// All work is done and there is an output.
    Completed,
    /// A step failed, or the work ended without an output.
    Failed,
    /// The run was told to stop.
    Cancelled,
}

impl Status {
    /// Whether the status never changes again.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// The word for it on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Status {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        [Self::Running, Self::Paused, Self::Completed, Self::Failed, Self::Cancelled]
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or_else(|| {
                format!("unknown status {word:?}: use running, paused, completed, failed or cancelled")
            })
    }
}

/// A pending work item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The node to run.
    pub node: String,
    /// What to run it with.
    pub input: Input,
    /// The branch of a fan-out that the item goes on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<Branch>,
    /// The ticket that was held when the item was committed. If its holder is lost, the redelivery of that ticket
    /// finds the item by this.
    pub ticket_item: ItemId,
    /// Whether the item waits for a place at its node, which takes only so many at a time. It has no ticket then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits_for_slot: bool,
    /// The span of the step that begot the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_span: Option<u64>,
    /// When the item began to be pending.
    pub pending_since: Timestamp,
}

/// What a work item is to be run with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// One encoded work item.
    One(Payload),
    /// The values that reached a gathering node.
    Gathered(Arrivals),
}

/// An encoded value, here or in a chunk beside the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// The value.
    Inline(Bytes),
    /// The only entry of this chunk.
    Chunk(ChunkRef),
}

/// An output of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The item whose step produced it.
    pub item: ItemId,
    /// The node that produced it.
    pub node: String,
    /// The encoded value.
    pub value: Bytes,
}

/// Why a run, or a caught step, failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// The item whose step failed; `None` where the run itself did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemId>,
    /// The node that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Which attempt failed, from 1.
    pub attempt: u32,
    /// A stable word for the kind of error.
    pub kind: String,
    /// The error's own words.
    pub message: String,
}

/// The failures that a fallback handled_failures: all are counted, the latest are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HandledFailures {
    /// How many there were.
    pub count: u64,
    /// The latest of them.
    pub latest: Vec<RunError>,
}

impl HandledFailures {
    /// How many are kept: a snapshot has to stay small however many steps fail.
    const KEPT: usize = 8;

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.latest.is_empty()
    }

    pub(super) fn record(&mut self, error: RunError) {
        self.count = self.count.saturating_add(1);
        if self.latest.len() >= Self::KEPT {
            self.latest.remove(0);
        }
        self.latest.push(error);
    }
}

/// The item that waits for a run to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The run that the item belongs to.
    pub run: RunKey,
    /// The item.
    pub item: ItemId,
    /// Its node.
    pub node: String,
    /// The build that started the child.
    pub build: Fingerprint,
}

/// A run's place in a trace. The ids are fixed at the start, so that steps can be children of the run's span, which is
/// written when the run ends.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Trace {
    /// The trace.
    pub trace_id: u128,
    /// The run's span.
    pub span_id: u64,
    /// The span of the caller that started the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<u64>,
    /// The W3C trace flags.
    pub flags: u8,
    /// The W3C trace state, as the caller sent it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub state: String,
}
