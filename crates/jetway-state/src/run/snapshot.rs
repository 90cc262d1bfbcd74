//! The durable record of a run.

use super::{
    children::{ChildGroup, ChildIntent, OnParentCancel},
    chunk::ChunkRef,
    clean_up::Cancellation,
    fan_out::{Arrivals, Branch, FanOut},
    mailbox::Mailbox,
    output::EncodedOutput,
    retry::Failures,
    unreadable::UnreadableItem,
    wait::Wait,
};
use crate::{
    CommitId, Error, Fingerprint, Incarnation, ItemId, RunId, RunKey, Seen, Timestamp, WorkflowName,
    json::shortened,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeMap};

/// The durable record of a run. Its pending items are the outbox: each of them has a ticket, or gets one again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The workflow.
    pub workflow: WorkflowName,
    /// The run.
    pub run_id: RunId,
    /// The identity of this start of the run id, or of this continuation.
    pub incarnation: Incarnation,
    /// The commit that wrote this snapshot.
    pub commit: CommitId,
    /// The status of the run.
    pub status: Status,
    /// The encoded context.
    pub context: Bytes,
    /// The pending items, except the branches of fan-outs that have not started.
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
    /// The failures that an `on_failure` edge handled.
    #[serde(default, skip_serializing_if = "HandledFailures::is_empty")]
    pub handled_failures: HandledFailures,
    /// The number of committed steps.
    pub steps: u64,
    /// The time of the start.
    pub started_at: Timestamp,
    /// The time of the last commit. One that only counts an attempt or marks an item does not move it: until then, all that became due has
    /// a ticket, and the next alarm is armed.
    pub updated_at: Timestamp,
    /// The time of the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// The trace of the run.
    pub trace: Trace,
    /// A digest of the input, to detect a second start with another input.
    #[serde(with = "serde_bytes")]
    pub input_digest: Vec<u8>,
    /// The items that wait for a child run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub children: BTreeMap<ItemId, Child>,
    /// The items that wait for many child runs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub child_groups: BTreeMap<ItemId, ChildGroup>,
    /// What the run means to do to child runs and has not done yet, as far as is known. Also in a run that has ended: its record does
    /// not expire before that is done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intents: Vec<ChildIntent>,
    /// The pending items that wait for a time or a signal, apart from the branches of fan-outs that wait as a whole. One whose time
    /// has come, or that has its signals, is ready.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waits: BTreeMap<ItemId, Wait>,
    /// The signals that no step has taken.
    #[serde(default, skip_serializing_if = "Mailbox::is_unused")]
    pub mailbox: Mailbox,
    /// The failed attempts at pending items that are made again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<ItemId, Failures>,
    /// The numbers of the latest attempts at items that had more than one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attempts: BTreeMap<ItemId, u32>,
    /// The item that waits for this run to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// Whether a commit of this run wrote chunks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub chunked: bool,
    /// The pending items that a build cannot read: they have no ticket.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unreadable: BTreeMap<ItemId, UnreadableItem>,
    /// The items and fan-outs that another build wrote than the one that the record is written for, and that build.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub written_by: BTreeMap<ItemId, Fingerprint>,
    /// Whether the workflow has `on_cancel` edges, according to the host that started the run: whoever cancels the run may not know
    /// the workflow.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_clean_up: bool,
    /// That the run was cancelled, and how its clean-up goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Cancellation>,
    /// When the run fails if it has not ended before. A paused run goes on to have it: the pause is added when it is resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Since when the run is paused, if it has a deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Timestamp>,
    /// The first incarnation of the run, if it has continued as new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Incarnation>,
    /// How often it has.
    #[serde(default, skip_serializing_if = "never")]
    pub continued: u32,
}

impl Snapshot {
    /// The key of the run.
    pub fn key(&self) -> RunKey {
        RunKey::new(self.workflow.clone(), self.run_id.clone())
    }

    /// The time of the next commit: `now`, but never before the last commit. The host of that one may have another clock.
    pub(super) fn next_time(&self, now: Timestamp) -> Timestamp {
        now.max(self.updated_at)
    }

    /// The failure of the step of `item` as it was committed, whether it ended the run or an `on_failure` edge handled it; of
    /// handled failures the latest are known. A run that ended without an output is no failure of its last step.
    pub fn failure_of(&self, item: &ItemId) -> Option<&RunError> {
        let ended = self.error.iter().filter(|error| error.kind != Error::NoOutput.kind());
        ended.chain(&self.handled_failures.latest).find(|error| error.item.as_ref() == Some(item))
    }

    /// Whether the record may expire: the run has ended, and nothing is left to be done to other runs.
    pub fn may_expire(&self) -> bool {
        self.status.is_terminal() && self.intents.is_empty()
    }

    /// The number of pending items.
    pub fn pending(&self) -> usize {
        self.items.len()
            + self.fan_outs.values().map(|fan_out| fan_out.branches.open() as usize).sum::<usize>()
    }

