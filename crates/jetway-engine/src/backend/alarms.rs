//! Alarms: tickets that are published when their time has come.

use super::{BackendError, Ticket};
use async_trait::async_trait;
use jetway_state::{Fingerprint, Incarnation, RunKey, Timestamp, WorkflowName};

/// A ticket that is published at a time.
///
/// A run has one alarm, for the item that is due first. Whoever gets the ticket looks at the record for all that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// When to publish the ticket, by the clock of the backend.
    pub due: Timestamp,
    /// The ticket. What made its item ready ([`Ticket::woken_by`]) is the record that armed the alarm.
    pub ticket: Ticket,
    /// The build that the ticket is for.
    pub build: Fingerprint,
}

/// Publishes tickets when their time has come.
///
/// An alarm is a hint: it may ring late, more than once or, after the backend has lost data, never. It never rings early by the
/// clock of the backend ([`Hosts::clock`](super::Hosts::clock)). The record of the run says what is due.
#[async_trait]
pub trait Alarms: Send + Sync {
    /// Arms an alarm. It is durable when this returns, as far as the backend makes alarms durable. Arming the same alarm twice
    /// has the effect of once; an alarm of the same run for another time is not touched. A time that has passed rings at once.
    ///
    /// # Errors
    /// `Unavailable`, and `NoRoom` if a limit is reached.
    async fn arm(&self, alarm: Alarm) -> Result<(), BackendError>;

    /// Disarms the alarm of a run for that time, or all its alarms, as far as they have not rung.
    async fn disarm(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        due: Option<Timestamp>,
    ) -> Result<(), BackendError>;

    /// Publishes the tickets of the alarms of a workflow that were due between `since` and `until` and have not rung. Returns
    /// their number. A correct backend has none.
    async fn ring_overdue(
        &self,
        workflow: &WorkflowName,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<u64, BackendError>;
}
