//! Fan-outs: branches still to be taken up, and values that wait for a gathering node.

use super::{bitset::BitSet, chunk::ChunkRef};
use crate::{ItemId, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The most branches that one fan-out can have.
pub(super) const MAX_BRANCHES: usize = 1 << 22;

/// Which branch of which fan-out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Branch {
    /// The fan-out.
    pub fan_out: ItemId,
    /// The position of the branch in it.
    pub position: u32,
}

/// An open fan-out: many branches that one step begot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FanOut {
    /// The node that opened it.
    pub opener: String,
    /// The branch that goes on when this fan-out closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outer: Option<Branch>,
    /// How many branches have not ended.
    pub open: u32,
    /// The branches that have not been taken up.
    pub branches: PendingBranches,
    /// The values that wait, by gathering node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arrivals: BTreeMap<String, Arrivals>,
    /// The gathering nodes that inner fan-outs have fired.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub fired: BTreeSet<String>,
    /// The ticket that was held when the fan-out was committed.
    pub ticket_item: ItemId,
    /// The span of the step that opened it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_span: Option<u64>,
    /// When it was opened.
    pub pending_since: Timestamp,
}

/// The branches of a fan-out that have not been taken up: a range of positions, less those that are done. Compact: a
/// snapshot cannot carry ten thousand payloads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PendingBranches {
    /// How many branches there were.
    pub count: u32,
    /// The positions that were taken up and committed.
    pub done: BitSet,
    /// The branches of nodes that take only so many items at a time, by node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bounded: BTreeMap<String, Bounded>,
    /// Payloads that are here, by position.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inline: BTreeMap<u32, BranchInput>,
    /// Payloads that are in chunks, in the order of their positions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<BranchChunk>,
}

/// The branches of one node that takes only so many items at a time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bounded {
    /// The positions that wait for a place: they have no ticket.
    pub waiting: BitSet,
    /// The positions that have a place, each with the ticket under which it got it.
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
    /// The first position in it; it reaches to the first one of the next chunk.
    pub first: u32,
    /// The chunk.
    pub chunk: ChunkRef,
}

impl PendingBranches {
    /// How many branches have not been taken up.
    pub fn open(&self) -> u32 {
        self.count.saturating_sub(self.done.len())
    }

    /// Whether the branch at `position` has not been taken up.
    pub fn is_open(&self, position: u32) -> bool {
        position < self.count && !self.done.contains(position)
    }

    /// The positions that have not been taken up.
    pub fn open_positions(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.count).filter(|position| !self.done.contains(*position))
    }

    /// Whether the branch at `position` waits for a place at its node.
    pub fn waits_for_slot(&self, position: u32) -> bool {
        self.bounded.values().any(|bounded| bounded.waiting.contains(position))
    }

    /// The ticket under which the branch at `position` got its place; `None` where its node has places for all.
    pub fn admitted_under(&self, position: u32) -> Option<&ItemId> {
        self.bounded.values().find_map(|bounded| bounded.in_flight.get(&position))
    }

    /// The branch at `position` is taken up.
    pub(super) fn take(&mut self, position: u32) {
        self.done.insert(position);
        self.inline.remove(&position);
        for bounded in self.bounded.values_mut() {
            bounded.in_flight.remove(&position);
            bounded.waiting.remove(position);
        }
    }

    /// The chunk that holds the payload at `position`.
    pub fn chunk_of(&self, position: u32) -> Option<ChunkRef> {
        let behind = self.chunks.partition_point(|chunk| chunk.first <= position);
        behind.checked_sub(1).map(|index| self.chunks[index].chunk)
    }
}

/// The values that wait for a gathering node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Arrivals {
    /// How many arrived.
    pub count: u32,
    /// Those that are here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inline: Vec<Arrival>,
    /// The chunks that hold the rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<ChunkRef>,
}

/// One value that reached a gathering node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// The position of its branch: what the values are sorted by.
    pub position: u32,
    /// The item whose step produced it; sorts values of one branch.
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
