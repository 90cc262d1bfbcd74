//! Starting child runs.

use super::{NewRun, StartError, Starter};
use crate::{control::not_found_yet, fail_point::FailPoint};
use jetway_core::step::ChildSpec;
use jetway_state::{
    RunKey, Seen,
    run::{ChildStart, Parent, Trace},
    trace::TraceHeaders,
};

/// A child run to be started. A second attempt names the same run.
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
        Self { run: spec.run.clone(), parent, spec, trace: trace.headers(), not_before }
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
        let build = spec.workflow.fingerprint();
        let new = NewRun {
            input: spec.input.clone(),
            due: None,
            limit: spec.workflow.deadline(),
            trace: Trace { start_micros: *not_before, ..self.tracer.begin(trace) },
            parent: Some(parent.clone()),
            signal: None,
            build,
            has_clean_up: spec.workflow.graph().has_clean_up(),
            created: FailPoint::ChildCreated,
        };
        match self.create(run, new).await {
            Ok(created) => Ok(created.seen()),
            Err(StartError::Backend(error)) if error.is_conflict() => {
                let found = self.snapshots.load(run, Seen::default()).await?;
                let cached = found.ok_or_else(|| not_found_yet(run))?;
                if !cached.snapshot.is_child_of(&parent.run, parent.incarnation, &parent.item) {
                    return Err(StartError::OtherInput(run.clone()));
                }
                self.publish_first_again(build, run, &cached).await?;
                Ok(cached.seen())
            }
            Err(error) => Err(error),
        }
    }

    /// Starts a child run for which nobody waits, also of a workflow that this host does not serve. A run with this id and input is
    /// joined. `trace` is that of the parent.
    ///
    /// # Errors
    /// An error that is not one of the backend is final: the id belongs to another run.
    pub(crate) async fn start_detached(&self, start: &ChildStart, trace: &Trace) -> Result<(), StartError> {
        let ChildStart { run, input, build, has_clean_up, limit } = start;
        let new = NewRun {
            input: input.clone(),
            due: None,
            limit: *limit,
            trace: Trace { start_micros: trace.end_micros, ..self.tracer.begin(&trace.headers()) },
            parent: None,
            signal: None,
            build: *build,
            has_clean_up: *has_clean_up,
            created: FailPoint::ChildCreated,
        };
        match self.create(run, new).await {
            Ok(_created) => Ok(()),
            Err(StartError::Backend(error)) if error.is_conflict() => {
                self.join_existing(*build, run, input).await.map(drop)
            }
            Err(error) => Err(error),
        }
    }

    /// The error of a detached child run that cannot be started, as far as that is known before its parent is committed.
    pub(crate) async fn foresee_detached(&self, start: &ChildStart) -> Result<(), StartError> {
        match self.snapshots.read(&start.run, Seen::default()).await? {
            Some((found, _)) if found.snapshot.input_digest != start.input.digest() => {
                Err(StartError::OtherInput(start.run.clone()))
            }
            _ => Ok(()),
        }
    }
}
