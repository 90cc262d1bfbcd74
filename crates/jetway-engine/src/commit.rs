//! Commits of attempts: one compare-and-swap for all attempts of a run that end at the same time.
//!
//! | crash after | state | repaired by |
//! |---|---|---|
//! | planning | nothing changed | redelivery of the ticket: the node runs again |
//! | the chunks | chunks that no snapshot refers to | redelivery of the ticket; the chunks are collected later |
//! | the snapshot | the steps are committed, their tickets and effects are open | redelivery of the ticket: the item is done, its successors get tickets |

mod plan;

use crate::{
    backend::{BackendError, BackendErrorKind},
    fail_point::{FailPoint, fail_point},
    snapshots::{
        CachedSnapshot, CommitOutcome, CommitResult, GroupLeader, PendingCommit, Reply, RunSlot, Snapshots,
    },
};
use jetway_core::step::{AnyWorkflow, AttemptWithBase, Swap, Swapped, swap_until};
use jetway_state::{RunKey, Seen};
use plan::Plan;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Commits attempts.
pub(crate) struct Committer {
    snapshots: Arc<Snapshots>,
}

impl Committer {
    pub(crate) fn new(snapshots: Arc<Snapshots>) -> Self {
        Self { snapshots }
    }

    /// Commits one attempt that was made on the record `seen`, together with all other attempts of the run that wait to be
    /// committed.
    pub(crate) async fn commit(
        &self,
        workflow: &dyn AnyWorkflow,
        run: &RunKey,
        attempt: Arc<AttemptWithBase>,
        seen: Seen,
    ) -> Result<CommitResult, BackendError> {
        jetway_state::hop!("Committer::commit");
        let slot = self.snapshots.slot(run);
        let mut handed_over = None;
        loop {
            let (reply, answer) = oneshot::channel();
            let own = PendingCommit { attempt: Arc::clone(&attempt), seen, reply };
            let led = match handed_over.take() {
                Some(leader) => Some((GroupLeader::take_waiting_with(&leader, own), leader)),
                None => slot.group.join(own).map(|leader| (leader.take_waiting(), leader)),
            };
            if let Some((group, leader)) = led {
                self.commit_group(workflow, run, &slot, group).await;
                drop(leader);
            }
            match answer.await {
                Ok(Reply::Written(result)) => return result,
                Ok(Reply::Lead(leader)) => handed_over = Some(leader),
                // The leader was dropped in the middle of its write. The attempt is still here: add it again.
                Err(_dropped) => {}
            }
        }
    }

    async fn commit_group(
        &self,
        workflow: &dyn AnyWorkflow,
        run: &RunKey,
        slot: &RunSlot,
        group: Vec<PendingCommit>,
    ) {
        let write = GroupWrite { committer: self, workflow, run, slot, group: &group, cached: slot.cached() };
        let (mut outcomes, cached) = match swap_until(write).await {
            Ok((outcomes, cached)) => (outcomes.into_iter(), Ok(cached)),
            Err(error) => (Vec::new().into_iter(), Err(error)),
        };
        for pending in group {
            let result = match &cached {
                Ok(cached) => {
                    let outcome = outcomes.next().unwrap_or(CommitOutcome::Discarded);
                    Ok(CommitResult { outcome, cached: cached.clone() })
                }
                Err(error) => Err(error.clone()),
            };
            if pending.reply.send(Reply::Written(result)).is_err() {
                tracing::debug!(%run, "a worker stopped before its commit ended");
            }
        }
    }
}

/// The write of one group, until it succeeds.
struct GroupWrite<'a> {
    committer: &'a Committer,
    workflow: &'a dyn AnyWorkflow,
    run: &'a RunKey,
    slot: &'a RunSlot,
    group: &'a [PendingCommit],
    /// The snapshot that the first try replaces, if it is cached.
    cached: Option<CachedSnapshot>,
}

impl GroupWrite<'_> {
    /// Applies the group to a snapshot and writes the result once.
    async fn write_once(
        &self,
        cached: CachedSnapshot,
        measure: bool,
    ) -> Result<(Vec<CommitOutcome>, CachedSnapshot), BackendError> {
        let Self { committer, workflow, slot, group, .. } = self;
        let Plan { write, outcomes } = Plan::new(&committer.snapshots, *workflow, &cached, group, measure);
        let Some((snapshot, chunks)) = write else {
            return Ok((outcomes, cached));
        };
        let build = workflow.fingerprint();
        let revision = committer.snapshots.write(build, &snapshot, chunks, cached.seen()).await?;
        fail_point(FailPoint::Committed);
        let latest = committer.snapshots.found(snapshot, revision, build);
        slot.keep(&latest);
        Ok((outcomes, latest))
    }
}

impl Swap for GroupWrite<'_> {
    type State = CachedSnapshot;
    type Output = (Vec<CommitOutcome>, CachedSnapshot);
    type Error = BackendError;

    async fn load(&mut self) -> Result<CachedSnapshot, BackendError> {
        match self.cached.take() {
            Some(cached) => Ok(cached),
            None => {
                let seen =
                    self.group.iter().fold(Seen::default(), |seen, pending| seen.or_later(pending.seen));
                self.committer.snapshots.load(self.run, seen).await?.ok_or_else(|| deleted(self.run))
            }
        }
    }

    async fn swap(&mut self, cached: CachedSnapshot) -> Result<Swapped<Self::Output>, BackendError> {
        jetway_state::hop!("GroupWrite::swap");
        let mut written = self.write_once(cached.clone(), false).await;
        if let Err(error) = &written
            && error.kind() == BackendErrorKind::TooLarge
        {
            tracing::warn!(run = %self.run, %error, "commit is too large: failing the attempts that make it so");
            written = Box::pin(self.write_once(cached, true)).await;
        }
        match written {
            Ok(output) => Ok(Swapped::Done(output)),
            Err(error) if error.is_conflict() => {
                tracing::debug!(target: "jetway::commit", run = %self.run, "commit conflict");
                self.slot.drop_cached();
                Ok(Swapped::Conflict)
            }
            Err(error) => Err(error),
        }
    }

    fn contended(&self, conflicts: usize) -> BackendError {
        BackendError::new(
            BackendErrorKind::Unavailable,
            format!("cannot commit to run {}: {conflicts} writes of others came first", self.run),
        )
    }
}

fn deleted(run: &RunKey) -> BackendError {
    let message = format!("run {run} not found: it was deleted while a step of it was running");
    BackendError::new(BackendErrorKind::Refused, message)
}
