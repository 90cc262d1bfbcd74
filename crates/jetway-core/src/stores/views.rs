//! The views beside the records of runs.

use super::{
    ErrorStore, LivenessStore, MetricsStore, RunInfo, RunInfoError, RunInfoStore, WorkItemStateStore,
};
use jetway_state::{Error, run::Snapshot};
use std::sync::Arc;

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
    /// Brings the views of a run up to its record. May be repeated, and may come late: numbers only rise, and the
    /// first end stays.
    pub(crate) async fn follow(&self, snapshot: &Snapshot) -> Result<(), Error> {
        self.metrics.raise_metrics(snapshot.run_id.as_str(), snapshot.into()).await?;
        if snapshot.status.is_terminal() { self.list(snapshot.into()).await } else { Ok(()) }
    }

    /// Brings the list of runs up to `run`, also where the list does not know it.
    pub(crate) async fn list(&self, run: RunInfo) -> Result<(), Error> {
        let listed = match (run.status.is_terminal(), run.finished_at) {
            (true, Some(at)) => self.runs.finish_run(&run.run_id, run.status, run.output.clone(), at).await,
            _ => self.runs.change_status(&run.run_id, run.status).await,
        };
        match listed {
            Err(RunInfoError::NotFound) => self.runs.insert_new_run(run).await?,
            listed => listed?,
        };
        Ok(())
    }
}

/// Says that a view could not be written. Returns whether it could: no work depends on it.
pub(crate) fn written<T, E: std::fmt::Display>(written: &Result<T, E>, what: &str, whose: &str) -> bool {
    if let Err(error) = written {
        tracing::warn!(%error, whose, "{what} could not be written; the work goes on without it");
    }
    written.is_ok()
}

#[cfg(test)]
mod tests;
