//! The store that lists runs.

use super::{RunInfo, RunStatus, by_incarnation::listed};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use jetway_state::Incarnation;
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};
use tokio::sync::Mutex;

/// The error of a store of runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunInfoError {
    /// The store could not be read or written.
    #[error("I/O error: {0}")]
    Io(String),
    /// The store does not know the run.
    #[error("Run not found")]
    NotFound,
    /// Any other error.
    #[error("Other error: {0}")]
    Other(String),
}

impl From<RunInfoError> for jetway_state::Error {
    fn from(error: RunInfoError) -> Self {
        match error {
            RunInfoError::NotFound => Self::NotStarted,
            RunInfoError::Io(_) | RunInfoError::Other(_) => Self::Storage(error.to_string()),
        }
    }
}

/// Lists runs with their status, for people.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use jetway_core::distributed::{InMemoryRunInfoStore, RunInfo, RunInfoStore, RunStatus};
///
/// let store = InMemoryRunInfoStore::default();
/// let started_at = chrono::Utc::now();
/// let run = RunInfo {
///     run_id: "r1".into(), status: RunStatus::Running, started_at, finished_at: None, output: None,
/// };
/// store.insert_run(run).await?;
/// assert!(store.finish_run("r1", RunStatus::Completed, Some(7.into()), started_at).await?);
/// // A run that has ended stays as it is.
/// assert!(!store.finish_run("r1", RunStatus::Failed, None, started_at).await?);
/// assert_eq!(store.list_runs(Some(RunStatus::Completed)).await?.len(), 1);
/// # Ok::<_, jetway_core::distributed::RunInfoError>(()) }).unwrap();
/// ```
#[async_trait]
pub trait RunInfoStore: Send + Sync {
    /// Adds a run, or replaces it.
    ///
    /// # Errors
    /// The error of the store.
    async fn insert_run(&self, info: RunInfo) -> Result<(), RunInfoError>;

    /// Sets the status of a run, even of one that has ended. [`change_status`](Self::change_status) does not change
    /// those.
    ///
    /// # Errors
    /// [`RunInfoError::NotFound`], or the error of the store.
    async fn update_status(&self, run_id: &str, status: RunStatus) -> Result<(), RunInfoError>;

    /// Sets the time at which a run ended.
    ///
    /// # Errors
    /// [`RunInfoError::NotFound`], or the error of the store.
    async fn update_finished_at(&self, run_id: &str, finished_at: DateTime<Utc>) -> Result<(), RunInfoError>;

    /// The run; `None` where the store does not know it.
    ///
    /// # Errors
    /// The error of the store.
    async fn get_run(&self, run_id: &str) -> Result<Option<RunInfo>, RunInfoError>;

    /// The runs with this status, or all runs, ordered by start time.
    ///
    /// # Errors
    /// The error of the store.
    async fn list_runs(&self, filter: Option<RunStatus>) -> Result<Vec<RunInfo>, RunInfoError>;

    /// Sets the output of a run.
    ///
    /// # Errors
    /// [`RunInfoError::NotFound`], or the error of the store.
    async fn update_output(&self, run_id: &str, output: serde_json::Value) -> Result<(), RunInfoError>;

    /// Adds a run that the store does not have. Returns whether it was added.
    ///
    /// The default reads and then writes, so it may overwrite a run that another writer adds at the same time. Override
    /// it where the store can do this atomically.
    ///
    /// # Errors
    /// The error of the store.
    async fn insert_new_run(&self, info: RunInfo) -> Result<bool, RunInfoError> {
        if self.get_run(&info.run_id).await?.is_some() {
            return Ok(false);
        }
        self.insert_run(info).await?;
        Ok(true)
    }

    /// Sets the status of a run that has not ended. Returns whether it was set.
    ///
    /// The default reads and then writes, so it may reopen a run that another writer ends at the same time. Override it
    /// where the store can do this atomically.
    ///
    /// # Errors
    /// [`RunInfoError::NotFound`], or the error of the store.
    async fn change_status(&self, run_id: &str, status: RunStatus) -> Result<bool, RunInfoError> {
        let run = self.get_run(run_id).await?.ok_or(RunInfoError::NotFound)?;
        if run.status.is_terminal() {
            return Ok(false);
        }
        self.update_status(run_id, status).await?;
        Ok(true)
    }

    /// Ends a run that has not ended: sets its output, time and status. Returns whether it was ended.
    ///
    /// The default reads and then writes, the status last, so that a reader that sees the end also sees the output.
    /// Override it where the store can do this atomically.
    ///
    /// # Errors
    /// [`RunInfoError::NotFound`], or the error of the store.
    async fn finish_run(
        &self,
        run_id: &str,
        status: RunStatus,
        output: Option<serde_json::Value>,
        finished_at: DateTime<Utc>,
    ) -> Result<bool, RunInfoError> {
        let run = self.get_run(run_id).await?.ok_or(RunInfoError::NotFound)?;
        if run.status.is_terminal() {
            return Ok(false);
        }
        if let Some(output) = output {
            self.update_output(run_id, output).await?;
        }
        self.update_finished_at(run_id, finished_at).await?;
        self.update_status(run_id, status).await?;
        Ok(true)
    }

