//! Starting child runs.

use super::{StartError, Starter};
use crate::{
    backend::{BackendError, BackendErrorKind},
    trace::StepSpan,
};
use jetway_core::step::ChildSpec;
use jetway_state::{
    RunId, RunKey,
    run::{Parent, Trace},
    trace::TraceHeaders,
};

/// A child run to be started. Its id is derived from the item of its parent, so that a second attempt names the same run.
pub(crate) struct NewChild {
    pub(crate) run: RunKey,
    pub(crate) parent: Parent,
    spec: ChildSpec,
    trace: TraceHeaders,
}

impl NewChild {
    pub(crate) fn new(spec: ChildSpec, parent: Parent, trace: &Trace, span: &StepSpan) -> Self {
        let run = RunKey::new(spec.workflow().name().clone(), child_id(&parent));
        let trace = Trace { span_id: span.id.unwrap_or(trace.span_id), ..trace.clone() }.headers();
        Self { run, parent, spec, trace }
    }
}

impl Starter {
    /// Starts a child run that the record of its parent names. A child that exists is joined, also if it has ended: it may
    /// have been cancelled before it started.
    pub(crate) async fn start_child(&self, child: &NewChild) -> Result<(), BackendError> {
        let NewChild { spec, run, parent, trace } = child;
        let workflow = &**spec.workflow();
        match self.create(workflow, run, spec.input().clone(), trace, Some(parent.clone())).await {
            Ok(_incarnation) => Ok(()),
            Err(StartError::Backend(error)) if error.is_conflict() => match self.snapshots.load(run).await? {
                Some(cached)
                    if cached.snapshot.is_child_of(&parent.run, parent.incarnation, &parent.item) =>
                {
                    self.publish_first_again(workflow, run, &cached).await
                }
                _ => Err(not_started(run, StartError::OtherInput(run.clone()))),
            },
            Err(error) => Err(not_started(run, error)),
        }
    }
}

/// The start of the parent's id, and a digest of the parent's run, incarnation, item and workflow. A parent that is started
/// again has other children.
fn child_id(parent: &Parent) -> RunId {
    let Parent { run, incarnation, item, .. } = parent;
    RunId::fitted(&format!("{}/{incarnation}/{item}/{}", run.run_id, run.workflow))
}

fn not_started(run: &RunKey, error: StartError) -> BackendError {
    match error {
        StartError::Backend(error) => error,
        error => BackendError::new(BackendErrorKind::Corrupt, format!("cannot start child run {run}"))
            .caused_by(error),
    }
}
