//! Committing attempts: one compare-and-swap for all the outcomes of a run that are at cached.

use super::{
    Engine,
    run_cache::{AttemptWithBase, CachedSnapshot, CommitOutcome, GroupLeader, Reply, RunSlot, Waiting},
};
use crate::{
    backend::{BackendError, BackendErrorKind, SnapshotWrite},
    fail_point::{FailPoint, fail_point},
};
use bytes::Bytes;
use jetway_core::step::AnyWorkflow;
use jetway_state::broken_rule::{BrokenRule, is_broken};
use jetway_state::{
    CommitId, Error, Fingerprint, RunKey, STORE_ELSEWHERE, codec,
    run::{Applied, AttemptReport, Chunk, Effect, EncodedOutcome, Snapshot, TicketFor, apply, offload},
};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A run that loses more races than this in a row is under attack or broken; an ordinary fan-in never comes near.
const MAX_CONFLICTS: usize = 256;

impl Engine {
    /// Commits one attempt, together with whatever else of this run is to be committed at the same time.
    pub(super) async fn commit(
        &self,
        workflow: &dyn AnyWorkflow,
        run: &RunKey,
        attempt: Arc<AttemptWithBase>,
    ) -> Result<CommitOutcome, BackendError> {
        let slot = self.cache.of(run);
        let mut handed_over = None;
        loop {
            let (reply, told) = oneshot::channel();
            let own = Waiting { attempt: Arc::clone(&attempt), reply };
            let led = match handed_over.take() {
                Some(lead) => Some((GroupLeader::group_with(&lead, own), lead)),
                None => slot.join(own).map(|lead| (lead.group(), lead)),
            };
            if let Some((group, lead)) = led {
                self.commit_group(workflow, run, &slot, group).await;
                drop(lead);
            }
            match told.await {
                Ok(Reply::Settled(outcome)) => return outcome,
                Ok(Reply::Lead(lead)) => handed_over = Some(lead),
                // The leader was dropped in the middle of its write: the attempt is still here.
                Err(_gone) => {}
            }
        }
    }

    async fn commit_group(
        &self,
        workflow: &dyn AnyWorkflow,
        run: &RunKey,
        slot: &RunSlot,
        group: Vec<Waiting>,
    ) {
        let written = self.write_group(workflow, run, slot, &group).await;
        for (index, waiting) in group.into_iter().enumerate() {
            let outcome = match &written {
                Ok((outcomes, cached)) => Ok(outcomes.get(index).map_or_else(
                    || CommitOutcome::Discarded(cached.clone()),
                    |planned| planned.outcome(cached),
                )),
                Err(error) => Err(error.clone()),
            };
            if waiting.reply.send(Reply::Settled(outcome)).is_err() {
                tracing::debug!(%run, "a worker left before its commit was done");
            }
        }
    }

    async fn write_group(
        &self,
        workflow: &dyn AnyWorkflow,
        run: &RunKey,
        slot: &RunSlot,
        group: &[Waiting],
    ) -> Result<(Vec<PlannedOutcome>, CachedSnapshot), BackendError> {
        let mut cached = match slot.cached() {
            Some(cached) => cached,
            None => self.load(run).await?.ok_or_else(|| gone(run))?,
        };
        let mut oversized = false;
        for conflicts in 1..=MAX_CONFLICTS {
            let Plan { write, outcomes } = self.plan(workflow, &cached, group, oversized);
            let Some((snapshot, chunks)) = write else {
                return Ok((outcomes, cached));
            };
            if is_broken(BrokenRule::PublishBeforeCommit) {
                Box::pin(self.publish_early(workflow, &snapshot, &outcomes, cached.revision)).await?;
            }
            match self.write(workflow.fingerprint(), &snapshot, chunks, cached.revision).await {
                Ok(revision) => {
                    fail_point(FailPoint::Committed);
                    let latest = CachedSnapshot { snapshot: Arc::new(snapshot), revision };
                    slot.keep(&latest);
                    return Ok((outcomes, latest));
                }
                Err(error) if error.is_conflict() => {
                    tracing::info!(target: "jetway::commit", %run, conflicts, "commit conflict");
                    slot.drop_cached();
                    cached = self.load(run).await?.ok_or_else(|| gone(run))?;
                }
                Err(error) if error.kind() == BackendErrorKind::TooLarge && !oversized => {
                    tracing::warn!(%run, %error, "a commit is too large");
                    oversized = true;
                }
                Err(error) => return Err(error),
            }
        }
        Err(BackendError::new(
            BackendErrorKind::Unavailable,
            format!(
                "run {run} was written by others {MAX_CONFLICTS} times in a row while a commit was tried"
            ),
        ))
    }

