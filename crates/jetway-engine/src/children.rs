//! Starting child runs, and waiting for them without holding anything.

use super::{Control, Engine, StartError, StepSpan, run_cache::CachedSnapshot};
use crate::{
    backend::{BackendError, BackendErrorKind, Ticket},
    fail_point::{FailPoint, fail_point},
};
use jetway_core::step::{ChildEnd, ChildSpec};
use jetway_state::{
    Fingerprint, ItemId, RunId, RunKey,
    run::{Parent, Snapshot, Status, Trace, pending_ticket, tombstone},
    trace::TraceHeaders,
};

/// A child run that is to be started. Its id follows from its parent's item, so a second attempt at that finds it.
pub(super) struct NewChild {
    pub(super) run: RunKey,
    pub(super) parent: Parent,
    spec: ChildSpec,
    trace: TraceHeaders,
}

impl NewChild {
    pub(super) fn new(spec: ChildSpec, parent: Parent, trace: &Trace, span: &StepSpan) -> Self {
        let run = RunKey::new(spec.workflow().name().clone(), child_id(&parent));
        let trace = Trace { span_id: span.id.unwrap_or(trace.span_id), ..trace.clone() }.headers();
        Self { run, parent, spec, trace }
    }
}

impl Engine {
    /// Makes a child run exist that its parent's record names. One that exists is joined, also where it has ended: it
    /// may have been kept from being started.
    pub(super) async fn start_child(&self, child: &NewChild) -> Result<(), BackendError> {
        let NewChild { spec, run, parent, trace } = child;
        match self.create(&**spec.workflow(), run, spec.input().clone(), trace, Some(parent.clone())).await {
            Ok(_began) => Ok(()),
            Err(StartError::Backend(error)) if error.is_conflict() => match self.load(run).await? {
                Some(cached) if cached.snapshot.is_child_of(parent) => {
                    self.ticket_again(&**spec.workflow(), run, &cached).await
                }
                _ => Err(not_started(run, StartError::OtherInput(run.clone()))),
            },
            Err(error) => Err(not_started(run, error)),
        }
    }

    /// Cancels a child that may not have been started, by a record that whoever is about to start it finds there.
    pub(super) async fn prevent(
        &self,
        build: Fingerprint,
        parent: &RunKey,
        cached: &CachedSnapshot,
        child: &RunKey,
    ) -> Result<(), BackendError> {
        let trace = cached.snapshot.trace.clone();
        let ended = tombstone(child.clone(), trace, self.next_commit(), self.clock.now());
        match self.write(build, &ended, Vec::new(), 0).await {
            Ok(_revision) => self.publish_result(child, &ended).await,
            Err(error) if error.is_conflict() => {
                let found = self.load_any(child).await?;
                // Somebody may have given its id to a run of their own.
                let of =
                    found.and_then(|(cached, _)| cached.snapshot.parent.as_ref().map(|of| of.run.clone()));
                if of.as_ref() == Some(parent) {
                    self.control(child, Control::Cancel).await?;
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// How the child of an item ended; `None` while it goes on.
    pub(super) async fn child_end(&self, child: &RunKey) -> Result<Option<ChildEnd>, BackendError> {
        let Some((cached, _)) = self.load_any(child).await? else {
            return Ok(Some(Err(format!("child run {child} is gone: it was removed or forgotten"))));
        };
        Ok(end_of(child, &cached.snapshot))
    }

    /// The ticket that was held is settled, and the item is still pending: its run is paused, or it waits for a child.
    /// What it waits for may have come about before the ticket was settled, when no other ticket could be published.
    pub(super) async fn look_again(
        &self,
        run: &RunKey,
        item: &ItemId,
        child: Option<&RunKey>,
    ) -> Result<(), BackendError> {
        if let Some(child) = child
            && self.child_end(child).await?.is_none()
        {
            return Ok(());
        }
        let Some((cached, build)) = self.load_any(run).await? else {
            return Ok(());
        };
        if cached.snapshot.status != Status::Running {
            return Ok(());
        }
        let wanted = pending_ticket(&cached.snapshot, item).into_iter().collect();
        let tickets = self.resolve_nodes(run, &cached.snapshot, wanted).await?;
        self.publish(build, run, &cached, tickets, 1).await
    }

    /// Tells the parent of a run that has ended to look.
    pub(super) async fn wake(&self, cached: &CachedSnapshot, parent: Parent) -> Result<(), BackendError> {
        let Parent { run, item, node, build } = parent;
        let ticket = Ticket {
            workflow: run.workflow,
            run_id: run.run_id,
            node,
            item,
            // Whatever the worker has in hand may be older than what the item waits for.
            revision: u64::MAX,
            attempt: 1,
            at: self.clock.now(),
            trace: cached.snapshot.trace.headers(),
        };
        self.backend.publish(vec![(ticket, build)]).await?;
        fail_point(FailPoint::ParentWoken);
        Ok(())
    }
}

fn end_of(child: &RunKey, snapshot: &Snapshot) -> Option<ChildEnd> {
    match snapshot.status {
        Status::Running | Status::Paused => None,
        Status::Completed => Some(match snapshot.outputs.first() {
            Some(output) => Ok(output.value.clone()),
            None => Err(format!("child run {child} has no output")),
        }),
        Status::Cancelled => Some(Err(format!("child run {child} was cancelled"))),
        Status::Failed => {
            let why = snapshot.error.as_ref().map_or("no reason is known", |error| &error.message);
            Some(Err(format!("child run {child} failed: {why}")))
        }
    }
}

/// As much of the parent's id as fits, and a digest that tells its items, and runs of other workflows, apart.
fn child_id(parent: &Parent) -> RunId {
    RunId::fitted(&format!("{}/{}/{}", parent.run.run_id, parent.item, parent.run.workflow))
}

fn not_started(run: &RunKey, error: StartError) -> BackendError {
    match error {
        StartError::Backend(error) => error,
        error => BackendError::new(BackendErrorKind::Corrupt, format!("child run {run} cannot be started"))
            .caused_by(error),
    }
}
