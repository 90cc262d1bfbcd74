//! What a group of attempts makes of a snapshot.

use crate::snapshots::{CachedSnapshot, CommitOutcome, PendingCommit, Snapshots};
use jetway_core::step::{AnyWorkflow, AttemptWithBase, apply_fitting};
use jetway_state::{
    CommitId, Error, STORE_ELSEWHERE,
    run::{Applied, AttemptReport, Chunk, EncodedOutcome, Snapshot, offload},
};
use std::{borrow::Cow, cell::Cell};

/// The snapshot that a group would write, and the outcome for each attempt of the group.
pub(super) struct Plan {
    /// `None` if no attempt changes the snapshot.
    pub(super) write: Option<(Snapshot, Vec<Chunk>)>,
    pub(super) outcomes: Vec<CommitOutcome>,
}

impl Plan {
    /// Applies the attempts in turn. `measure`: the group was too large as a whole, so each attempt that makes the snapshot
    /// too large fails instead.
    pub(super) fn new(
        snapshots: &Snapshots,
        workflow: &dyn AnyWorkflow,
        cached: &CachedSnapshot,
        group: &[PendingCommit],
        measure: bool,
    ) -> Self {
        jetway_state::hop!("Plan::new");
        let (commit, build) = (snapshots.next_commit(), workflow.fingerprint());
        let record = match cached.build == build {
            true => Cow::Borrowed(&*cached.snapshot),
            false => Cow::Owned(cached.snapshot.written_again(cached.build, build)),
        };
        let mut latest: Option<Snapshot> = None;
        let mut outcomes = Vec::with_capacity(group.len());
        let mut chunks = Vec::new();
        for pending in group {
            let snapshot = latest.as_ref().unwrap_or(&record);
            if pending.attempt.report.incarnation != snapshot.incarnation {
                // It must not run again either: its item is one of an earlier run with this id.
                outcomes.push(CommitOutcome::Discarded);
                continue;
            }
            if pending.attempt.is_outdated(snapshot) {
                outcomes.push(CommitOutcome::RunAgain);
                continue;
            }
            let is_foreign = latest.is_none() && cached.build != build;
            let cannot_rebase = Cell::new(false);
            let rebase = |base: &_, mine: &_, theirs: &_| {
                workflow.rebase(base, mine, theirs).inspect_err(|_| cannot_rebase.set(true))
            };
            let fail = |error: &_| failure(workflow, &pending.attempt, error);
            let Some(attempt) = pending.attempt.rebased(&snapshot.context, rebase, fail) else {
                outcomes.push(CommitOutcome::RunAgain);
                continue;
            };
            if is_foreign && cannot_rebase.get() {
                // Another build wrote the context since. If this one cannot read it, the next attempt finds that.
                outcomes.push(CommitOutcome::RunAgain);
                continue;
            }
            let fit = |applied: &mut Applied| fit(snapshots, workflow, applied, commit, &mut chunks, measure);
            match apply_fitting(snapshot, attempt, commit, workflow.graph(), fit, fail) {
                Some(Applied { snapshot, tickets, effects }) => {
                    outcomes.push(CommitOutcome::Committed(tickets, effects));
                    latest = Some(snapshot);
                }
                None => outcomes.push(without_effect(snapshot, &pending.attempt)),
            }
        }
        if latest.as_ref().is_some_and(|latest| latest.status.is_terminal()) {
            drop_tickets(&mut outcomes);
        }
        Self { write: latest.map(|snapshot| (snapshot, chunks)), outcomes }
    }
}

/// The outcome of an attempt whose result cannot be committed: the `on_failure` edge of its node, if it has one.
fn failure(workflow: &dyn AnyWorkflow, attempt: &AttemptWithBase, error: &Error) -> EncodedOutcome {
    let id = attempt.report.id();
    match &attempt.input {
        _ if matches!(attempt.report.produced, EncodedOutcome::CleanUp(_)) => EncodedOutcome::CleanUp(None),
        Some(input) => workflow.failure(input, &id, error, attempt.report.timestamp),
        None => EncodedOutcome::Failed(id.error(error)),
    }
}

/// The outcome of an attempt that is not applied. If its item was cancelled while the node ran, and the node did not succeed, the item
/// has to be cleaned up.
fn without_effect(snapshot: &Snapshot, attempt: &AttemptWithBase) -> CommitOutcome {
    let AttemptReport { item, produced, .. } = &attempt.report;
    let is_left = snapshot.is_cancelled(item) && snapshot.is_pending(item);
    match produced {
        EncodedOutcome::CleanUp(_) => CommitOutcome::Discarded,
        _ if is_left => CommitOutcome::RunAgain,
        _ => CommitOutcome::Discarded,
    }
}

/// An attempt of the group ended the run, so the items that the others created are not pending any more.
fn drop_tickets(outcomes: &mut [CommitOutcome]) {
    for outcome in outcomes {
        if let CommitOutcome::Committed(tickets, _) = outcome {
            tickets.clear();
        }
    }
}

/// Moves payloads out of the snapshot until it fits.
fn fit(
    snapshots: &Snapshots,
    workflow: &dyn AnyWorkflow,
    applied: &mut Applied,
    commit: CommitId,
    chunks: &mut Vec<Chunk>,
    measure: bool,
) -> Result<(), Error> {
    let limits = snapshots.limits();
    let mut written = offload(&mut applied.snapshot, commit, chunks.len(), limits)?;
    if measure {
        let size = applied.snapshot.seal(workflow.fingerprint())?.len();
        if size > limits.snapshot {
            let (part, bytes) = applied.snapshot.largest_part();
            return Err(Error::Limit(format!(
                "the snapshot would be {size} bytes; the limit is {}; most of it is {part} ({bytes} bytes): {STORE_ELSEWHERE}",
                limits.snapshot
            )));
        }
    }
    chunks.append(&mut written);
    Ok(())
}
