//! Child runs: items that wait for the end of another run.
//!
//! | crash after | state | repaired by |
//! |---|---|---|
//! | the parent's record names the child | the child may not exist | the next attempt at the item starts it; the end of the parent prevents it |
//! | the child is started | the parent's record does not say so | the next attempt at the item joins it |
//! | the parent's record says that it is started | complete | - |

#[cfg(test)]
mod tests;

use super::{
    attempt::AttemptReport,
    effect::{Applied, Effect},
    snapshot::{Child, Snapshot},
};
use crate::{CommitId, Incarnation, ItemId, RunKey, Seen};

/// The item stays pending and waits for `child`, which has to be started. `None` if the item is not pending any more.
pub(super) fn awaits(
    mut snapshot: Snapshot,
    attempt: AttemptReport,
    child: RunKey,
    commit: CommitId,
) -> Option<Applied> {
    if !snapshot.is_pending(&attempt.item) {
        return None;
    }
    snapshot.unreadable.remove(&attempt.item);
    let mut effects = Vec::new();
    if snapshot.children.get(&attempt.item).is_none_or(|known| known.run != child) {
        effects.extend(detach_child(&mut snapshot, &attempt.item).map(Effect::PreventChild));
        snapshot.children.insert(attempt.item, Child { run: child, started: None });
    }
    snapshot.commit = commit;
    snapshot.updated_at = attempt.timestamp;
    Some(Applied { snapshot, tickets: Vec::new(), effects })
}

/// The child of the item is started. `None` if that is recorded already, or if the item does not wait for it any more.
pub(super) fn started(
    mut snapshot: Snapshot,
    attempt: &AttemptReport,
    seen: Seen,
    commit: CommitId,
) -> Option<Applied> {
    let child = snapshot.children.get_mut(&attempt.item).filter(|child| child.started.is_none())?;
    child.started = Some(seen);
    snapshot.commit = commit;
    snapshot.updated_at = attempt.timestamp;
    Some(Applied { snapshot, tickets: Vec::new(), effects: Vec::new() })
}

/// Removes the child of an item. Returns the child if it is not known to be started. A child that is known to be started has
/// ended, since the item still waited for it.
pub(super) fn detach_child(snapshot: &mut Snapshot, item: &ItemId) -> Option<RunKey> {
    let child = snapshot.children.remove(item)?;
    child.started.is_none().then_some(child.run)
}

impl Snapshot {
    /// The child run that an item waits for, and its record at its start, if it is known to be started. A cancelled item does not
    /// wait for its child.
    pub fn started_child(&self, item: &ItemId) -> Option<(&RunKey, Seen)> {
        if self.is_cancelled(item) {
            return None;
        }
        let child = self.children.get(item)?;
        Some((&child.run, child.started?))
    }

    /// Whether there are pending items, and all of them wait for child runs.
    pub fn waits_for_children(&self) -> bool {
        !self.children.is_empty() && self.pending() == self.children.len()
    }

    /// Whether this is the run that an item of `parent` waits for, or the [`tombstone`](super::tombstone()) in its place.
    pub fn is_child_of(&self, parent: &RunKey, incarnation: Incarnation, item: &ItemId) -> bool {
        match &self.parent {
            Some(of) => (&of.run, of.incarnation, &of.item) == (parent, incarnation, item),
            None => self.input_digest.is_empty(),
        }
    }
}
