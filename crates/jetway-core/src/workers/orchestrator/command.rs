//! Commands to runs: cancel, complete, pause and resume.

use super::DistributedOrchestrator;
use crate::{
    Context, Merge, Workflow,
    step::{Swap, Swapped, contended, swap_until},
    stores::{ContextStore, RunStatus, WorkQueue},
    workflow::over_stores::pending_item,
};
use jetway_state::{
    CommitId, Error, Incarnation, Timestamp,
    run::{Applied, Snapshot, control, pending_tickets},
};

/// A rule of [`control`]. `None` where it changes nothing.
type Rule = fn(Snapshot, CommitId, Timestamp) -> Option<Applied>;

impl<W, C, Q, RIS, MS, ES, LS, WIS, CS> DistributedOrchestrator<W, C, Q, RIS, MS, ES, LS, WIS, CS>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C, WorkItem: 'static>,
    Q: WorkQueue<C, W::WorkItem>,
    CS: ContextStore<C>,
{
    /// Ends a run as Cancelled. No more items of it are executed, and the result of a running step is discarded.
    /// Cancelling a cancelled run has no effect.
    ///
    /// # Errors
    /// [`Error::NotStarted`] where there is no such run, [`Error::AlreadyCompleted`] where it has ended with another
    /// status. The error of a store: repeat the call to finish the command.
    pub async fn cancel(&self, run_id: &str) -> Result<(), Error> {
        self.end(run_id, control::cancel, RunStatus::Cancelled).await
    }

    /// Ends a run as Completed, with the outputs that it has so far. No more items of it are executed. Completing a
    /// completed run has no effect.
    ///
    /// # Errors
    /// As [`cancel`](Self::cancel).
    pub async fn complete_run(&self, run_id: &str) -> Result<(), Error> {
        self.end(run_id, control::complete, RunStatus::Completed).await
    }

    /// Pauses a run: running steps finish and may end the run, no new ones start. Pausing a paused run has no effect.
    ///
    /// # Errors
    /// As [`cancel`](Self::cancel).
    pub async fn pause(&self, run_id: &str) -> Result<(), Error> {
        match self.set_status(run_id, control::pause, RunStatus::Paused).await? {
            RunStatus::Paused => Ok(()),
            _ => Err(Error::AlreadyCompleted),
        }
    }

    /// Resumes a paused run. Its items are still in the queue; a worker leases each about once a second. Resuming a
    /// running run has no effect.
    ///
    /// A failed run cannot be resumed: a failure is final, and the other pending items are dropped. For failures that
    /// another attempt may fix, set a retry policy or an `on_failure` edge.
    ///
    /// # Errors
    /// [`Error::NotStarted`] where there is no such run, [`Error::AlreadyCompleted`] where it was cancelled,
    /// [`Error::Generic`] where it is completed or failed. The error of a store: repeat the call to finish the command.
    pub async fn resume(&self, run_id: &str) -> Result<(), Error> {
        match self.set_status(run_id, control::resume, RunStatus::Running).await? {
            RunStatus::Running | RunStatus::Paused => Ok(()),
            RunStatus::Cancelled => Err(Error::AlreadyCompleted),
            RunStatus::Completed => Err(Error::Generic("run already completed".to_owned())),
            RunStatus::Failed => Err(Error::Generic(format!(
                "run {run_id:?} has failed and cannot be resumed: start a new run, or set a retry policy so that failed \
                 attempts are retried before a run fails"
            ))),
        }
    }

    async fn end(&self, run_id: &str, rule: Rule, status: RunStatus) -> Result<(), Error> {
        let (reached, incarnation) = match self.swap(run_id, rule).await? {
            Some(snapshot) => {
                self.views.update(&snapshot).await?;
                (RunStatus::from(snapshot.status), Some(snapshot.incarnation))
            }
            None => {
                self.views.runs.finish_run(run_id, status, None, self.now()).await?;
                (self.info(run_id).await?.status, None)
            }
        };
        if reached != status {
            return Err(Error::AlreadyCompleted);
        }
        self.queue.purge_run(run_id).await?;
        self.requeue_later_run(run_id, incarnation).await
    }

    /// A purge removes the items of a run id. Where another run has the id by now, its items are queued again.
    async fn requeue_later_run(&self, run_id: &str, ended: Option<Incarnation>) -> Result<(), Error> {
        let Some(ended) = ended else { return Ok(()) };
        match self.contexts.snapshot(run_id).await? {
            Some((later, _)) if later.incarnation != ended => {
                for want in pending_tickets(&later, pending_item::ANY_TIME) {
                    if let Some(item) = pending_item::queued(&later, &want.item)? {
                        self.queue.enqueue(run_id, item).await?;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Sets the status of a run that has not ended. Returns its status afterwards.
    async fn set_status(&self, run_id: &str, rule: Rule, status: RunStatus) -> Result<RunStatus, Error> {
        match self.swap(run_id, rule).await? {
            Some(snapshot) => {
                self.views.list(&snapshot).await?;
                Ok(snapshot.status.into())
            }
            None => {
                self.views.runs.change_status(run_id, status).await?;
                self.status(run_id).await
            }
        }
    }

    /// Applies a rule to the snapshot of a run. Returns the snapshot afterwards; `None` where the context store keeps
    /// no snapshots.
    pub(super) async fn swap(&self, run_id: &str, rule: Rule) -> Result<Option<Snapshot>, Error> {
        swap_until(Command { orchestrator: self, run_id, rule }).await
    }
}

/// A rule that is applied to a snapshot by compare-and-swap.
struct Command<'a, O> {
    orchestrator: &'a O,
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
        self.orchestrator.snapshot(self.run_id).await
    }

    async fn swap(&mut self, loaded: Self::State) -> Result<Swapped<Option<Snapshot>>, Error> {
        let Some((snapshot, revision)) = loaded else {
            return Ok(Swapped::Done(None));
        };
        let changed = (self.rule)(snapshot.clone(), CommitId::default(), self.orchestrator.clock.now());
        let Some(Applied { snapshot: changed, .. }) = changed else {
            return Ok(Swapped::Done(Some(snapshot)));
        };
        Ok(match self.orchestrator.contexts.swap_snapshot(self.run_id, revision, &changed).await? {
            true => Swapped::Done(Some(changed)),
            false => Swapped::Conflict,
        })
    }

    fn contended(&self, conflicts: usize) -> Error {
        contended(self.run_id, conflicts)
    }
}