    /// Breaks the rule that effects come after the commit.
    async fn publish_early(
        &self,
        workflow: &dyn AnyWorkflow,
        snapshot: &Snapshot,
        outcomes: &[PlannedOutcome],
        revision: u64,
    ) -> Result<(), BackendError> {
        let early = CachedSnapshot { snapshot: Arc::new(snapshot.clone()), revision };
        for outcome in outcomes {
            if let CommitOutcome::Committed(cached, tickets, effects) = outcome.outcome(&early) {
                self.carry_out(workflow.fingerprint(), &snapshot.key(), &cached, tickets, effects).await?;
            }
        }
        Ok(())
    }

    /// Applies the group to the snapshot in cached, one attempt after the other.
    ///
    /// `oversized`: the group as it is does not fit; each attempt that makes the snapshot too large fails instead.
    fn plan(
        &self,
        workflow: &dyn AnyWorkflow,
        cached: &CachedSnapshot,
        group: &[Waiting],
        oversized: bool,
    ) -> Plan {
        let commit = self.next_commit();
        let mut latest: Option<Snapshot> = None;
        let mut outcomes = Vec::with_capacity(group.len());
        let mut chunks = Vec::new();
        for waiting in group {
            let snapshot = latest.as_ref().unwrap_or(&cached.snapshot);
            let Some(attempt) = rebased(workflow, &waiting.attempt, &snapshot.context) else {
                outcomes.push(PlannedOutcome::Again);
                continue;
            };
            let fit = |applied: &mut Applied| self.fit(workflow, applied, commit, &mut chunks, oversized);
            match applied(snapshot, attempt, commit, workflow, fit) {
                Some(applied) => {
                    outcomes.push(PlannedOutcome::Committed(applied.tickets, applied.effects));
                    latest = Some(applied.snapshot);
                }
                None => outcomes.push(PlannedOutcome::Discarded),
            }
        }
        Plan { write: latest.map(|snapshot| (snapshot, chunks)), outcomes }
    }

    /// Moves payloads out of the snapshot until it fits; an error where it cannot be made to.
    fn fit(
        &self,
        workflow: &dyn AnyWorkflow,
        applied: &mut Applied,
        commit: CommitId,
        chunks: &mut Vec<Chunk>,
        measure: bool,
    ) -> Result<(), Error> {
        let mark = if is_broken(BrokenRule::PublishBeforeCommit) { CommitId::default() } else { commit };
        let mut written = offload(&mut applied.snapshot, mark, chunks.len(), &self.config.limits)?;
        if measure {
            let size = codec::seal(&applied.snapshot, workflow.fingerprint(), "the snapshot")?.len();
            if size > self.config.limits.snapshot {
                let (culprit, bytes) = applied.snapshot.heaviest();
                return Err(Error::Limit(format!(
                    "the snapshot would be {size} bytes and may be {}; most of it is {culprit} ({bytes} bytes): {STORE_ELSEWHERE}",
                    self.config.limits.snapshot
                )));
            }
        }
        chunks.append(&mut written);
        Ok(())
    }

