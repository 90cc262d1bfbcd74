//! What an attempt does to a run.

mod admit;
mod branch;
mod emit;
mod end;
mod taken;

#[cfg(test)]
mod tests;

use super::{
    Attempt, Effect, Produced, Snapshot,
    children::{awaits, started},
};
use crate::{CommitId, Graph};
use taken::Taken;

pub use end::at_the_end;
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
pub fn apply(mut snapshot: Snapshot, attempt: Attempt, commit: CommitId, graph: &Graph) -> Option<Applied> {
    if snapshot.status.is_terminal() {
        return None;
    }
    match &attempt.produced {
        Produced::Await(child) => {
            let child = child.clone();
            return awaits(snapshot, attempt, child, commit);
        }
        Produced::Started => return started(snapshot, &attempt, commit),
        _ => {}
    }
    let mut effects = Vec::new();
    let taken = Taken::take(&mut snapshot, &attempt, &mut effects)?;
    snapshot.commit = commit;
    snapshot.steps = snapshot.steps.saturating_add(1);
    snapshot.updated_at = attempt.at;
    if let Some(context) = attempt.context {
        snapshot.context = context;
    }
    let mut step = Step { snapshot: &mut snapshot, effects: &mut effects, taken, graph };
    match attempt.produced {
        Produced::Next(emitted) => step.next(emitted),
        Produced::NextAll(emitted) => step.next_all(emitted),
        Produced::Hold | Produced::Await(_) | Produced::Started => step.end_branch(),
        Produced::Caught(error, emitted) => {
            step.snapshot.caught.record(error);
            step.next(emitted);
        }
        Produced::Failed(error) => step.fail(error),
    }
    step.end_run_if_nothing_is_left();
    step.admit();
    Some(Applied { snapshot, effects })
}

/// An attempt that is being applied.
struct Step<'a> {
    snapshot: &'a mut Snapshot,
    effects: &'a mut Vec<Effect>,
    taken: Taken,
    graph: &'a Graph,
}
