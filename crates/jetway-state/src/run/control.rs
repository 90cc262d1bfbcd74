//! What a run is told from outside: to stop, to wait, to go on, or that it is done.

#[cfg(test)]
mod tests;

use super::{
    effect::{Applied, Effect},
    end,
    recover::pending_tickets,
    snapshot::{Snapshot, Status},
};
use crate::{CommitId, Timestamp};

/// Ends a run as Cancelled: what is pending is pending no more, and an attempt that is under way is thrown away.
///
/// `None` where the run has ended: an end is final.
pub fn cancel(snapshot: Snapshot, commit: CommitId, at: Timestamp) -> Option<Applied> {
    end(snapshot, Status::Cancelled, commit, at)
}

/// Ends a run as Completed with the outputs that there are; what is pending is pending no more.
///
/// `None` where the run has ended: an end is final.
pub fn complete(snapshot: Snapshot, commit: CommitId, at: Timestamp) -> Option<Applied> {
    end(snapshot, Status::Completed, commit, at)
}

/// Keeps the pending items of a run from being taken up. A step that is under way is still committed, and may end the
/// run.
///
/// `None` where the run is not Running.
pub fn pause(snapshot: Snapshot, commit: CommitId, at: Timestamp) -> Option<Applied> {
    turn(snapshot, Status::Running, Status::Paused, commit, at)
}

/// Lets the pending items of a paused run be taken up again. The effects are the tickets of those whose node the
/// record names; the nodes of the others are in chunks beside it, see [`pending_tickets`].
///
/// `None` where the run is not Paused. A run that failed is not opened again: its record drops what was pending when it
/// fails, so that there is nothing to go on with.
pub fn resume(snapshot: Snapshot, commit: CommitId, at: Timestamp) -> Option<Applied> {
    let mut applied = turn(snapshot, Status::Paused, Status::Running, commit, at)?;
    let tickets = pending_tickets(&applied.snapshot).into_iter();
    applied.tickets =
        tickets.filter_map(|mut ticket| ticket.node.take().map(|node| ticket.for_node(node))).collect();
    Some(applied)
}

fn end(mut snapshot: Snapshot, status: Status, commit: CommitId, at: Timestamp) -> Option<Applied> {
    if snapshot.status.is_terminal() {
        return None;
    }
    let effects = end::end(&mut snapshot, status, at);
    Some(written(snapshot, effects, commit, at))
}

fn turn(
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
    Some(written(snapshot, Vec::new(), commit, at))
}

fn written(mut snapshot: Snapshot, effects: Vec<Effect>, commit: CommitId, at: Timestamp) -> Applied {
    snapshot.commit = commit;
    snapshot.updated_at = at;
    Applied { snapshot, tickets: Vec::new(), effects }
}
