//! Telling a sender that its start was refused.

use crate::backend::{BackendError, BackendErrorKind, RunResult};
use jetway_core::clock::Clock;
use jetway_state::{BadName, Incarnation, RunId, RunKey, StartId, WorkflowName, view::DoneView};

/// A start message that is refused.
#[derive(Debug)]
pub struct RefusedStart<'a> {
    /// The name of the workflow, as the sender wrote it.
    pub workflow: &'a str,
    /// The run id, as the sender wrote it.
    pub run_id: &'a str,
    /// What the sender knows the message by.
    pub start_id: StartId,
    /// A word for the reason.
    pub why: &'a str,
    /// The reason.
    pub reason: String,
}

/// Tells the sender of a start message, and whoever waits for the result of the run, that the message was refused.
///
/// It has to be published before the message is removed: a sender whose message is gone, and not refused, takes the run that
/// is there for its own. Nothing is published if the names are not valid, since there is no such subject. What the backend
/// refuses for good is logged: the message is a dead letter in any case.
///
/// # Errors
/// The backend does not answer, or has no room. The message must stay, and is refused again later.
pub async fn publish_refusal<P, F>(
    publish: P,
    clock: &dyn Clock,
    refused: RefusedStart<'_>,
) -> Result<(), BackendError>
where
    P: FnOnce(RunResult) -> F + Send,
    F: Future<Output = Result<(), BackendError>> + Send,
{
    let RefusedStart { workflow, run_id, start_id, why, reason } = refused;
    let Ok(run) = run_key(workflow, run_id) else { return Ok(()) };
    let published = match refusal(&run, start_id, why, reason, clock) {
        Ok(refusal) => publish(refusal).await,
        Err(error) => Err(error),
    };
    match published {
        Err(error) if !error.is_retryable() => {
            tracing::warn!(%run, why, %error, "cannot tell the sender of a start that it was refused");
            Ok(())
        }
        published => published,
    }
}

fn run_key(workflow: &str, run_id: &str) -> Result<RunKey, BadName> {
    Ok(RunKey::new(WorkflowName::new(workflow)?, RunId::new(run_id)?))
}

fn refusal(
    run: &RunKey,
    start: StartId,
    why: &str,
    reason: String,
    clock: &dyn Clock,
) -> Result<RunResult, BackendError> {
    let incarnation = Incarnation::of_refused_start(start);
    let view = DoneView::refused(run.clone(), incarnation, why, reason, clock.now());
    let json = serde_json::to_vec(&view).map_err(|error| {
        BackendError::new(BackendErrorKind::Corrupt, "cannot encode the refusal of a start").caused_by(error)
    })?;
    Ok(RunResult { run: run.clone(), incarnation, revision: 0, json: json.into() })
}
