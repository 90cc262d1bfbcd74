//! Identifies an attempt at a work item.

use super::{
    attempt::{AttemptReport, EncodedOutcome},
    snapshot::RunError,
};
use crate::{Error, Incarnation, ItemId, Timestamp};
use bytes::Bytes;

/// Identifies an attempt at a work item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptId {
    /// The incarnation of the run.
    pub incarnation: Incarnation,
    /// The item.
    pub item: ItemId,
    /// Its node.
    pub node: String,
    /// The number of the attempt, from 1.
    pub number: u32,
}

impl AttemptId {
    /// The error of this attempt, for the record.
    pub fn error(&self, error: &Error) -> RunError {
        self.error_of_kind(error.kind(), error.to_string())
    }

    /// The same for a reason that is not an [`Error`].
    pub fn error_of_kind(&self, kind: &str, message: String) -> RunError {
        RunError {
            item: Some(self.item.clone()),
            node: Some(self.node.clone()),
            attempt: self.number,
            kind: kind.to_owned(),
            message: RunError::bounded(message),
        }
    }

    /// The report on this attempt, which ended at `timestamp` under the ticket of `ticket_item`. `context` is `None` if
    /// the attempt did not change it.
    pub fn report(
        self,
        ticket_item: ItemId,
        timestamp: Timestamp,
        produced: EncodedOutcome,
        context: Option<Bytes>,
    ) -> AttemptReport {
        let Self { incarnation, item, node, number } = self;
        AttemptReport {
            incarnation,
            item,
            node,
            ticket_item,
            number,
            timestamp,
            span: None,
            produced,
            context,
        }
    }
}
