//! The result of a run, as it is published.

use super::Dispatcher;
use crate::{
    backend::{BackendError, BackendErrorKind, RunResult},
    fail_point::{FailPoint, fail_point},
    snapshots::RunVersion,
};
use jetway_state::{Error, run::Snapshot, view::DoneView};

/// Room for what a result says about outputs that it leaves out.
const HINT_RESERVE: usize = 2 * 1024;

impl Dispatcher {
    /// Publishes the result of a run that has ended, and removes the run from the cache.
    pub(super) async fn publish_result(
        &self,
        RunVersion { run, cached, .. }: RunVersion<'_>,
    ) -> Result<(), BackendError> {
        jetway_state::hop!("Dispatcher::publish_result");
        let result = encode_result(&cached.snapshot, self.snapshots.limits().snapshot).map_err(|error| {
            BackendError::new(BackendErrorKind::Corrupt, format!("cannot encode the result of run {run}"))
                .caused_by(error)
        })?;
        // Whoever waits for it knows the first incarnation, from the start.
        let incarnation = cached.snapshot.chain_id();
        let (run_id, json, revision) = (run.clone(), result.into(), cached.revision);
        self.backend.publish_done(RunResult { run: run_id, incarnation, revision, json }).await?;
        fail_point(FailPoint::ResultPublished);
        self.snapshots.forget(run);
        Ok(())
    }
}

/// The result as JSON. A result that is larger than a message may be is published without its outputs, and says how to get
/// them.
fn encode_result(snapshot: &Snapshot, max: usize) -> Result<Vec<u8>, Error> {
    let json = |view: &DoneView| serde_json::to_vec(view).map_err(|error| Error::encode("the result", error));
    let view = DoneView::new(snapshot)?;
    let complete = json(&view)?;
    if complete.len() <= max {
        return Ok(complete);
    }
    let without_outputs = complete.len().saturating_sub(view.output_bytes()) + HINT_RESERVE;
    json(&view.within(max.saturating_sub(without_outputs)))
}
