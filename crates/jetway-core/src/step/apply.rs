//! Applies an attempt to the snapshot of its run, within limits.

use jetway_state::{
    CommitId, Error, Graph,
    run::{Applied, AttemptReport, Snapshot, apply},
};

/// Applies an attempt, then calls `fit`, which may move large values elsewhere. Where `fit` fails, the attempt fails
/// with its error instead.
///
/// Returns `None` where the item is no longer pending: the attempt is discarded.
pub fn apply_fitting(
    snapshot: &Snapshot,
    report: AttemptReport,
    commit: CommitId,
    graph: &Graph,
    mut fit: impl FnMut(&mut Applied) -> Result<(), Error>,
) -> Option<Applied> {
    jetway_state::hop!("apply_fitting");
    let mut applied = apply(snapshot.clone(), report.clone(), commit, graph)?;
    match fit(&mut applied) {
        Ok(()) => Some(applied),
        Err(error) => {
            let failed = report.failed(error.kind(), error.to_string());
            apply(snapshot.clone(), failed, commit, graph)
        }
    }
}
