//! An attempt applied to the record of its run, within limits.

use jetway_state::{
    CommitId, Error, Graph,
    run::{Applied, AttemptReport, Snapshot, apply},
};

/// Applies an attempt and makes the result fit. An attempt whose result cannot be made to fit fails the run instead.
///
/// `None` where the item is no longer pending: the attempt is discarded.
pub fn apply_fitting(
    snapshot: &Snapshot,
    report: AttemptReport,
    commit: CommitId,
    graph: &Graph,
    mut fit: impl FnMut(&mut Applied) -> Result<(), Error>,
) -> Option<Applied> {
    let mut whole = apply(snapshot.clone(), report.clone(), commit, graph)?;
    match fit(&mut whole) {
        Ok(()) => Some(whole),
        Err(error) => {
            let failed = report.failed(error.kind(), error.to_string());
            apply(snapshot.clone(), failed, commit, graph)
        }
    }
}
