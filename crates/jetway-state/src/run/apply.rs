//! Applying an attempt to a run.

mod admit;
mod branch;
mod clean_up;
mod emit;
mod end;
mod finished;

#[cfg(test)]
mod tests;

use super::{
    attempt::{AttemptReport, EncodedOutcome},
    children::{awaits, awaits_many, started, started_many},
    continue_as_new::{continue_as_new, refuse_to_continue},
    effect::{Applied, Effect, TicketFor},
    retry::retry,
    signal::wait_for,
    snapshot::Snapshot,
    wait::WaitsBefore,
};
use crate::{CommitId, Graph, Timestamp};
pub(super) use admit::admit;
use admit::admit_due;
use finished::FinishedItem;

/// Applies an attempt to a run: context, finished item, new items, output, error and status change together.
///
/// `None` if the attempt is discarded: it belongs to another incarnation, the run has ended, or the item is not pending any more
/// because another worker committed it. Also if the item is cancelled and its node did not succeed: then its
/// [clean-up](EncodedOutcome::CleanUp) has to be committed in place of that. Total: no record and no attempt makes it panic.
pub fn apply(
    mut snapshot: Snapshot,
    mut attempt: AttemptReport,
    commit: CommitId,
    graph: &Graph,
) -> Option<Applied> {
    crate::hop!("apply");
    if snapshot.discards(&attempt) {
        return None;
    }
    attempt.timestamp = snapshot.next_time(attempt.timestamp);
    let waits = WaitsBefore::of(&snapshot);
    if let Some(span) = attempt.span {
        snapshot.trace.cover(span);
    }
    if let Some(refused) = refuse_to_continue(&snapshot, &attempt) {
        let failed = EncodedOutcome::Failed(attempt.id().error(&refused));
        attempt = attempt.without_result(failed);
    }
    if let EncodedOutcome::ContinueAsNew(input) = &attempt.produced {
        return continue_as_new(snapshot, &attempt, input.clone(), commit, &waits);
    }
    if attempt.produced.keeps_item() {
        return keep_item(snapshot, attempt, commit, graph, waits);
    }
    let (mut tickets, mut effects) = (Vec::new(), Vec::new());
    let finished = FinishedItem::take(&mut snapshot, &attempt, &mut effects)?;
    snapshot.commit = commit;
    snapshot.steps = snapshot.steps.saturating_add(attempt.produced.steps());
    snapshot.updated_at = attempt.timestamp;
    if let Some(context) = attempt.context {
        snapshot.context = context;
    }
    let mut step = Step {
        snapshot: &mut snapshot,
        tickets: &mut tickets,
        effects: &mut effects,
        finished,
        graph,
        due: None,
    };
    match attempt.produced {
        EncodedOutcome::Next(emitted) => step.next(emitted),
        EncodedOutcome::NextLater(later, emitted) => step.next_later(later, emitted),
        EncodedOutcome::NextAll(emitted) => step.next_all(emitted),
        EncodedOutcome::Hold
        | EncodedOutcome::Await(_)
        | EncodedOutcome::Started(_)
        | EncodedOutcome::AwaitMany(_)
        | EncodedOutcome::StartedMany(..)
        | EncodedOutcome::Admit
        | EncodedOutcome::WaitFor(_)
        | EncodedOutcome::ContinueAsNew(_)
        | EncodedOutcome::Retry(..) => step.end_branch(),
        EncodedOutcome::Handled(error, emitted) => {
            step.snapshot.handled_failures.record(error);
            step.next(emitted);
        }
        EncodedOutcome::CleanUp(emitted) => step.clean_up(emitted),
        EncodedOutcome::Failed(error) => step.fail(error),
    }
    step.end_if_done();
    step.admit();
    waits.settle(&snapshot, &mut effects);
    snapshot.forget_writers();
    Some(Applied { snapshot, tickets, effects })
}

/// Applies an attempt whose item stays pending: it waits for something, or is made again.
fn keep_item(
    snapshot: Snapshot,
    attempt: AttemptReport,
    commit: CommitId,
    graph: &Graph,
    waits: WaitsBefore,
) -> Option<Applied> {
    match attempt.produced.clone() {
        EncodedOutcome::Await(child) => awaits(snapshot, attempt, child, commit, waits),
        EncodedOutcome::Started(child) => started(snapshot, &attempt, child, commit, waits),
        EncodedOutcome::AwaitMany(wanted) => awaits_many(snapshot, &attempt, wanted, commit, waits),
        EncodedOutcome::StartedMany(started, refused) => {
            started_many(snapshot, &attempt, started, refused, commit, waits)
        }
        EncodedOutcome::Admit => admit_due(snapshot, &attempt, commit, graph, waits),
        EncodedOutcome::Retry(next, error) => retry(snapshot, &attempt, (next, error), commit, graph, waits),
        EncodedOutcome::WaitFor(wanted) => wait_for(snapshot, &attempt, wanted, commit, graph, waits),
        _ => None,
    }
}

/// An attempt that is being applied.
struct Step<'a> {
    snapshot: &'a mut Snapshot,
    tickets: &'a mut Vec<TicketFor>,
    effects: &'a mut Vec<Effect>,
    finished: FinishedItem,
    graph: &'a Graph,
    /// The time that what the step creates waits for.
    due: Option<Timestamp>,
}