    /// Writes a snapshot over the revision `expected`; 0 where the run must not exist.
    pub(super) async fn write(
        &self,
        build: Fingerprint,
        snapshot: &Snapshot,
        chunks: Vec<Chunk>,
        expected: u64,
    ) -> Result<u64, BackendError> {
        let run = snapshot.key();
        let bytes = codec::seal(snapshot, build, "the snapshot").map_err(|error| {
            BackendError::new(BackendErrorKind::Corrupt, format!("run {run} cannot be written"))
                .caused_by(error)
        })?;
        let most = self.config.limits.most(snapshot.status);
        if bytes.len() > most {
            let sentence = format!("the snapshot of run {run} is {} bytes and may be {most}", bytes.len());
            return Err(BackendError::new(BackendErrorKind::TooLarge, sentence));
        }
        if bytes.len() > most / 2 && self.cache.of(&run).is_first_warning() {
            let ((culprit, _), bytes) = (snapshot.heaviest(), bytes.len());
            tracing::warn!(
                %run, bytes, most, "the snapshot is more than half as large as it may be, mostly for its {culprit}"
            );
        }
        let (commit, status, awaited) = (snapshot.commit, snapshot.status, snapshot.parent.is_some());
        self.backend.commit(SnapshotWrite { run, commit, expected, status, awaited, bytes, chunks }).await
    }
}

/// What a group would write, and what it means for each attempt of the group.
struct Plan {
    write: Option<(Snapshot, Vec<Chunk>)>,
    outcomes: Vec<PlannedOutcome>,
}

enum PlannedOutcome {
    Committed(Vec<TicketFor>, Vec<Effect>),
    Discarded,
    Again,
}

impl PlannedOutcome {
    fn outcome(&self, cached: &CachedSnapshot) -> CommitOutcome {
        match self {
            Self::Committed(tickets, effects) => {
                // Another attempt of the group may have ended the run.
                let ended = cached.snapshot.status.is_terminal();
                let tickets = if ended { Vec::new() } else { tickets.clone() };
                CommitOutcome::Committed(cached.clone(), tickets, effects.clone())
            }
            Self::Discarded => CommitOutcome::Discarded(cached.clone()),
            Self::Again => CommitOutcome::Again(cached.clone()),
        }
    }
}

/// The attempt with its change of the context re-applied to the latest one. `None` where the node held on a context
/// that is no longer so: it has to look again, or a join could be held by every branch and go on by none.
fn rebased(workflow: &dyn AnyWorkflow, finished: &AttemptWithBase, latest: &Bytes) -> Option<AttemptReport> {
    let attempt = finished.attempt.clone();
    if finished.base == *latest {
        return Some(attempt);
    }
    if attempt.produced == EncodedOutcome::Hold {
        return None;
    }
    let Some(mine) = &attempt.context else {
        return Some(attempt);
    };
    Some(match workflow.rebase(&finished.base, mine, latest) {
        Ok(context) => AttemptReport { context: Some(context), ..attempt },
        Err(error) => attempt.failed(error.kind(), error.to_string()),
    })
}

/// Applies an attempt and makes the result fit; an attempt that cannot be made to fit fails the run that made it.
fn applied(
    snapshot: &Snapshot,
    attempt: AttemptReport,
    commit: CommitId,
    workflow: &dyn AnyWorkflow,
    mut fit: impl FnMut(&mut Applied) -> Result<(), Error>,
) -> Option<Applied> {
    let mut whole = apply(snapshot.clone(), attempt.clone(), commit, workflow.graph())?;
    match fit(&mut whole) {
        Ok(()) => Some(whole),
        Err(error) => {
            let failed = attempt.failed(error.kind(), error.to_string());
            apply(snapshot.clone(), failed, commit, workflow.graph())
        }
    }
}

fn gone(run: &RunKey) -> BackendError {
    BackendError::new(
        BackendErrorKind::Refused,
        format!("run {run} is not there any more: it was removed while a step of it was under way"),
    )
}
