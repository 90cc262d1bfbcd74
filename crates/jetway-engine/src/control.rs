//! Telling a run from outside to stop, to wait, or to go on.

use super::{Engine, run_cache::CachedSnapshot};
use crate::{
    backend::{BackendError, BackendErrorKind},
    fail_point::{FailPoint, fail_point},
};
use jetway_state::{
    CommitId, Fingerprint, RunKey, Timestamp,
    run::{Applied, Effect, Snapshot, Status, control, pending_tickets},
};
use std::sync::Arc;

/// A run that is written by others so often in a row that nothing can be told to it is broken.
const MAX_CONFLICTS: usize = 256;

/// What a run is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// To stop for good: what is pending is pending no more, and a step that is under way is thrown away.
    Cancel,
    /// To take nothing up until it is resumed. A step that is under way is still committed.
    Pause,
    /// To go on.
    Resume,
}

/// What came of telling it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlResult {
    /// How the run stands now.
    pub status: Status,
    /// Whether it stood otherwise before.
    pub changed: bool,
}

impl Control {
    fn decide(self, snapshot: Snapshot, commit: CommitId, at: Timestamp) -> Option<Applied> {
        match self {
            Self::Cancel => control::cancel(snapshot, commit, at),
            Self::Pause => control::pause(snapshot, commit, at),
            Self::Resume => control::resume(snapshot, commit, at),
        }
    }

    fn committed(self) -> FailPoint {
        match self {
            Self::Cancel => FailPoint::CancelCommitted,
            Self::Pause => FailPoint::PauseCommitted,
            Self::Resume => FailPoint::ResumeCommitted,
        }
    }

    /// The word for it.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }

    /// Whether a run of that status does what it is told, whether or not it did so before.
    pub fn is_satisfied_by(self, status: Status) -> bool {
        match self {
            Self::Cancel => status == Status::Cancelled,
            Self::Pause => status == Status::Paused,
            Self::Resume => status == Status::Running,
        }
    }
}

impl Engine {
    /// Tells a run to stop, to wait, or to go on. `None` where there is no such run. A run of a workflow that this host
    /// does not serve is told as well.
    ///
    /// # Errors
    /// What the backend failed with. Telling it again is safe, and mends what a lost host has left undone.
    pub async fn control(
        &self,
        run: &RunKey,
        control: Control,
    ) -> Result<Option<ControlResult>, BackendError> {
        for _ in 0..MAX_CONFLICTS {
            let Some((cached, build)) = self.load_any(run).await? else {
                return Ok(None);
            };
            let before = cached.snapshot.status;
            let snapshot = Snapshot::clone(&cached.snapshot);
            let Some(applied) = control.decide(snapshot, self.next_commit(), self.clock.now()) else {
                self.retry_control(run, cached, build, control).await?;
                return Ok(Some(ControlResult { status: before, changed: false }));
            };
            let Applied { snapshot, effects, .. } = applied;
            match self.write(build, &snapshot, Vec::new(), cached.revision).await {
                Ok(revision) => {
                    let cached = CachedSnapshot { snapshot: Arc::new(snapshot), revision };
                    self.cache.of(run).keep(&cached);
                    fail_point(control.committed());
                    self.after_control(run, &cached, build, effects).await?;
                    return Ok(Some(ControlResult { status: cached.snapshot.status, changed: true }));
                }
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        let sentence = format!(
            "run {run} was written by others {MAX_CONFLICTS} times in a row while it was told to {}",
            control.verb()
        );
        Err(BackendError::new(BackendErrorKind::Unavailable, sentence))
    }

    async fn after_control(
        &self,
        run: &RunKey,
        cached: &CachedSnapshot,
        build: Fingerprint,
        effects: Vec<Effect>,
    ) -> Result<(), BackendError> {
        if effects.contains(&Effect::PublishResult) {
            self.tracer.run_ended(&cached.snapshot);
        }
        self.carry_out(build, run, cached, Vec::new(), effects).await?;
        if cached.snapshot.status == Status::Running {
            // The nodes of branches whose payloads are in chunks are named there.
            let tickets =
                self.resolve_nodes(run, &cached.snapshot, pending_tickets(&cached.snapshot)).await?;
            self.publish_tickets(FailPoint::TicketPublished, build, run, cached, tickets, 1).await?;
        }
        Ok(())
    }

    /// Whoever was told before may have been lost in the middle of it.
    async fn retry_control(
        &self,
        run: &RunKey,
        cached: CachedSnapshot,
        build: Fingerprint,
        control: Control,
    ) -> Result<(), BackendError> {
        match (control, cached.snapshot.status) {
            (Control::Cancel, Status::Cancelled) => self.reapply_end_effects(build, run, &cached).await,
            (Control::Resume, Status::Running) => match self.missing_tickets(run, cached).await? {
                // Somebody may be in the middle of one of these without a ticket.
                Some((cached, tickets)) => self.publish(build, run, &cached, tickets, 2).await,
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// The latest snapshot of a run of any workflow, and the build that it is written for.
    pub(super) async fn load_any(
        &self,
        run: &RunKey,
    ) -> Result<Option<(CachedSnapshot, Fingerprint)>, BackendError> {
        let Some(stored) = self.backend.load(run).await? else {
            return Ok(None);
        };
        let (snapshot, build) = stored.open()?;
        Ok(Some((CachedSnapshot { snapshot: Arc::new(snapshot), revision: stored.revision }, build)))
    }
}
