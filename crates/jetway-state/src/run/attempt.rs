//! What came of one attempt at a work item, encoded.

use super::snapshot::RunError;
use crate::{ItemId, RunKey, Timestamp};
use bytes::Bytes;

/// One attempt at a work item, as a worker reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptReport {
    /// The item.
    pub item: ItemId,
    /// The node that ran.
    pub node: String,
    /// The ticket that the worker holds.
    pub ticket_item: ItemId,
    /// Which attempt this is, from 1.
    pub number: u32,
    /// When the attempt ended.
    pub timestamp: Timestamp,
    /// The span of the attempt.
    pub span: Option<u64>,
    /// What the node answered.
    pub produced: EncodedOutcome,
    /// The context after the attempt; `None` where it did not change.
    pub context: Option<Bytes>,
}

/// What a node answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EncodedOutcome {
    /// One value.
    Next(EncodedEmission),
    /// Many values.
    NextAll(Vec<EncodedEmission>),
    /// Nothing.
    Hold,
    /// Nothing yet: the item waits for this child run.
    Await(RunKey),
    /// Nothing yet: the child run that the item waits for is started.
    Started,
    /// The node failed, and its fallback goes on.
    Handled(RunError, EncodedEmission),
    /// The node failed.
    Failed(RunError),
}

/// What one value led to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncodedEmission {
    /// The successors, in the order of the edges.
    pub successors: Vec<Successor>,
    /// The value itself, where it is an output of the run.
    pub output: Option<Bytes>,
}

/// A work item to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    /// The node to run.
    pub node: String,
    /// The encoded work item.
    pub payload: Bytes,
}

impl AttemptReport {
    /// The same attempt, failed with another error and with no change to the context: for a result that cannot be
    /// committed.
    #[must_use]
    pub fn failed(self, kind: &str, message: String) -> Self {
        let error = RunError {
            item: Some(self.item.clone()),
            node: Some(self.node.clone()),
            attempt: self.number,
            kind: kind.to_owned(),
            message,
        };
        Self { produced: EncodedOutcome::Failed(error), context: None, ..self }
    }
}
