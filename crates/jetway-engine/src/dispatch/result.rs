//! The result of a run, as it is published.

use super::Dispatcher;
use crate::{
    backend::{BackendError, BackendErrorKind, RunResult},
    fail_point::{FailPoint, fail_point},
    snapshots::RunVersion,
};
use jetway_state::{
    STORE_ELSEWHERE,
    run::Snapshot,
    view::{DoneView, ErrorView},
};

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
        let Snapshot { incarnation, .. } = *cached.snapshot;
        let (run_id, json, revision) = (run.clone(), result.into(), cached.revision);
        self.backend.publish_done(RunResult { run: run_id, incarnation, revision, json }).await?;
        fail_point(FailPoint::ResultPublished);
        self.snapshots.forget(run);
        Ok(())
    }
}

/// The result as JSON. A result that is larger than a message may be is published without its outputs, with an error that
/// says so.
fn encode_result(snapshot: &Snapshot, max: usize) -> Result<Vec<u8>, serde_json::Error> {
    let mut view = DoneView::from(snapshot);
    let complete = serde_json::to_vec(&view)?;
    if complete.len() <= max {
        return Ok(complete);
    }
    view.outputs.clear();
    let first_output = serde_json::to_vec(&view)?;
    if first_output.len() <= max {
        return Ok(first_output);
    }
    view.output = None;
    view.error = Some(ErrorView {
        node: None,
        item_id: None,
        attempt: 1,
        kind: "limit".to_owned(),
        message: format!(
            "the output is {} bytes of JSON; the limit of a message is {max}, so it is not sent: {STORE_ELSEWHERE}",
            first_output.len()
        ),
    });
    serde_json::to_vec(&view)
}