    /// Whether the item is pending, also if the run is paused.
    pub fn is_pending(&self, id: &ItemId) -> bool {
        if self.status.is_terminal() {
            return false;
        }
        self.items.contains_key(id)
            || id.as_branch().is_some_and(|(fan_out, position)| {
                self.fan_outs.get(&fan_out).is_some_and(|fan_out| fan_out.branches.is_open(position))
            })
    }

    /// Whether the item is pending and waits for a slot at its node.
    pub fn waits_for_slot(&self, id: &ItemId) -> bool {
        match self.items.get(id) {
            Some(item) => item.waits_for_slot,
            None => id.as_branch().is_some_and(|(fan_out, position)| {
                self.fan_outs.get(&fan_out).is_some_and(|fan_out| fan_out.branches.waits_for_slot(position))
            }),
        }
    }
}

/// The status of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// There are pending items.
    Running,
    /// There are pending items, and none of them starts until the run is resumed.
    Paused,
    /// The run was cancelled, and its clean-up has not ended.
    Cancelling,
    /// All work is done, and there is an output.
    Completed,
    /// A step failed, or all work is done without an output.
    Failed,
    /// The run was cancelled.
    Cancelled,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::Running, Self::Paused, Self::Cancelling, Self::Completed, Self::Failed, Self::Cancelled];

    /// Whether the status never changes again.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Whether steps start.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Cancelling)
    }

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Cancelling => "cancelling",
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
        Self::ALL.into_iter().find(|status| status.as_str() == word).ok_or_else(|| {
            format!(
                "unknown status {word:?}; use running, paused, cancelling, completed, failed or cancelled"
            )
        })
    }
}

/// A pending work item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The node to run.
    pub node: String,
    /// Its input.
    pub input: Input,
    /// The branch that the item belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<Branch>,
    /// The item of the ticket that was held when this item was committed. If its holder crashed, the redelivery of that
    /// ticket finds the item by this.
    pub ticket_item: ItemId,
    /// Whether the item waits for a slot at its node, which has a limit (`at_most`). It has no ticket then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits_for_slot: bool,
    /// The span of the step that created the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_span: Option<u64>,
    /// Since when the item is pending.
    pub pending_since: Timestamp,
}

/// The input of a work item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// One encoded work item.
    One(Payload),
    /// The values that arrived for a gathering node.
    Gathered(Arrivals),
    /// No node runs: this output of the run is recorded when the item is due.
    Output(EncodedOutput),
}

/// An encoded value, in the snapshot or in a chunk.
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
    /// The value.
    pub value: EncodedOutput,
}

/// The error of a run, or of a step whose failure was handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// The item whose step failed; `None` if the run itself failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemId>,
    /// The node that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The number of the failed attempt, from 1.
    pub attempt: u32,
    /// A stable word for the kind of error.
    pub kind: String,
    /// The message of the error.
    pub message: String,
}

impl RunError {
    /// The longest message that a record keeps, in bytes.
    pub const MAX_MESSAGE: usize = 8 * 1024;

    /// A message that fits into a record and into every answer. A longer one is cut, and says so.
    pub fn bounded(message: String) -> String {
        match shortened(&message, Self::MAX_MESSAGE) {
            Cow::Borrowed(_) => message,
            Cow::Owned(shortened) => shortened,
        }
    }
}

/// The failures that `on_failure` edges handled: all are counted, the latest are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HandledFailures {
    /// Their number.
    pub count: u64,
    /// The latest failures.
    pub latest: Vec<RunError>,
}

impl HandledFailures {
    /// How many failures are kept: a snapshot has to stay small, however many steps fail.
    const KEPT: usize = 8;

    /// Whether there is no failure.
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

/// A run that an item waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// The run.
    pub run: RunKey,
    /// Its record at its start; `None` if it is not known to be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Seen>,
    /// What becomes of it if the item does not wait for it any more.
    #[serde(default, skip_serializing_if = "OnParentCancel::is_default")]
    pub on_cancel: OnParentCancel,
    /// When it has to have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
}

/// The item of another run that waits for the end of this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The run that the item belongs to.
    pub run: RunKey,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The item.
    pub item: ItemId,
    /// Its node.
    pub node: String,
    /// The build that started this run.
    pub build: Fingerprint,
    /// The record of the other run that names this one.
    #[serde(default)]
    pub seen: Seen,
    /// The span of the step that asked for this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<u64>,
}

/// The trace of a run. The ids are fixed at the start, so that the spans of steps are children of the span of the run, which
/// is written when the run ends.
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
    /// The start of the run's span, in microseconds since 1970; zero if it is not known. The other times of the record have
    /// milliseconds, which is too coarse: a span has to cover its children.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_micros: u64,
    /// The end of the last of its committed steps' spans, in microseconds since 1970; zero if there is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub end_micros: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn never(times: &u32) -> bool {
    *times == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(micros: &u64) -> bool {
    *micros == 0
}
