//! The views of runs, which are kept beside the snapshots for people and for lists. No work depends on them.

use super::{
    ErrorStore, LivenessStore, MetricsStore, RunInfo, RunInfoError, RunInfoStore, WorkItemStateStore,
};
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
    /// first end of a run stays.
    pub(crate) async fn update(&self, snapshot: &Snapshot) -> Result<(), Error> {
        self.metrics.raise_metrics(snapshot.run_id.as_str(), snapshot.into()).await?;
        if snapshot.status.is_terminal() {
            self.update_list(RunInfo::try_from(snapshot)?).await
        } else {
            Ok(())
        }
    }

    /// Updates the entry of `run` in the list of runs, or adds it.
    pub(crate) async fn update_list(&self, run: RunInfo) -> Result<(), Error> {
        let updated = match (run.status.is_terminal(), run.finished_at) {
            (true, Some(at)) => self.runs.finish_run(&run.run_id, run.status, run.output.clone(), at).await,
            _ => self.runs.change_status(&run.run_id, run.status).await,
        };
        match updated {
            Err(RunInfoError::NotFound) => self.runs.insert_new_run(run).await?,
            updated => updated?,
        };
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
