//! Commands to runs: cancel, terminate, pause, resume, complete.

#[cfg(test)]
mod tests;

use super::{
    clean_up::{CancelReason, cancel_with_clean_up, end_cancelled, terminate},
    effect::{Applied, Effect},
    end::end,
    recover::pending_tickets,
    snapshot::{Snapshot, Status},
    wait::WaitsBefore,
};
use crate::{CommitId, Timestamp};
use std::{fmt, time::Duration};

/// A command to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Cancel the run. Its clean-up runs first, if its workflow has `on_cancel` edges. Without clean-up, pending items are dropped,
    /// and running steps are discarded.
    Cancel,
    /// End the run at once: as cancel, without clean-up.
    Terminate,
    /// Pause the run: running steps finish, no new ones start.
    Pause,
    /// Resume a paused run.
    Resume,
}

/// The result of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlResult {
    /// The status of the run now.
    pub status: Status,
    /// Whether the command changed it.
    pub changed: bool,
}

impl Control {
    /// Applies the command. `None` if the status of the run does not allow it. A clean-up takes `clean_up_limit` at most.
    pub fn decide(
        self,
        snapshot: Snapshot,
        commit: CommitId,
        at: Timestamp,
        clean_up_limit: Duration,
    ) -> Option<Applied> {
        match self {
            Self::Cancel => cancel_with_clean_up(snapshot, commit, at, clean_up_limit),
            Self::Terminate => terminate(snapshot, commit, at),
            Self::Pause => pause(snapshot, commit, at),
            Self::Resume => resume(snapshot, commit, at),
        }
    }

    /// The verb for it.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Terminate => "terminate",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }

    /// Whether a run of that status is as the command wants it, whether the command changed it or not.
    pub fn is_satisfied_by(self, status: Status) -> bool {
        match self {
            Self::Cancel => matches!(status, Status::Cancelling | Status::Cancelled),
            Self::Terminate => status == Status::Cancelled,
            Self::Pause => status == Status::Paused,
            Self::Resume => status == Status::Running,
        }
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.verb())
    }
}

/// Cancels a run without clean-up: pending items are dropped, and running steps are discarded.
///
/// `None` if the run has ended: an end is final.
pub fn cancel(snapshot: Snapshot, commit: CommitId, at: Timestamp) -> Option<Applied> {
    end_cancelled(snapshot, CancelReason::Requested, commit, at)
}

/// Completes a run with the outputs that it has; pending items are dropped.
///
/// `None` if the run has ended: an end is final.
pub fn complete(snapshot: Snapshot, commit: CommitId, at: Timestamp) -> Option<Applied> {
    end_run(snapshot, Status::Completed, commit, at)
}

/// Pauses a run: running steps finish and may end the run, no new ones start.
///
/// `None` if the run is not Running.
pub fn pause(snapshot: Snapshot, commit: CommitId, at: Timestamp) -> Option<Applied> {
    let mut applied = change_status(snapshot, Status::Running, Status::Paused, commit, at)?;
    applied.snapshot.stop_deadline();
    Some(applied)
}

/// Resumes a paused run. The tickets are those of the items whose node the record names. The nodes of the others are in
/// chunks beside it, see [`pending_tickets`].
///
/// `None` if the run is not Paused. A failed run cannot be resumed: its record dropped its pending items when it failed.
pub fn resume(snapshot: Snapshot, commit: CommitId, at: Timestamp) -> Option<Applied> {
    let mut applied = change_status(snapshot, Status::Paused, Status::Running, commit, at)?;
    applied.snapshot.move_deadline();
    let now = applied.snapshot.updated_at;
    if applied.snapshot.next_due(now).is_some() {
        applied.effects.push(Effect::ArmAlarm { since: now });
    }
    let tickets = pending_tickets(&applied.snapshot, now).into_iter();
    applied.tickets =
        tickets.filter_map(|mut ticket| ticket.node.take().map(|node| ticket.for_node(node))).collect();
    Some(applied)
}

pub(super) fn end_run(
    mut snapshot: Snapshot,
    status: Status,
    commit: CommitId,
    at: Timestamp,
) -> Option<Applied> {
    if snapshot.status.is_terminal() {
        return None;
    }
    let at = snapshot.next_time(at);
    let waits = WaitsBefore::of(&snapshot);
    let mut effects = end(&mut snapshot, status, at);
    waits.disarm_all(at, &mut effects);
    Some(changed(snapshot, effects, commit, at))
}

fn change_status(
    mut snapshot: Snapshot,
    from: Status,
    to: Status,
    commit: CommitId,
    at: Timestamp,
) -> Option<Applied> {
    if snapshot.status != from {
        return None;
    }
    snapshot.status = to;
    Some(changed(snapshot, Vec::new(), commit, at))
}

fn changed(mut snapshot: Snapshot, effects: Vec<Effect>, commit: CommitId, at: Timestamp) -> Applied {
    snapshot.commit = commit;
    snapshot.updated_at = snapshot.next_time(at);
    Applied { snapshot, tickets: Vec::new(), effects }
}
