//! Telling a sender that its start was refused.

use crate::backend::{Backend, BackendError, RunResult};
use jetway_state::{BadName, Incarnation, RunId, RunKey, Seen, WorkflowName, view::DoneView};

/// Why no answer was published.
#[derive(Debug, thiserror::Error)]
enum NotTold {
    #[error(transparent)]
    BadName(#[from] BadName),
    #[error("cannot encode the answer")]
    Codec(#[from] serde_json::Error),
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Tells whoever waits for the result of a run that the start message with this sequence was refused. `why` is a word for the
/// reason.
///
/// Nothing is published if a record of the run exists, since its result belongs to the run that is there, nor if the names
/// are not valid, since there is no such subject. The message is a dead letter in any case, so a failure here is logged alone.
pub async fn tell_refused(
    backend: &dyn Backend,
    workflow: &str,
    run_id: &str,
    sequence: u64,
    why: &str,
    reason: String,
) {
    match tell(backend, workflow, run_id, sequence, why, reason).await {
        Ok(()) | Err(NotTold::BadName(_)) => {}
        Err(error) => {
            let run = format_args!("{workflow}/{run_id}");
            tracing::warn!(%run, why, %error, "cannot tell the sender of a start that it was refused");
        }
    }
}

async fn tell(
    backend: &dyn Backend,
    workflow: &str,
    run_id: &str,
    sequence: u64,
    why: &str,
    reason: String,
) -> Result<(), NotTold> {
    let run = RunKey::new(WorkflowName::new(workflow)?, RunId::new(run_id)?);
    if backend.load(&run, Seen::default()).await?.is_some() {
        return Ok(());
    }
    let incarnation = Incarnation::of_refused_start(sequence);
    let view = DoneView::refused(run.clone(), incarnation, why, reason, backend.clock().now());
    let json = serde_json::to_vec(&view)?.into();
    Ok(backend.publish_done(RunResult { run, incarnation, revision: 0, json }).await?)
}