    /// Lists a run as its snapshot has it: adds it, updates it, or replaces an earlier run with its id. Returns whether the
    /// list has changed. The first end of an incarnation stays, and an earlier incarnation never replaces a later one.
    ///
    /// The default reads and then writes, and keeps no incarnations: it takes the entry of an ended run with this id for one of
    /// an earlier run where it is not the same. Override it where the store can keep the incarnation and do this atomically.
    ///
    /// # Errors
    /// The error of the store.
    async fn list_run_of(&self, info: RunInfo, incarnation: Incarnation) -> Result<bool, RunInfoError> {
        let known = self.get_run(&info.run_id).await?;
        let Some(known) = known else {
            return self.insert_new_run(info).await;
        };
        match listed(Some((None, &known)), &info, incarnation) {
            None => Ok(false),
            Some(run) if run == known => Ok(false),
            Some(run) if known.status.is_terminal() => self.insert_run(run).await.map(|()| true),
            Some(RunInfo { run_id, status, output, finished_at: Some(at), .. }) if status.is_terminal() => {
                self.finish_run(&run_id, status, output, at).await
            }
            Some(run) => self.change_status(&run.run_id, run.status).await,
        }
    }
}

/// Runs in memory. Clones share the store.
#[derive(Debug, Clone, Default)]
pub struct InMemoryRunInfoStore(Arc<Mutex<HashMap<String, Listed>>>);

/// A run, and its incarnation where that is known.
type Listed = (Option<Incarnation>, RunInfo);

impl InMemoryRunInfoStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    async fn change<R>(
        &self,
        run_id: &str,
        change: impl FnOnce(&mut RunInfo) -> R,
    ) -> Result<R, RunInfoError> {
        let mut runs = self.0.lock().await;
        runs.get_mut(run_id).map(|(_, run)| change(run)).ok_or(RunInfoError::NotFound)
    }
}

#[async_trait]
impl RunInfoStore for InMemoryRunInfoStore {
    async fn insert_run(&self, info: RunInfo) -> Result<(), RunInfoError> {
        self.0.lock().await.insert(info.run_id.clone(), (None, info));
        Ok(())
    }

    async fn update_status(&self, run_id: &str, status: RunStatus) -> Result<(), RunInfoError> {
        self.change(run_id, |run| run.status = status).await
    }

    async fn update_finished_at(&self, run_id: &str, finished_at: DateTime<Utc>) -> Result<(), RunInfoError> {
        self.change(run_id, |run| run.finished_at = Some(finished_at)).await
    }

    async fn get_run(&self, run_id: &str) -> Result<Option<RunInfo>, RunInfoError> {
        Ok(self.0.lock().await.get(run_id).map(|(_, run)| run.clone()))
    }

    async fn list_runs(&self, filter: Option<RunStatus>) -> Result<Vec<RunInfo>, RunInfoError> {
        let runs = self.0.lock().await;
        let wanted = |run: &&RunInfo| filter.is_none_or(|status| run.status == status);
        let mut listed: Vec<_> = runs.values().map(|(_, run)| run).filter(wanted).cloned().collect();
        listed.sort_by(|a, b| (a.started_at, &a.run_id).cmp(&(b.started_at, &b.run_id)));
        Ok(listed)
    }

    async fn update_output(&self, run_id: &str, output: serde_json::Value) -> Result<(), RunInfoError> {
        self.change(run_id, |run| run.output = Some(output)).await
    }

    async fn insert_new_run(&self, info: RunInfo) -> Result<bool, RunInfoError> {
        match self.0.lock().await.entry(info.run_id.clone()) {
            Entry::Occupied(_) => Ok(false),
            Entry::Vacant(place) => {
                place.insert((None, info));
                Ok(true)
            }
        }
    }

    async fn list_run_of(&self, info: RunInfo, incarnation: Incarnation) -> Result<bool, RunInfoError> {
        let mut runs = self.0.lock().await;
        let known = runs.get(&info.run_id).map(|(of, run)| (*of, run));
        let Some(run) = listed(known, &info, incarnation) else {
            return Ok(false);
        };
        runs.insert(info.run_id, (Some(incarnation), run));
        Ok(true)
    }

    async fn change_status(&self, run_id: &str, status: RunStatus) -> Result<bool, RunInfoError> {
        self.change(run_id, |run| {
            let open = !run.status.is_terminal();
            if open {
                run.status = status;
            }
            open
        })
        .await
    }

    async fn finish_run(
        &self,
        run_id: &str,
        status: RunStatus,
        output: Option<serde_json::Value>,
        finished_at: DateTime<Utc>,
    ) -> Result<bool, RunInfoError> {
        self.change(run_id, |run| {
            let open = !run.status.is_terminal();
            if open {
                // The starter may have another clock.
                let finished_at = Some(finished_at.max(run.started_at));
                *run = RunInfo { status, output, finished_at, ..run.clone() };
            }
            open
        })
        .await
    }
}

#[cfg(test)]
mod tests;
