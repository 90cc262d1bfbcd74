//! The views of runs, which are kept beside the snapshots for people and for lists. No work depends on them.

use super::{ErrorStore, LivenessStore, MetricsStore, RunInfo, RunInfoStore, WorkItemStateStore};
use jetway_state::{Error, run::Snapshot};
use std::{fmt::Display, sync::Arc};

/// The stores of all views.
pub(crate) struct Views<WI> {
    pub(crate) runs: Arc<dyn RunInfoStore>,
    pub(crate) metrics: Arc<dyn MetricsStore>,
    pub(crate) errors: Arc<dyn ErrorStore>,
    pub(crate) liveness: Arc<dyn LivenessStore>,
    pub(crate) items: Arc<dyn WorkItemStateStore<WI>>,
}

impl<WI> Clone for Views<WI> {
    fn clone(&self) -> Self {
        Self {
            runs: Arc::clone(&self.runs),
            metrics: Arc::clone(&self.metrics),
            errors: Arc::clone(&self.errors),
            liveness: Arc::clone(&self.liveness),
            items: Arc::clone(&self.items),
        }
    }
}

impl<WI> Views<WI> {
    /// Updates the views of a run from its snapshot. Calls may repeat and come late: metrics only increase, and the
    /// first end of a run stays. The first step replaces the entry of an earlier run with this id in the list of runs.
    pub(crate) async fn update(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let (run_id, incarnation) = (snapshot.run_id.as_str(), snapshot.incarnation);
        self.metrics.raise_metrics_of(run_id, incarnation, snapshot.into()).await?;
        if snapshot.status.is_terminal() || snapshot.steps == 1 { self.list(snapshot).await } else { Ok(()) }
    }

    /// Updates the entry of a run in the list of runs, or adds it.
    pub(crate) async fn list(&self, snapshot: &Snapshot) -> Result<(), Error> {
        self.runs.list_run_of(RunInfo::try_from(snapshot)?, snapshot.incarnation).await?;
        Ok(())
    }
}

/// Logs that a view of a run could not be written. Returns whether it was written.
pub(crate) fn log_failure<T, E: Display>(written: &Result<T, E>, view: &str, run: &str) -> bool {
    if let Err(error) = written {
        tracing::warn!(run, %error, "cannot write the {view} view of a run; the run continues without it");
    }
    written.is_ok()
}

#[cfg(test)]
mod tests;
