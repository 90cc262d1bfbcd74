//! Groups of child runs: an item waits for many of them, of which a limited number runs at once.

use super::{ChildIntent, ChildWanted, intend};
use crate::{
    CommitId, ItemId, Seen,
    run::{
        attempt::AttemptReport,
        effect::Applied,
        fan_out::{Arrival, Arrivals},
        snapshot::{Child, Snapshot},
        wait::WaitsBefore,
    },
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most child runs of one item that run at once. A record that says more is not believed.
const MAX_BOUND: u32 = 1000;

/// The child runs of one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildGroup {
    /// The number of child runs, of all that are to be started.
    pub count: u32,
    /// How many of them run at once.
    pub bound: u32,
    /// Whether the first that fails ends the wait.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fail_fast: bool,
    /// Those before this position have been named.
    pub next: u32,
    /// Those that have been named and have not ended, by position.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub open: BTreeMap<u32, Child>,
    /// The encoded results of those that have ended.
    pub ended: Arrivals,
}

/// What an item wants of its group of child runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManyWanted {
    /// The number of child runs.
    pub count: u32,
    /// How many of them run at once.
    pub bound: u32,
    /// Whether the first that fails ends the wait.
    pub fail_fast: bool,
    /// Those to be started now, by position.
    pub named: Vec<(u32, ChildWanted)>,
    /// Those that have ended since.
    pub ended: Vec<EndedChild>,
}

/// A child run of a group that has ended, or that could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedChild {
    /// Its position.
    pub position: u32,
    /// Its encoded result.
    pub result: Bytes,
}

impl ChildGroup {
    fn new(wanted: &ManyWanted) -> Self {
        let ManyWanted { count, bound, fail_fast, .. } = *wanted;
        let (open, ended) = (BTreeMap::new(), Arrivals::default());
        Self { count, bound: bound.clamp(1, MAX_BOUND), fail_fast, next: 0, open, ended }
    }

    /// The positions that are to be started when so many of the open ones have ended: those that are named and not started, and the
    /// next ones.
    pub fn to_start(&self, ended: usize) -> Vec<u32> {
        let open = u32::try_from(self.open.len().saturating_sub(ended)).unwrap_or(u32::MAX);
        let unstarted = self.open.iter().filter(|(_, child)| child.started.is_none());
        let room = self.bound.min(MAX_BOUND).saturating_sub(open);
        let last = self.next.saturating_add(room).min(self.count);
        unstarted.map(|(position, _)| *position).chain(self.next..last).collect()
    }

    /// Whether all of them have ended, with so many that the record does not know yet.
    pub fn is_complete(&self, ended: usize) -> bool {
        self.ended.count as usize + ended >= self.count as usize
    }
}

/// The item stays pending and waits for a group of child runs. What the record knows already changes nothing. `None` if the item is not
/// pending any more.
pub(in crate::run) fn awaits_many(
    mut snapshot: Snapshot,
    attempt: &AttemptReport,
    wanted: ManyWanted,
    commit: CommitId,
    waits: WaitsBefore,
) -> Option<Applied> {
    let (item, now) = (&attempt.item, attempt.timestamp);
    if !snapshot.is_pending(item) {
        return None;
    }
    snapshot.unreadable.remove(item);
    let mut group = snapshot.child_groups.remove(item).unwrap_or_else(|| ChildGroup::new(&wanted));
    let mut late = Vec::new();
    for ended in wanted.ended {
        let child = group.end(item, ended);
        late.extend(child.filter(|child| child.is_late(now)).and_then(|child| cancel(item, child)));
    }
    for (position, child) in wanted.named.into_iter().filter(|(position, _)| *position < group.count) {
        if position == group.next && group.open.len() < group.bound as usize {
            group.open.insert(position, child.child(now));
            group.next += 1;
        }
    }
    snapshot.child_groups.insert(item.clone(), group);
    let mut effects = Vec::new();
    intend(&mut snapshot, late, &mut effects);
    snapshot.commit = commit;
    snapshot.updated_at = now;
    waits.settle(&snapshot, &mut effects);
    Some(Applied { snapshot, tickets: Vec::new(), effects })
}

/// Child runs of a group are started, or could not be. `None` if the item does not wait for them any more.
pub(in crate::run) fn started_many(
    mut snapshot: Snapshot,
    attempt: &AttemptReport,
    started: Vec<(u32, Seen)>,
    refused: Vec<EndedChild>,
    commit: CommitId,
    waits: WaitsBefore,
) -> Option<Applied> {
    let group = snapshot.child_groups.get_mut(&attempt.item)?;
    for (position, seen) in started {
        if let Some(child) = group.open.get_mut(&position) {
            child.started.get_or_insert(seen);
        }
    }
    for ended in refused {
        group.end(&attempt.item, ended);
    }
    snapshot.commit = commit;
    snapshot.updated_at = attempt.timestamp;
    let mut effects = Vec::new();
    waits.settle(&snapshot, &mut effects);
    Some(Applied { snapshot, tickets: Vec::new(), effects })
}

impl ChildGroup {
    /// Takes the result of an open child run. Returns the child.
    fn end(&mut self, item: &ItemId, ended: EndedChild) -> Option<Child> {
        let child = self.open.remove(&ended.position)?;
        let EndedChild { position, result } = ended;
        self.ended.push(Arrival { position, from: item.clone(), span: None, payload: result });
        Some(child)
    }
}

fn cancel(item: &ItemId, child: Child) -> Option<ChildIntent> {
    let seen = child.started?;
    Some(ChildIntent::Cancel { run: child.run, item: item.clone(), seen, of: None })
}
