//! Child runs: items that wait for another run, and the way back.
//!
//! The parent's record comes first: it names the child, then the child is started, then the record says so. Whoever is
//! lost in between leaves a record by which another one starts the child, or keeps it from being started.

#[cfg(test)]
mod tests;

use super::{
    attempt::AttemptReport,
    effect::{Applied, Effect},
    snapshot::{Parent, Snapshot},
};
use crate::{CommitId, ItemId, RunKey};

/// The item goes on being pending, and waits for `child`, which is to be started. `None` where it is not pending any
/// more.
pub(super) fn awaits(
    mut snapshot: Snapshot,
    attempt: AttemptReport,
    child: RunKey,
    commit: CommitId,
) -> Option<Applied> {
    if !snapshot.is_pending(&attempt.item) {
        return None;
    }
    let mut effects = Vec::new();
    if snapshot.children.get(&attempt.item) != Some(&child) {
        effects.extend(detach_child(&mut snapshot, &attempt.item).map(Effect::PreventChild));
        snapshot.unstarted.insert(attempt.item.clone());
        snapshot.children.insert(attempt.item, child);
    }
    snapshot.commit = commit;
    snapshot.updated_at = attempt.timestamp;
    Some(Applied { snapshot, tickets: Vec::new(), effects })
}

/// The child of the item is started. `None` where that is known, or is of no use any more.
pub(super) fn started(mut snapshot: Snapshot, attempt: &AttemptReport, commit: CommitId) -> Option<Applied> {
    if !snapshot.unstarted.remove(&attempt.item) {
        return None;
    }
    snapshot.commit = commit;
    snapshot.updated_at = attempt.timestamp;
    Some(Applied { snapshot, tickets: Vec::new(), effects: Vec::new() })
}

/// The item waits for no child any more: its child, where that is not known to be started. One that was started has
/// ended, or the item would wait for it still.
pub(super) fn detach_child(snapshot: &mut Snapshot, item: &ItemId) -> Option<RunKey> {
    let child = snapshot.children.remove(item)?;
    snapshot.unstarted.remove(item).then_some(child)
}

impl Snapshot {
    /// The child run that an item waits for, if it is known to be started.
    pub fn started_child(&self, item: &ItemId) -> Option<&RunKey> {
        self.children.get(item).filter(|_| !self.unstarted.contains(item))
    }

    /// Whether work is pending, and all of it waits for child runs.
    pub fn waits_for_children(&self) -> bool {
        !self.children.is_empty() && self.pending() == self.children.len()
    }

    /// Whether this is the run that the item of `parent` waits for, or the record that keeps it from being started.
    pub fn is_child_of(&self, parent: &Parent) -> bool {
        match &self.parent {
            Some(of) => (&of.run, &of.item) == (&parent.run, &parent.item),
            None => self.input_digest.is_empty(),
        }
    }
}
