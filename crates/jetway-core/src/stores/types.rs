//! What is told about runs, their errors and their numbers.

use chrono::{DateTime, Utc};
use jetway_state::{
    Timestamp, json,
    run::{Snapshot, Status},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

// Where code written against the interface looks for them as well.
pub use super::{error_store::ErrorStoreError, liveness_store::LivenessStoreError};
pub use crate::workflow::callbacks::{ItemProcessedOutcome, StepCallbacks, StepError};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RunStatus {
    /// There is work to do.
    Running,
    /// All work is done and there is an output.
    Completed,
    /// A step failed, or the work ended without an output.
    Failed,
    /// The run was told to stop.
    Cancelled,
    /// There is work to do, and none of it is taken up until the run is resumed.
    Paused,
}

impl RunStatus {
    /// Whether the status never changes again.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl From<Status> for RunStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Running => Self::Running,
            Status::Paused => Self::Paused,
            Status::Completed => Self::Completed,
            Status::Failed => Self::Failed,
            Status::Cancelled => Self::Cancelled,
        }
    }
}

/// A run, as lists show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// The run.
    pub run_id: String,
    /// Where it stands.
    pub status: RunStatus,
    /// When it began to exist.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Its first output, once it has ended.
    pub output: Option<Value>,
}

/// What a run's record says.
impl From<&Snapshot> for RunInfo {
    fn from(snapshot: &Snapshot) -> Self {
        let ended = snapshot.status.is_terminal();
        let output = snapshot.outputs.first().filter(|_| ended);
        Self {
            run_id: snapshot.run_id.to_string(),
            status: snapshot.status.into(),
            started_at: date_time(snapshot.started_at),
            finished_at: snapshot.finished_at.map(date_time),
            output: output.map(|output| json::from_cbor(&output.value).unwrap_or_default()),
        }
    }
}

/// A time as `chrono` has it.
pub(crate) fn date_time(at: Timestamp) -> DateTime<Utc> {
    i64::try_from(at.0).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
}

/// A failed attempt at a work item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowError {
    /// The work item, in its `Display` form.
    pub work_item: String,
    /// The error's own words.
    pub error: String,
    /// Which attempt failed, from 1.
    pub attempt: usize,
    /// When it failed.
    pub timestamp: DateTime<Utc>,
}

/// The numbers of a run. None of them ever becomes smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunMetrics {
    /// How many work items there were: those that are done and those still to be run.
    pub total_work_items: usize,
    /// How many of them succeeded, those that end the run included.
    pub completed: usize,
    /// How many of them failed for good, those that an `on_failure` edge caught included.
    pub failed: usize,
    /// How many failed attempts were followed by another one.
    pub retries: usize,
}

impl RunMetrics {
    /// Both together: each number is the sum.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            total_work_items: self.total_work_items.saturating_add(more.total_work_items),
            completed: self.completed.saturating_add(more.completed),
            failed: self.failed.saturating_add(more.failed),
            retries: self.retries.saturating_add(more.retries),
        }
    }

    /// The later of two views of one run: each number is the greater one.
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

/// What a run's record says. It does not know of retries: a retried attempt leaves no mark in the record.
impl From<&Snapshot> for RunMetrics {
    fn from(snapshot: &Snapshot) -> Self {
        let steps = usize::try_from(snapshot.steps).unwrap_or(usize::MAX);
        let no_output = jetway_state::Error::NoOutput.kind();
        let last = snapshot.error.as_ref().is_some_and(|e| e.item.is_some() && e.kind != no_output);
        let caught = usize::try_from(snapshot.handled_failures.count).unwrap_or(usize::MAX);
        let failed = caught.saturating_add(usize::from(last));
        Self {
            total_work_items: steps.saturating_add(snapshot.pending()),
            completed: steps.saturating_sub(failed),
            failed,
            retries: 0,
        }
    }
}

/// Whether a worker still gives signs of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LivenessStatus {
    /// The last sign is recent.
    Alive,
    /// The last sign is older than it should be.
    Stale,
    /// The last sign is long ago, or there never was one.
    Dead,
}
