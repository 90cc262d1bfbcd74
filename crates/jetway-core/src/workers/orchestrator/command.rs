//! What runs are told.

use super::DistributedOrchestrator;
use crate::{
    Context, Merge, Workflow,
    clock::{Clock, SystemClock},
    stores::{ContextStore, RunInfo, RunStatus, WorkQueue},
};
use chrono::Utc;
use jetway_state::{
    CommitId, Error, Timestamp,
    run::{Applied, Snapshot, control},
};
use std::time::Duration;

/// A rule of [`control`].
type Rule = fn(Snapshot, CommitId, Timestamp) -> Option<Applied>;

/// How often a command is tried against a record that others write meanwhile.
const TRIES: u32 = 100;

impl<W, C, Q, RIS, MS, ES, LS, WIS, CS> DistributedOrchestrator<W, C, Q, RIS, MS, ES, LS, WIS, CS>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C, WorkItem: 'static>,
    Q: WorkQueue<C, W::WorkItem>,
    CS: ContextStore<C>,
{
    /// Ends a run as Cancelled. No item of it is executed any more, and what a step under way comes to is thrown away.
    /// Cancelling a cancelled run does nothing new.
    ///
    /// # Errors
    /// [`Error::NotStarted`] where there is no such run, [`Error::AlreadyCompleted`] where it has ended otherwise. What
    /// a store failed with: the same call again does what is missing.
    pub async fn cancel(&self, run_id: &str) -> Result<(), Error> {
        self.end(run_id, control::cancel, RunStatus::Cancelled).await
    }

    /// Ends a run as Completed, by hand, with the outputs that there are. Nothing of it is executed any more.
    /// Completing a completed run does nothing new.
    ///
    /// # Errors
    /// As [`cancel`](Self::cancel).
    pub async fn complete_run(&self, run_id: &str) -> Result<(), Error> {
        self.end(run_id, control::complete, RunStatus::Completed).await
    }

    /// Keeps the items of a run from being executed until it is resumed. A step that is under way is committed, and may
    /// end the run. Pausing a paused run does nothing new.
    ///
    /// # Errors
    /// As [`cancel`](Self::cancel).
    pub async fn pause(&self, run_id: &str) -> Result<(), Error> {
        match self.turn(run_id, control::pause, RunStatus::Paused).await? {
            RunStatus::Paused => Ok(()),
            _ => Err(Error::AlreadyCompleted),
        }
    }

    /// Lets a paused run go on: its items are still in the queue, and workers look at them about every second. Resuming
    /// a running run does nothing.
    ///
    /// A run that has failed is not opened again: a failure is final, and drops what else was pending. Let a retry
    /// policy or an `on_failure` edge take care of failures that another attempt may overcome.
    ///
    /// # Errors
    /// [`Error::NotStarted`] where there is no such run, [`Error::AlreadyCompleted`] where it was cancelled, and a
    /// sentence where it is completed or has failed. What a store failed with: the same call again does what is
    /// missing.
    pub async fn resume(&self, run_id: &str) -> Result<(), Error> {
        match self.turn(run_id, control::resume, RunStatus::Running).await? {
            RunStatus::Running | RunStatus::Paused => Ok(()),
            RunStatus::Cancelled => Err(Error::AlreadyCompleted),
            RunStatus::Completed => Err(Error::Generic("run already completed".to_owned())),
            RunStatus::Failed => Err(Error::Generic(format!(
                "run {run_id:?} has failed, and that is final: start a new run, or set a retry policy so that failed \
                 attempts are tried again before a run fails"
            ))),
        }
    }

    async fn end(&self, run_id: &str, rule: Rule, status: RunStatus) -> Result<(), Error> {
        let reached = match self.swap(run_id, rule).await? {
            Some(snapshot) => {
                self.views.follow(&snapshot).await?;
                RunStatus::from(snapshot.status)
            }
            None => {
                self.views.runs.finish_run(run_id, status, None, Utc::now()).await?;
                self.info(run_id).await?.status
            }
        };
        if reached != status {
            return Err(Error::AlreadyCompleted);
        }
        Ok(self.queue.purge_run(run_id).await?)
    }

    /// WorkLoop a run to `status` where it has not ended. Returns where it stands then.
    async fn turn(&self, run_id: &str, rule: Rule, status: RunStatus) -> Result<RunStatus, Error> {
        match self.swap(run_id, rule).await? {
            Some(snapshot) => {
                self.views.list(RunInfo::from(&snapshot)).await?;
                Ok(snapshot.status.into())
            }
            None => {
                self.views.runs.change_status(run_id, status).await?;
                self.status(run_id).await
            }
        }
    }

    /// Changes the record of a run by a rule, where the rule applies. Returns the record as it is then; `None` where
    /// the context store keeps no records.
    pub(super) async fn swap(&self, run_id: &str, rule: Rule) -> Result<Option<Snapshot>, Error> {
        for attempt in 0..TRIES {
            let Some((snapshot, revision)) = self.record(run_id).await? else {
                return Ok(None);
            };
            let Some(Applied { snapshot: changed, .. }) =
                rule(snapshot.clone(), CommitId::default(), SystemClock.now())
            else {
                return Ok(Some(snapshot));
            };
            if self.contexts.swap_snapshot(run_id, revision, &changed).await? {
                return Ok(Some(changed));
            }
            // A step was committed first. Those that lose together do not come back together.
            let most = Duration::from_millis(u64::from(attempt.min(50)));
            tokio::time::sleep(most.mul_f64(rand::random())).await;
        }
        Err(Error::Storage(format!("run {run_id:?} was written by others {TRIES} times in a row: try again")))
    }
}
