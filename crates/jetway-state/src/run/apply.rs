//! What an attempt does to a run.

mod admit;
mod branch;
mod emit;
mod end;
mod finished;

#[cfg(test)]
mod tests;

use super::{
    AttemptReport, Effect, EncodedOutcome, Snapshot,
    children::{awaits, started},
};
use crate::{CommitId, Graph};
use finished::FinishedItem;

pub use end::end_effects;
pub(super) use end::ended;

/// A run's record after an attempt, and what is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The record to be written.
    pub snapshot: Snapshot,
    /// What is to be done once it is.
    pub effects: Vec<Effect>,
}

/// Applies an attempt to a run: context, finished item, new items, output, error and status change together.
///
/// `None` where the attempt is to be thrown away: the run has ended, or the item is no longer pending because another
/// worker committed it. Total: there is no record and no attempt for which this panics.
pub fn apply(
    mut snapshot: Snapshot,
    attempt: AttemptReport,
    commit: CommitId,
    graph: &Graph,
) -> Option<Applied> {
    if snapshot.status.is_terminal() {
        return None;
    }
    match &attempt.produced {
        EncodedOutcome::Await(child) => {
            let child = child.clone();
            return awaits(snapshot, attempt, child, commit);
        }
        EncodedOutcome::Started => return started(snapshot, &attempt, commit),
        _ => {}
    }
    let mut effects = Vec::new();
    let taken = FinishedItem::take(&mut snapshot, &attempt, &mut effects)?;
    snapshot.commit = commit;
    snapshot.steps = snapshot.steps.saturating_add(1);
    snapshot.updated_at = attempt.timestamp;
    if let Some(context) = attempt.context {
        snapshot.context = context;
    }
    let mut step = Step { snapshot: &mut snapshot, effects: &mut effects, taken, graph };
    match attempt.produced {
        EncodedOutcome::Next(emitted) => step.next(emitted),
        EncodedOutcome::NextAll(emitted) => step.next_all(emitted),
        EncodedOutcome::Hold | EncodedOutcome::Await(_) | EncodedOutcome::Started => step.end_branch(),
        EncodedOutcome::Handled(error, emitted) => {
            step.snapshot.handled_failures.record(error);
            step.next(emitted);
        }
        EncodedOutcome::Failed(error) => step.fail(error),
    }
    step.end_run_if_nothing_is_left();
    step.admit();
    Some(Applied { snapshot, effects })
}

/// An attempt that is being applied.
struct Step<'a> {
    snapshot: &'a mut Snapshot,
    effects: &'a mut Vec<Effect>,
    taken: FinishedItem,
    graph: &'a Graph,
}
