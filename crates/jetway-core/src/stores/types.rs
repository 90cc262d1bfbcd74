//! The values in the views of runs and workers.

use chrono::{DateTime, Utc};
use jetway_state::{
    Error, Timestamp, json,
    run::{Snapshot, Status},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

// Floxide has them in this module too.
pub use super::{error_store::ErrorStoreError, liveness_store::LivenessStoreError};
pub use crate::workflow::callbacks::{ItemProcessedOutcome, StepCallbacks, StepError};

/// The status of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RunStatus {
    /// It has pending work items.
    Running,
    /// All work items are done, and there is an output.
    Completed,
    /// A step failed, or the run ended without an output.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// It starts no steps until it is resumed.
    Paused,
}

impl RunStatus {
    /// Whether the run has ended. Such a status never changes.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl From<Status> for RunStatus {
    fn from(status: Status) -> Self {
        match status {
            // A run over stores has no clean-up.
            Status::Running | Status::Cancelling => Self::Running,
            Status::Paused => Self::Paused,
            Status::Completed => Self::Completed,
            Status::Failed => Self::Failed,
            Status::Cancelled => Self::Cancelled,
        }
    }
}

/// A run in a list of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// The run id.
    pub run_id: String,
    /// The status.
    pub status: RunStatus,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it ended; `None` while it has not.
    pub finished_at: Option<DateTime<Utc>>,
    /// Its first output, as JSON; `None` while it has not ended.
    pub output: Option<Value>,
}

/// The run as its snapshot has it.
impl TryFrom<&Snapshot> for RunInfo {
    type Error = Error;

    /// # Errors
    /// [`Error::Codec`] where the output in the record is not JSON.
    fn try_from(snapshot: &Snapshot) -> Result<Self, Error> {
        let ended = snapshot.status.is_terminal();
        let output = snapshot.outputs.first().filter(|_| ended);
        Ok(Self {
            run_id: snapshot.run_id.to_string(),
            status: snapshot.status.into(),
            started_at: date_time(snapshot.started_at),
            finished_at: snapshot.finished_at.map(date_time),
            output: output.map(|output| json::read(&output.value.json, &"an output")).transpose()?,
        })
    }
}

/// A time as `chrono` has it.
pub(crate) fn date_time(at: Timestamp) -> DateTime<Utc> {
    i64::try_from(at.0).ok().and_then(DateTime::from_timestamp_millis).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// A failed attempt at a work item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowError {
    /// The work item, in its `Display` form.
    pub work_item: String,
    /// The error's text.
    pub error: String,
    /// The number of the attempt, from 1.
    pub attempt: usize,
    /// When it failed.
    pub timestamp: DateTime<Utc>,
}

/// The metrics of a run. They never decrease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunMetrics {
    /// The number of work items so far, pending ones included.
    pub total_work_items: usize,
    /// How many of them succeeded.
    pub completed: usize,
    /// How many of them failed without a further retry, including those that an `on_failure` edge handled.
    pub failed: usize,
    /// How many failed attempts were retried.
    pub retries: usize,
}

impl RunMetrics {
    /// The sum of both, metric by metric.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            total_work_items: self.total_work_items.saturating_add(more.total_work_items),
            completed: self.completed.saturating_add(more.completed),
            failed: self.failed.saturating_add(more.failed),
            retries: self.retries.saturating_add(more.retries),
        }
    }

    /// The greater of both, metric by metric.
    #[must_use]
    pub fn at_least(self, known: Self) -> Self {
        Self {
            total_work_items: self.total_work_items.max(known.total_work_items),
            completed: self.completed.max(known.completed),
            failed: self.failed.max(known.failed),
            retries: self.retries.max(known.retries),
        }
    }
}

/// The metrics as the snapshot has them. It does not count retries, so `retries` is 0.
impl From<&Snapshot> for RunMetrics {
    fn from(snapshot: &Snapshot) -> Self {
        let steps = usize::try_from(snapshot.steps).unwrap_or(usize::MAX);
        let no_output = Error::NoOutput.kind();
        let last = snapshot.error.as_ref().is_some_and(|e| e.item.is_some() && e.kind != no_output);
        let handled = usize::try_from(snapshot.handled_failures.count).unwrap_or(usize::MAX);
        let failed = handled.saturating_add(usize::from(last));
        Self {
            total_work_items: steps.saturating_add(snapshot.pending()),
            completed: steps.saturating_sub(failed),
            failed,
            retries: 0,
        }
    }
}

/// The liveness of a worker, by the age of its last heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LivenessStatus {
    /// The last heartbeat is recent.
    Alive,
    /// The last heartbeat is older than the threshold.
    Stale,
    /// The last heartbeat is older than three times the threshold, or there is none.
    Dead,
}
