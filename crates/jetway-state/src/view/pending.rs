//! The pending work of a run, by node.

use crate::{
    ItemId, Timestamp,
    run::{Bounded, FanOut, Snapshot, Wait},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Pending work items of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingView {
    /// The node; `None` for branches whose inputs are in chunks.
    pub node: Option<String>,
    /// The number of pending items.
    pub items: usize,
    /// How many of them wait for a slot, because the node has a limit (`at_most`).
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub waiting: usize,
    /// How many of them wait for a time or a signal.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub sleeping: usize,
    /// How many of them wait for a person, since their attempts are used up.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub for_person: usize,
    /// The signals that they wait for, by name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub signals: BTreeSet<String>,
    /// When the first of those that wait for a time is due, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// Since when the oldest item is pending, in RFC 3339.
    pub since: String,
}

/// What is pending at one node.
#[derive(Debug, Clone, Default)]
struct Pending {
    items: usize,
    /// Those that wait for a slot.
    waiting: usize,
    /// Those that wait for a time or a signal.
    sleeping: usize,
    /// Those that wait for a person.
    for_person: usize,
    signals: BTreeSet<String>,
    /// When the first of those is due.
    due: Option<Timestamp>,
    since: Timestamp,
}

#[derive(Default)]
struct ByNode(BTreeMap<Option<String>, Pending>);

impl ByNode {
    fn add(&mut self, node: Option<&str>, more: Pending) {
        if more.items == 0 {
            return;
        }
        let none = Pending { since: more.since, ..Pending::default() };
        let entry = self.0.entry(node.map(ToOwned::to_owned)).or_insert(none);
        entry.items += more.items;
        entry.waiting += more.waiting;
        entry.sleeping += more.sleeping;
        entry.for_person += more.for_person;
        entry.signals.extend(more.signals);
        entry.due = [entry.due, more.due].into_iter().flatten().min();
        entry.since = entry.since.min(more.since);
    }

    fn add_fan_out(&mut self, fan_out: &FanOut, now: Timestamp) {
        let (branches, since) = (&fan_out.branches, fan_out.pending_since);
        let due = fan_out.due.filter(|due| *due > now);
        let of = |items: usize, waiting: usize| {
            let sleeping = if due.is_some() { items } else { 0 };
            let waiting = if due.is_some() { 0 } else { waiting };
            Pending { items, waiting, sleeping, due, since, ..Pending::default() }
        };
        let mut named = 0;
        for (node, bounded) in &branches.bounded {
            let waiting = bounded.waiting.len() as usize;
            let items = waiting + bounded.in_flight.len();
            self.add(Some(node), of(items, waiting));
            named += items;
        }
        for branch in branches.inline.values().filter(|branch| !branches.bounded.contains_key(&branch.node)) {
            self.add(Some(&branch.node), of(1, 0));
            named += 1;
        }
        self.add(None, of((branches.open() as usize).saturating_sub(named), 0));
    }
}

fn missing(wait: &Wait) -> BTreeSet<String> {
    match wait {
        Wait::Signal(wait) => wait.missing().map(ToOwned::to_owned).collect(),
        Wait::Timer { .. } | Wait::Retry { .. } | Wait::Person { .. } => BTreeSet::new(),
    }
}

impl ByNode {
    /// Counts the branches that wait on their own, for their next attempt, a signal or a person. Their fan-outs were added as a whole.
    fn mark_branches(&mut self, snapshot: &Snapshot, now: Timestamp) {
        for (id, wait) in snapshot.waits.iter().filter(|(id, wait)| {
            !snapshot.items.contains_key(*id) && !wait.is_over(now) && snapshot.is_pending(id)
        }) {
            let node = snapshot.node_of(id).or_else(|| bounded_node(snapshot, id)).map(ToOwned::to_owned);
            let Some(entry) = self.0.get_mut(&node) else { continue };
            entry.waiting -= usize::from(snapshot.waits_for_slot(id)).min(entry.waiting);
            entry.signals.extend(missing(wait));
            entry.due = [entry.due, wait.due()].into_iter().flatten().min();
            match wait {
                Wait::Person { .. } => entry.for_person += 1,
                Wait::Timer { .. } | Wait::Retry { .. } | Wait::Signal(_) => entry.sleeping += 1,
            }
        }
    }
}

/// The node of a branch, if it has a limit.
fn bounded_node<'a>(snapshot: &'a Snapshot, id: &ItemId) -> Option<&'a str> {
    let (fan_out, position) = id.as_branch()?;
    let bounded = &snapshot.fan_outs.get(&fan_out)?.branches.bounded;
    let holds = |of: &Bounded| of.waiting.contains(position) || of.in_flight.contains_key(&position);
    bounded.iter().find(|(_, of)| holds(of)).map(|(node, _)| node.as_str())
}

/// The pending work of a run at `now`, by node. What is due by then waits for nothing.
pub(super) fn by_node(snapshot: &Snapshot, now: Timestamp) -> Vec<PendingView> {
    let mut by_node = ByNode::default();
    for (id, item) in &snapshot.items {
        let wait = snapshot.waits.get(id).filter(|wait| !wait.is_over(now));
        let for_person = usize::from(snapshot.waits_for_person(id));
        let waiting = usize::from(item.waits_for_slot && wait.is_none());
        let (sleeping, since) = (usize::from(wait.is_some()) - for_person, item.pending_since);
        let (due, signals) = (wait.and_then(Wait::due), wait.map(missing).unwrap_or_default());
        let pending = Pending { items: 1, waiting, sleeping, for_person, signals, due, since };
        by_node.add(Some(&item.node), pending);
    }
    for fan_out in snapshot.fan_outs.values() {
        by_node.add_fan_out(fan_out, now);
    }
    by_node.mark_branches(snapshot, now);
    let views = by_node.0.into_iter().map(|(node, pending)| {
        let Pending { items, waiting, sleeping, for_person, signals, due, since } = pending;
        let (due, since) = (due.map(|due| due.to_string()), since.to_string());
        PendingView { node, items, waiting, sleeping, for_person, signals, due, since }
    });
    views.collect()
}
