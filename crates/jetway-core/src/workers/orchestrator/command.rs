//! What runs are told.

use super::DistributedOrchestrator;
use crate::{
    Context, Merge, Workflow,
    clock::{Clock, SystemClock},
    step::{Swap, Swapped, swap_until},
    stores::{ContextStore, RunInfo, RunStatus, WorkQueue},
};
use chrono::Utc;
use jetway_state::{
    CommitId, Error, Timestamp,
    run::{Applied, Snapshot, control},
};

/// A rule of [`control`].
type Rule = fn(Snapshot, CommitId, Timestamp) -> Option<Applied>;

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

    /// Brings a run to `status` where it has not ended. Returns where it stands then.
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
        swap_until(Command { of: self, run_id, rule }).await
    }
}

/// A change of a record by a rule.
struct Command<'a, O> {
    of: &'a O,
    run_id: &'a str,
    rule: Rule,
}

impl<W, C, Q, RIS, MS, ES, LS, WIS, CS> Swap
    for Command<'_, DistributedOrchestrator<W, C, Q, RIS, MS, ES, LS, WIS, CS>>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C, WorkItem: 'static>,
    Q: WorkQueue<C, W::WorkItem>,
    CS: ContextStore<C>,
{
    type State = Option<(Snapshot, u64)>;
    type Output = Option<Snapshot>;
    type Error = Error;

    async fn load(&mut self) -> Result<Self::State, Error> {
        self.of.record(self.run_id).await
    }

    async fn swap(&mut self, record: Self::State) -> Result<Swapped<Option<Snapshot>>, Error> {
        let Some((snapshot, revision)) = record else {
            return Ok(Swapped::Done(None));
        };
        let changed = (self.rule)(snapshot.clone(), CommitId::default(), SystemClock.now());
        let Some(Applied { snapshot: changed, .. }) = changed else {
            return Ok(Swapped::Done(Some(snapshot)));
        };
        Ok(match self.of.contexts.swap_snapshot(self.run_id, revision, &changed).await? {
            true => Swapped::Done(Some(changed)),
            false => Swapped::Conflict,
        })
    }

    fn contended(&self, conflicts: usize) -> Error {
        Error::Storage(format!(
            "run {:?} was written by others {conflicts} times in a row: try again",
            self.run_id
        ))
    }
}
