//! Applies an attempt to the snapshot of its run, within limits.

use jetway_state::{
    CommitId, Error, Graph,
    run::{Applied, AttemptReport, EncodedOutcome, Snapshot, apply, refuse_to_continue},
};

/// Applies an attempt, then calls `fit`, which may move large values elsewhere. Where `fit` fails, the attempt fails
/// with its error instead, and also where it may not continue its run as new: `fail` gives its outcome, which may be the `on_failure` edge of the node.
///
/// Returns `None` where the item is no longer pending: the attempt is discarded.
pub fn apply_fitting(
    snapshot: &Snapshot,
    report: AttemptReport,
    commit: CommitId,
    graph: &Graph,
    mut fit: impl FnMut(&mut Applied) -> Result<(), Error>,
    fail: impl FnOnce(&Error) -> EncodedOutcome,
) -> Option<Applied> {
    jetway_state::hop!("apply_fitting");
    let error = match refuse_to_continue(snapshot, &report) {
        Some(refused) => refused,
        None => {
            let mut applied = apply(snapshot.clone(), report.clone(), commit, graph)?;
            match fit(&mut applied) {
                Ok(()) => return Some(applied),
                Err(error) => error,
            }
        }
    };
    let own_error = EncodedOutcome::Failed(report.id().error(&error));
    let handled = report.clone().without_result(fail(&error));
    let mut applied = apply(snapshot.clone(), handled, commit, graph)?;
    match fit(&mut applied) {
        Ok(()) => Some(applied),
        // Not even the failure fits: the run ends, which always does.
        Err(_) => apply(snapshot.clone(), report.without_result(own_error), commit, graph),
    }
}
