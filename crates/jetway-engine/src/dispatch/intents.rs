//! Carrying out what a run means to do to its child runs, and writing its record without that.

use super::Dispatcher;
use crate::{
    backend::{BackendError, BackendErrorKind, DeadLetter},
    control::Awaiting,
    fail_point::{FailPoint, fail_point},
    snapshots::{CachedSnapshot, Committed, RunVersion},
    starts::StartError,
};
use jetway_core::step::{Swap, Swapped, swap_until};
use jetway_state::run::{ChildIntent, ChildStart, Snapshot, close_intents};

impl Dispatcher {
    /// Carries out what the record of a run means to do to its child runs: whoever committed that may have crashed before it did.
    pub(crate) async fn carry_out_intents(&self, version: RunVersion<'_>) -> Result<(), BackendError> {
        self.carry_out(version, Vec::new(), version.cached.snapshot.intent_effects()).await
    }

    /// Returns the child run if it was cancelled: it has effects of its own.
    pub(super) async fn carry_out_intent(
        &self,
        version: RunVersion<'_>,
        intent: &ChildIntent,
    ) -> Result<Option<Committed>, BackendError> {
        let cancelled = match intent {
            ChildIntent::Start(start) => {
                self.start_detached(version, start).await?;
                fail_point(FailPoint::ChildStarted);
                return Ok(None);
            }
            ChildIntent::Cancel { run, item, seen, of } => {
                let awaiting = Awaiting::new(version, item, *of);
                self.controller.cancel_child(awaiting, run, *seen).await?
            }
            ChildIntent::Prevent { run, item, spare, of } => {
                let awaiting = Awaiting::new(version, item, *of);
                self.controller.prevent(version, awaiting, run.clone(), *spare).await?
            }
        };
        fail_point(FailPoint::ChildCancelled);
        Ok(cancelled)
    }

    /// Starts a detached child run. One that cannot be started becomes a dead letter: its parent has gone on.
    async fn start_detached(&self, version: RunVersion<'_>, start: &ChildStart) -> Result<(), BackendError> {
        let snapshot = &version.cached.snapshot;
        match self.starter.start_detached(start, &snapshot.trace).await {
            Ok(()) => Ok(()),
            Err(StartError::Backend(error)) if error.kind() != BackendErrorKind::TooLarge => Err(error),
            Err(refused) => {
                let run = &start.run;
                tracing::error!(%run, why = refused.why(), "cannot start a detached child run: it is a dead letter, which names its parent");
                self.backend.dead_letter(letter(version, start, &refused)).await
            }
        }
    }

    /// Writes the record of a run without the intents that were carried out.
    pub(super) async fn close_intents(
        &self,
        version: RunVersion<'_>,
        done: &[ChildIntent],
    ) -> Result<(), BackendError> {
        swap_until(Close { dispatcher: self, version, done, first: Some(version.cached.clone()) }).await?;
        fail_point(FailPoint::IntentsClosed);
        Ok(())
    }
}

fn letter(version: RunVersion<'_>, start: &ChildStart, refused: &StartError) -> DeadLetter {
    let (parent, incarnation) = (version.run, version.cached.snapshot.incarnation);
    DeadLetter {
        workflow: start.run.workflow.to_string(),
        why: refused.why().to_owned(),
        reason: format!("run {parent} could not start it: {refused}"),
        headers: vec![
            ("Jetway-Run-Id".to_owned(), start.run.run_id.to_string()),
            ("Jetway-Node".to_owned(), start.input.node.clone()),
        ],
        payload: start.input.payload.clone(),
        id: format!("child-{parent}/{incarnation}/{}", start.run),
        ..DeadLetter::default()
    }
}

/// One write without the intents, until it succeeds.
struct Close<'a> {
    dispatcher: &'a Dispatcher,
    version: RunVersion<'a>,
    done: &'a [ChildIntent],
    /// The record that the first try replaces.
    first: Option<CachedSnapshot>,
}

impl Swap for Close<'_> {
    /// `None` if the run was deleted.
    type State = Option<CachedSnapshot>;
    type Output = ();
    type Error = BackendError;

    async fn load(&mut self) -> Result<Self::State, BackendError> {
        let Self { dispatcher, version, .. } = self;
        match self.first.take() {
            Some(cached) => Ok(Some(cached)),
            None => Ok(dispatcher
                .snapshots
                .read(version.run, version.cached.seen())
                .await?
                .map(|(found, _)| found)),
        }
    }

    async fn swap(&mut self, state: Self::State) -> Result<Swapped<()>, BackendError> {
        let Self { dispatcher: Dispatcher { snapshots, .. }, version, done, .. } = self;
        let incarnation = version.cached.snapshot.incarnation;
        let Some(cached) = state.filter(|found| found.snapshot.incarnation == incarnation) else {
            return Ok(Swapped::Done(()));
        };
        let Some(closed) = close_intents(Snapshot::clone(&cached.snapshot), done, snapshots.next_commit())
        else {
            return Ok(Swapped::Done(()));
        };
        match snapshots.write(cached.build, &closed, Vec::new(), cached.seen()).await {
            Ok(revision) => {
                let closed = snapshots.found(closed, revision, cached.build);
                match closed.snapshot.status.is_terminal() {
                    true => snapshots.forget(version.run),
                    false => snapshots.slot(version.run).keep(&closed),
                }
                Ok(Swapped::Done(()))
            }
            Err(error) if error.is_conflict() => Ok(Swapped::Conflict),
            Err(error) => Err(error),
        }
    }

    fn contended(&self, conflicts: usize) -> BackendError {
        let message = format!(
            "cannot record what run {} has done to its child runs: {conflicts} writes of others came first",
            self.version.run
        );
        BackendError::new(BackendErrorKind::Unavailable, message)
    }
}
