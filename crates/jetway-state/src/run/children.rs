//! Child runs: runs that another run starts, its parent.
//!
//! An item waits for one child run, or for a [group](ChildGroup) of them. A *detached* child run is started after the step that asks
//! for it, and nobody waits for it. What a run means to do to its child runs is an [intent](ChildIntent) in its record until it is done.
//!
//! | crash after | state | repaired by |
//! |---|---|---|
//! | the parent's record names the child | the child may not exist | the next attempt at the item starts it; the end of the parent prevents it |
//! | the child is started | the parent's record does not say so | the next attempt at the item joins it |
//! | the parent's record says that it is started | complete | - |
//! | the parent's record has an intent | the child is not started, or not cancelled | redelivery of the ticket; the sweep |
//! | the intent is carried out | the record has it still | as above: it is carried out twice, which changes nothing |

mod group;
mod intent;
mod policy;

#[cfg(test)]
mod tests;

pub use group::{ChildGroup, EndedChild, ManyWanted};
pub(super) use group::{awaits_many, started_many};
pub use intent::{ChildIntent, ChildStart, close_intents};
pub(super) use intent::{give_up_children, intend};
pub use policy::OnParentCancel;

use super::{
    attempt::AttemptReport,
    effect::Applied,
    first_of::begin_beside_child,
    signal::{SignalWanted, wake},
    snapshot::{Child, Snapshot},
    wait::WaitsBefore,
};
use crate::{CommitId, Incarnation, ItemId, RunId, RunKey, Seen, Timestamp, time::rounded_up};
use std::time::Duration;

/// A child run that an item wants to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildWanted {
    /// The run.
    pub run: RunKey,
    /// What becomes of it if the item does not wait for it any more.
    pub on_cancel: OnParentCancel,
    /// How long the item waits for it; `None` for ever.
    pub within: Option<Duration>,
    /// The signals that the item waits for as well, until their deadline: what comes first settles the wait.
    pub or: Option<SignalWanted>,
}

impl From<RunKey> for ChildWanted {
    fn from(run: RunKey) -> Self {
        Self { run, on_cancel: OnParentCancel::default(), within: None, or: None }
    }
}

impl ChildWanted {
    fn child(self, now: Timestamp) -> Child {
        let due = self.within.map(|within| now.after(rounded_up(within)));
        Child { run: self.run, started: None, on_cancel: self.on_cancel, due }
    }
}

/// The id of the child run of an item: the start of the parent's id, and a digest of the parent's run, incarnation, item, workflow and
/// position in a group. A second attempt names the same run, and a parent that is started again has other children.
pub fn child_run_id(
    parent: &RunKey,
    incarnation: Incarnation,
    item: &ItemId,
    position: Option<u32>,
) -> RunId {
    let position = position.map(|position| format!("/{position}")).unwrap_or_default();
    RunId::fitted(&format!("{}/{incarnation}/{item}{position}/{}", parent.run_id, parent.workflow))
}

/// The item stays pending and waits for a child run, which has to be started, unless a signal that the item waits for as well is there
/// already. What the record knows already changes nothing. `None` if the item is not pending any more.
pub(super) fn awaits(
    mut snapshot: Snapshot,
    attempt: AttemptReport,
    mut child: ChildWanted,
    commit: CommitId,
    waits: WaitsBefore,
) -> Option<Applied> {
    if !snapshot.is_pending(&attempt.item) {
        return None;
    }
    snapshot.unreadable.remove(&attempt.item);
    let mut effects = Vec::new();
    let now = attempt.timestamp;
    if snapshot.children.get(&attempt.item).is_none_or(|known| known.run != child.run) {
        give_up_children(&mut snapshot, &attempt.item, false, now, &mut effects);
        let or = child.or.take();
        let begun = or.map(|wanted| begin_beside_child(&mut snapshot, &attempt.item, wanted, now));
        let (is_wanted, ready) = begun.unwrap_or((true, Vec::new()));
        effects.extend(wake(ready));
        if is_wanted {
            snapshot.children.insert(attempt.item, child.child(now));
        }
    }
    snapshot.commit = commit;
    snapshot.updated_at = now;
    waits.settle(&snapshot, &mut effects);
    Some(Applied { snapshot, tickets: Vec::new(), effects })
}

