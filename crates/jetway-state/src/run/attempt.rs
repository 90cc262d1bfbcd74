//! The report of an attempt at a work item, encoded.

use super::{
    attempt_id::AttemptId,
    begin::RunInput,
    children::{ChildStart, ChildWanted, EndedChild, ManyWanted},
    output::EncodedOutput,
    signal::SignalWanted,
    snapshot::RunError,
    wait::Later,
};
use crate::{Incarnation, ItemId, Seen, Timestamp};
use bytes::Bytes;

/// The report of a worker on one attempt at a work item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptReport {
    /// The incarnation of the run that the attempt belongs to.
    pub incarnation: Incarnation,
    /// The item.
    pub item: ItemId,
    /// Its node.
    pub node: String,
    /// The item of the ticket that the worker holds.
    pub ticket_item: ItemId,
    /// The number of the attempt, from 1.
    pub number: u32,
    /// The time of its end.
    pub timestamp: Timestamp,
    /// The span of the attempt, if it has one that is exported.
    pub span: Option<EndedSpan>,
    /// The outcome of the node.
    pub produced: EncodedOutcome,
    /// The context after the attempt; `None` if it did not change.
    pub context: Option<Bytes>,
}

/// A span that has ended before the commit that reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedSpan {
    /// Its id in the trace of the run.
    pub id: u64,
    /// Its end, in microseconds since 1970.
    pub end_micros: u64,
}

/// The outcome of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EncodedOutcome {
    /// One value.
    Next(EncodedEmission),
    /// One value, which is passed on later.
    NextLater(Later, EncodedEmission),
    /// Many values.
    NextAll(Vec<EncodedEmission>),
    /// The run goes on as a run that begins with this input.
    ContinueAsNew(RunInput),
    /// Nothing.
    Hold,
    /// The node failed, and runs again.
    Retry(NextTry, RunError),
    /// Not yet known: the item waits for signals.
    WaitFor(SignalWanted),
    /// Nothing ran: the item is due, and needs a slot at its node.
    Admit,
    /// Nothing ran: the run was cancelled before the node did, and this is what the `on_cancel` edge of the node leads to.
    CleanUp(Option<EncodedEmission>),
    /// Not yet known: the item waits for this child run.
    Await(ChildWanted),
    /// Not yet known: the child run that the item waits for is started, and this is its record.
    Started(Seen),
    /// Not yet known: the item waits for many child runs.
    AwaitMany(ManyWanted),
    /// Not yet known: of the child runs that the item waits for, these are started, with their records, and these could not be.
    StartedMany(Vec<(u32, Seen)>, Vec<EndedChild>),
    /// The node failed, and its `on_failure` edge handles the error.
    Handled(RunError, EncodedEmission),
    /// The node failed.
    Failed(RunError),
}

/// When a failed node runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextTry {
    /// At a time.
    At {
        /// The time.
        due: Timestamp,
        /// When the failed attempt began.
        began: Timestamp,
    },
    /// When a person asks for it.
    WhenAsked {
        /// When the failed attempt began.
        began: Timestamp,
    },
}

impl NextTry {
    /// When the failed attempt began.
    pub fn began(self) -> Timestamp {
        match self {
            Self::At { began, .. } | Self::WhenAsked { began } => began,
        }
    }
}

impl EncodedOutcome {
    /// Whether the item stays pending.
    pub(super) fn keeps_item(&self) -> bool {
        match self {
            Self::Await(_)
            | Self::Started(_)
            | Self::AwaitMany(_)
            | Self::StartedMany(..)
            | Self::Admit
            | Self::Retry(..)
            | Self::WaitFor(_) => true,
            Self::Next(_)
            | Self::NextLater(..)
            | Self::NextAll(_)
            | Self::Hold
            | Self::ContinueAsNew(_)
            | Self::Handled(..)
            | Self::CleanUp(_)
            | Self::Failed(_) => false,
        }
    }
}

impl EncodedOutcome {
    /// Whether the node has run and not failed.
    pub(super) fn is_success(&self) -> bool {
        matches!(self, Self::Next(_) | Self::NextLater(..) | Self::NextAll(_) | Self::Hold)
    }

    /// The number of steps that it commits.
    pub(super) fn steps(&self) -> u64 {
        u64::from(!matches!(self, Self::CleanUp(_)))
    }
}

/// What one value of a node leads to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncodedEmission {
    /// The successors, in the order of the edges.
    pub successors: Vec<Successor>,
    /// The value itself, if it is an output of the run.
    pub output: Option<EncodedOutput>,
    /// The detached child runs that are started with it.
    pub starts: Vec<ChildStart>,
}

/// A work item that a step creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    /// The node to run.
    pub node: String,
    /// The encoded work item.
    pub payload: Bytes,
}

impl AttemptReport {
    /// The same attempt with the outcome of its failure, and without a change of the context: its result cannot be committed.
    #[must_use]
    pub fn without_result(self, produced: EncodedOutcome) -> Self {
        Self { produced, context: None, ..self }
    }

    /// The id of the attempt.
    pub fn id(&self) -> AttemptId {
        AttemptId {
            incarnation: self.incarnation,
            item: self.item.clone(),
            node: self.node.clone(),
            number: self.number,
        }
    }
}
