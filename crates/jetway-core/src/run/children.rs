//! Child runs: items that wait for another run, and the way back.

use super::{Applied, Attempt, Effect, Snapshot};
use crate::{CommitId, Fingerprint, ItemId, RunKey};
use serde::{Deserialize, Serialize};

/// The item that waits for a run to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The run that the item belongs to.
    pub run: RunKey,
    /// The item.
    pub item: ItemId,
    /// Its node.
    pub node: String,
    /// The build that started the child.
    pub build: Fingerprint,
}

/// The item goes on being pending, and waits for `child`. `None` where it is not pending any more.
pub(super) fn awaits(
    mut snapshot: Snapshot,
    attempt: Attempt,
    child: RunKey,
    commit: CommitId,
) -> Option<Applied> {
    if !snapshot.is_pending(&attempt.item) {
        return None;
    }
    snapshot.children.insert(attempt.item, child);
    snapshot.commit = commit;
    snapshot.updated_at = attempt.at;
    Some(Applied { snapshot, effects: Vec::new() })
}

/// What the end of a run means for others: its children are to stop, and its parent is to go on.
pub(super) fn at_the_end(snapshot: &mut Snapshot) -> Vec<Effect> {
    let children = std::mem::take(&mut snapshot.children).into_values().map(Effect::CancelChild);
    children.chain(snapshot.parent.clone().map(Effect::Wake)).collect()
}

impl Snapshot {
    /// Whether work is pending, and all of it waits for child runs.
    pub fn waits_for_children(&self) -> bool {
        !self.children.is_empty() && self.pending() == self.children.len()
    }
}
