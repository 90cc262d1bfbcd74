//! Starting child runs.

use super::{NewRun, StartError, Starter};
use crate::control::not_found_yet;
use jetway_core::step::ChildSpec;
use jetway_state::{
    RunId, RunKey, Seen,
    run::{Parent, Trace},
    trace::TraceHeaders,
};

/// A child run to be started. Its id is derived from the item of its parent, so that a second attempt names the same run.
pub(crate) struct NewChild {
    pub(crate) run: RunKey,
    pub(crate) parent: Parent,
    spec: ChildSpec,
    trace: TraceHeaders,
    /// The end of the span of the step that asks for the run: the child starts after it.
    not_before: u64,
}

impl NewChild {
    /// The span of the child is below that of its parent, which lasts at least as long: the step that asks for the child ends
    /// before it starts. `trace` is that of the parent.
    pub(crate) fn new(spec: ChildSpec, parent: Parent, trace: &Trace, not_before: u64) -> Self {
        let run = RunKey::new(spec.workflow().name().clone(), child_id(&parent));
        Self { run, parent, spec, trace: trace.headers(), not_before }
    }
}

impl Starter {
    /// Starts a child run that the record of its parent names. A child that exists is joined, also if it has ended: it may
    /// have been cancelled before it started. Returns its record as of now.
    ///
    /// # Errors
    /// An error that is not one of the backend is final: the id belongs to another run, or the input cannot be kept.
    pub(crate) async fn start_child(&self, child: &NewChild) -> Result<Seen, StartError> {
        let NewChild { spec, run, parent, trace, not_before } = child;
        let workflow = &**spec.workflow();
        let trace = Trace { start_micros: *not_before, ..self.tracer.begin(trace) };
        let new = NewRun { input: spec.input().clone(), due: None, trace, parent: Some(parent.clone()) };
        match self.create(workflow, run, new).await {
            Ok(created) => Ok(created.seen()),
            Err(StartError::Backend(error)) if error.is_conflict() => {
                let found = self.snapshots.load(run, Seen::default()).await?;
                let cached = found.ok_or_else(|| not_found_yet(run))?;
                if !cached.snapshot.is_child_of(&parent.run, parent.incarnation, &parent.item) {
                    return Err(StartError::OtherInput(run.clone()));
                }
                self.publish_first_again(workflow, run, &cached).await?;
                Ok(cached.seen())
            }
            Err(error) => Err(error),
        }
    }
}

/// The start of the parent's id, and a digest of the parent's run, incarnation, item and workflow. A parent that is started
/// again has other children.
fn child_id(parent: &Parent) -> RunId {
    let Parent { run, incarnation, item, .. } = parent;
    RunId::fitted(&format!("{}/{incarnation}/{item}/{}", run.run_id, run.workflow))
}
