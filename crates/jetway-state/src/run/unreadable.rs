//! Pending items that a build cannot read, because another build wrote them or the context.
//!
//! Such an item stays pending without a ticket. Its marker in the record says which build cannot read it, so that one dead
//! letter and one log line are written, and not one for each ticket. A host that can read the item finds it by its sweep, and
//! the commit that processes the item removes the marker.

use super::snapshot::Snapshot;
use crate::{CommitId, Fingerprint, ItemId, Timestamp, json::shortened};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How many items of a run are marked. A fan-out may have many thousands, and the record has to stay small.
const MAX_ITEMS: usize = 100;

/// How many builds are named for an item: the latest.
const MAX_BUILDS: usize = 8;

/// The longest reason, in bytes.
const MAX_REASON: usize = 512;

/// A pending item that at least one build cannot read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadableItem {
    /// Its node.
    pub node: String,
    /// What cannot be read.
    pub part: UnreadablePart,
    /// The build that wrote it.
    pub written_by: Fingerprint,
    /// The builds that cannot read it.
    pub builds: Vec<UnreadableBy>,
}

/// What of an item cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnreadablePart {
    /// Its input: the type has changed, or the build does not know the node.
    Input,
    /// The context of the run.
    Context,
    /// A record beside the snapshot, which a newer version of Jetway wrote.
    Record,
}

/// A build that cannot read an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadableBy {
    /// The build.
    pub build: Fingerprint,
    /// The type that it expects; `None` if it does not know the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The first of its hosts that met the item.
    pub host: String,
    /// When that was.
    pub since: Timestamp,
    /// Why it cannot be read.
    pub reason: String,
}

/// An item that a host cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundUnreadable {
    /// The item.
    pub item: ItemId,
    /// Its node.
    pub node: String,
    /// What cannot be read.
    pub part: UnreadablePart,
    /// The build that wrote it.
    pub written_by: Fingerprint,
    /// The build that cannot read it. `since` is the time of the commit.
    pub by: UnreadableBy,
}

/// A record with a new marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// The record.
    pub snapshot: Snapshot,
    /// Whether it is the first marker of this build in the run.
    pub is_first: bool,
}

/// Marks a pending item as one that a build cannot read. `None` if there is nothing to mark: the run does not go on, the item
/// is not pending or is marked already, or so many items are marked that there is no room.
pub fn mark_unreadable(mut snapshot: Snapshot, found: FoundUnreadable, commit: CommitId) -> Option<Marked> {
    let FoundUnreadable { item, node, part, written_by, by } = found;
    let is_running = snapshot.status.is_active() && snapshot.is_pending(&item);
    let has_room = snapshot.unreadable.len() < MAX_ITEMS || snapshot.unreadable.contains_key(&item);
    if !is_running || !has_room || snapshot.is_unreadable_by(&item, by.build) {
        return None;
    }
    let is_first = !snapshot.has_unreadable_by(by.build);
    let since = snapshot.next_time(by.since);
    let reason = shortened(&by.reason, MAX_REASON).into_owned();
    let marker = snapshot.unreadable.entry(item).or_insert_with(|| UnreadableItem {
        node: String::new(),
        part,
        written_by,
        builds: Vec::new(),
    });
    // What the latest build says: the writer of the context may be another one by now.
    (marker.node, marker.part, marker.written_by) = (node, part, written_by);
    if marker.builds.len() >= MAX_BUILDS {
        marker.builds.remove(0);
    }
    marker.builds.push(UnreadableBy { since, reason, ..by });
    // The time of the record stays: what became due since then is still owed to those that wait.
    snapshot.commit = commit;
    Some(Marked { snapshot, is_first })
}

impl Snapshot {
    /// Whether the item is marked as one that the build cannot read.
    pub fn is_unreadable_by(&self, item: &ItemId, build: Fingerprint) -> bool {
        self.unreadable.get(item).is_some_and(|marker| marker.is_by(build))
    }

    /// Whether any item is marked as one that the build cannot read.
    pub fn has_unreadable_by(&self, build: Fingerprint) -> bool {
        self.unreadable.values().any(|marker| marker.is_by(build))
    }

    /// The build that wrote the input of a pending item, in a record that was written for `record`.
    pub fn writer_of(&self, item: &ItemId, record: Fingerprint) -> Fingerprint {
        let of_fan_out = || self.written_by.get(&item.as_branch()?.0);
        self.written_by.get(item).or_else(of_fan_out).copied().unwrap_or(record)
    }

    /// The same record, about to be written for the build `to` and no longer for `from`: it says of what is pending that
    /// `from` wrote it.
    #[must_use]
    pub fn written_again(&self, from: Fingerprint, to: Fingerprint) -> Self {
        let mut snapshot = self.clone();
        if from != to {
            for id in self.items.keys().chain(self.fan_outs.keys()) {
                snapshot.written_by.entry(id.clone()).or_insert(from);
            }
        }
        snapshot
    }

    /// Forgets who wrote what is no longer pending.
    pub(super) fn forget_writers(&mut self) {
        let Self { items, fan_outs, written_by, .. } = self;
        written_by.retain(|id, _| items.contains_key(id) || fan_outs.contains_key(id));
    }

    /// The node of a pending item, if the record names it: that of a branch may be in a chunk.
    pub fn node_of(&self, item: &ItemId) -> Option<&str> {
        let of_branch = || {
            let (fan_out, position) = item.as_branch()?;
            Some(&self.fan_outs.get(&fan_out)?.branches.inline.get(&position)?.node)
        };
        self.items.get(item).map(|item| &item.node).or_else(of_branch).map(String::as_str)
    }
}

impl UnreadableItem {
    fn is_by(&self, build: Fingerprint) -> bool {
        self.builds.iter().any(|by| by.build == build)
    }
}

impl UnreadablePart {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Context => "context",
            Self::Record => "record",
        }
    }
}

impl fmt::Display for UnreadablePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests;