/// The child of the item is started. `None` if that is recorded already, or if the item does not wait for it any more.
pub(super) fn started(
    mut snapshot: Snapshot,
    attempt: &AttemptReport,
    seen: Seen,
    commit: CommitId,
    waits: WaitsBefore,
) -> Option<Applied> {
    let child = snapshot.children.get_mut(&attempt.item).filter(|child| child.started.is_none())?;
    child.started = Some(seen);
    snapshot.commit = commit;
    snapshot.updated_at = attempt.timestamp;
    let mut effects = Vec::new();
    waits.settle(&snapshot, &mut effects);
    Some(Applied { snapshot, tickets: Vec::new(), effects })
}

impl Snapshot {
    /// The child run that an item waits for, and its record at its start, if it is known to be started. A cancelled item waits for no
    /// child, unless its policy says so.
    pub fn started_child(&self, item: &ItemId) -> Option<(&RunKey, Seen)> {
        if !self.waits_for_its_children(item) {
            return None;
        }
        let child = self.children.get(item)?;
        Some((&child.run, child.started?))
    }

    /// Whether the record names a child run that an item waits for, whether it is started or not.
    pub fn awaits_children(&self, item: &ItemId) -> bool {
        self.children.contains_key(item) || self.child_groups.contains_key(item)
    }

    /// The child runs that an item waits for, with their records at their start, as far as they are known to be started.
    pub fn started_children(&self, item: &ItemId) -> Vec<(RunKey, Seen)> {
        if !self.waits_for_its_children(item) {
            return Vec::new();
        }
        let group = self.child_groups.get(item).into_iter().flat_map(|group| group.open.values());
        let children = self.children.get(item).into_iter().chain(group);
        children.filter_map(|child| Some((child.run.clone(), child.started?))).collect()
    }

    /// Whether an item goes on to wait for its child runs although it may be cancelled.
    fn waits_for_its_children(&self, item: &ItemId) -> bool {
        !self.is_cancelled(item) || self.outlasts_cancel(item)
    }

    /// Whether an item waits for a child run whose policy is to be waited for.
    pub(super) fn outlasts_cancel(&self, item: &ItemId) -> bool {
        let group = self.child_groups.get(item).into_iter().flat_map(|group| group.open.values());
        let mut children = self.children.get(item).into_iter().chain(group);
        children.any(|child| child.started.is_some() && child.on_cancel == OnParentCancel::Wait)
    }

    /// Whether a run that is cancelled waits for child runs first. Also for one that is not known to be started: whoever is about to start
    /// it goes on to wait for it, and if nobody is, the ticket of its item is delivered again, which ends the wait.
    pub(super) fn has_children_to_wait_for(&self) -> bool {
        self.awaited_children().any(|(_, child)| child.on_cancel == OnParentCancel::Wait)
    }

    /// Whether the time for a child run of the item has passed.
    pub fn child_is_late(&self, item: &ItemId, now: Timestamp) -> bool {
        self.children.get(item).is_some_and(|child| child.is_late(now))
    }

    /// The child runs that pending items wait for, with these items.
    pub fn awaited_children(&self) -> impl Iterator<Item = (&ItemId, &Child)> {
        let groups = self.child_groups.iter();
        let of_groups = groups.flat_map(|(item, group)| group.open.values().map(move |child| (item, child)));
        self.children.iter().chain(of_groups)
    }

    /// Whether there are pending items, and all of them wait for child runs.
    pub fn waits_for_children(&self) -> bool {
        let waiting = self.children.len() + self.child_groups.len();
        waiting > 0 && self.pending() == waiting
    }

    /// Whether this is the run that an item of `parent` waits for, or the [`tombstone`](super::tombstone()) in its place.
    pub fn is_child_of(&self, parent: &RunKey, incarnation: Incarnation, item: &ItemId) -> bool {
        match &self.parent {
            Some(of) => (&of.run, of.incarnation, &of.item) == (parent, incarnation, item),
            None => self.input_digest.is_empty(),
        }
    }
}

impl Child {
    /// Whether it had to end by now.
    pub fn is_late(&self, now: Timestamp) -> bool {
        self.due.is_some_and(|due| due <= now)
    }
}
