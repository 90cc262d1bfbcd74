//! Fan-outs: branches that have not started, and values that wait for a gathering node.

use super::{bitset::BitSet, chunk::ChunkRef};
use crate::{ItemId, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The most branches that one fan-out can have.
pub(super) const MAX_BRANCHES: usize = 1 << 22;

/// Identifies a branch of a fan-out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Branch {
    /// The fan-out.
    pub fan_out: ItemId,
    /// The position of the branch in it.
    pub position: u32,
}

/// An open fan-out: many branches that one step created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FanOut {
    /// The node that opened it.
    pub opener: String,
    /// The branch that contains this fan-out, and continues when it closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outer: Option<Branch>,
    /// The number of branches that have not ended.
    pub open: u32,
    /// The branches whose first step is not committed.
    pub branches: PendingBranches,
    /// The values that arrived, by gathering node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arrivals: BTreeMap<String, Arrivals>,
    /// The gathering nodes that inner fan-outs have made ready.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub fired: BTreeSet<String>,
    /// The time that the branches whose first step is not committed wait for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// The time that the gathering nodes wait for, if a value for them is passed on later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gather_due: Option<Timestamp>,
    /// The item of the ticket that was held when the fan-out was committed.
    pub ticket_item: ItemId,
    /// The span of the step that opened it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_span: Option<u64>,
    /// The time when it was opened.
    pub pending_since: Timestamp,
}

/// The branches of a fan-out whose first step is not committed: a range of positions without those that are done. This is
/// compact, since a snapshot cannot hold ten thousand payloads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PendingBranches {
    /// The number of all branches.
    pub count: u32,
    /// The positions whose first step is committed.
    pub done: BitSet,
    /// The branches at nodes with a limit (`at_most`), by node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bounded: BTreeMap<String, Bounded>,
    /// The inputs in the snapshot, by position.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inline: BTreeMap<u32, BranchInput>,
    /// The chunks with the other inputs, in the order of positions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<BranchChunk>,
}

/// The branches at one node with a limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bounded {
    /// The positions that wait for a slot: they have no ticket.
    pub waiting: BitSet,
    /// The positions that have a slot, each with the item of the ticket under which it got it.
    pub in_flight: BTreeMap<u32, ItemId>,
}

/// The node and the encoded work item of a branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchInput {
    /// The node to run.
    pub node: String,
    /// The encoded work item.
    pub payload: Bytes,
}

/// A chunk that holds the payloads of a range of branches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchChunk {
    /// The first position in it; the chunk ends before the first position of the next one.
    pub first: u32,
    /// The chunk.
    pub chunk: ChunkRef,
}

impl PendingBranches {
    /// The number of branches whose first step is not committed.
    pub fn open(&self) -> u32 {
        self.count.saturating_sub(self.done.len())
    }

    /// Whether the first step of the branch at `position` is not committed.
    pub fn is_open(&self, position: u32) -> bool {
        position < self.count && !self.done.contains(position)
    }

    /// The positions whose first step is not committed.
    pub fn open_positions(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.count).filter(|position| !self.done.contains(*position))
    }

    /// Whether the branch at `position` waits for a slot at its node.
    pub fn waits_for_slot(&self, position: u32) -> bool {
        self.bounded.values().any(|bounded| bounded.waiting.contains(position))
    }

    /// The item of the ticket under which the branch at `position` got its slot; `None` if its node has no limit.
    pub fn admitted_under(&self, position: u32) -> Option<&ItemId> {
        self.bounded.values().find_map(|bounded| bounded.in_flight.get(&position))
    }

    /// Marks the branch at `position` as done.
    pub(super) fn take(&mut self, position: u32) {
        self.done.insert(position);
        self.inline.remove(&position);
        for bounded in self.bounded.values_mut() {
            bounded.in_flight.remove(&position);
            bounded.waiting.remove(position);
        }
    }

    /// The chunk that contains the input of the branch at `position`.
    pub fn chunk_of(&self, position: u32) -> Option<ChunkRef> {
        let behind = self.chunks.partition_point(|chunk| chunk.first <= position);
        behind.checked_sub(1).map(|index| self.chunks[index].chunk)
    }
}

/// The values that arrived for a gathering node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Arrivals {
    /// The number of values.
    pub count: u32,
    /// The values in the snapshot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inline: Vec<Arrival>,
    /// The chunks with the other values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<ChunkRef>,
}

/// One value that arrived for a gathering node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// The position of its branch: the values are sorted by it.
    pub position: u32,
    /// The item whose step produced it: sorts the values of one branch.
    pub from: ItemId,
    /// The span of that step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<u64>,
    /// The encoded work item for the gathering node, with this one value.
    pub payload: Bytes,
}

impl Arrival {
    /// The payloads in the order of the fan-out, which is the order that a gathering node sees.
    pub fn in_order(mut arrivals: Vec<Self>) -> Vec<Bytes> {
        arrivals.sort_by(|a, b| (a.position, &a.from).cmp(&(b.position, &b.from)));
        arrivals.into_iter().map(|arrival| arrival.payload).collect()
    }
}

impl Arrivals {
    pub(super) fn push(&mut self, arrival: Arrival) {
        self.count = self.count.saturating_add(1);
        self.inline.push(arrival);
    }

    pub(super) fn inline_bytes(&self) -> usize {
        self.inline.iter().map(|arrival| arrival.payload.len() + arrival.from.as_str().len() + 32).sum()
    }
}
