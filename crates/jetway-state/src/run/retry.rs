//! Failed attempts that are made again: the item stays pending, and waits like one with a timer.
//!
//! The count of failures is in the record, so it survives whatever ends an attempt. Attempts that end with the loss of their host
//! are counted apart, see [`count_attempt`](super::count_attempt).

use super::{
    apply::admit,
    attempt::{AttemptReport, NextTry},
    effect::{Applied, TicketFor},
    snapshot::{RunError, Snapshot},
    wait::{Wait, WaitsBefore},
};
use crate::{CommitId, Graph, ItemId, Timestamp, broken_rule::counted_from};
use serde::{Deserialize, Serialize};

/// The failed attempts at a pending item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// Their number, since a person asked for another attempt if one did.
    pub count: u32,
    /// The error of the latest one.
    pub latest: RunError,
    /// When the first of the counted attempts began.
    #[serde(default)]
    pub first_at: Timestamp,
    /// Since when the item was ready, before it waited for an attempt.
    #[serde(default)]
    pub ready_since: Timestamp,
}

impl Snapshot {
    /// How many attempts at a pending item have failed and are made again.
    pub fn failures_at(&self, item: &ItemId) -> u32 {
        self.failures.get(item).map_or(0, |failures| failures.count)
    }

    /// Since when a pending item is ready. Waiting for the next attempt does not count as a wait.
    pub fn ready_since(&self, item: &ItemId) -> Timestamp {
        if let Some(failures) = self.failures.get(item) {
            return failures.ready_since;
        }
        let of_branch = || Some(self.fan_outs.get(&item.as_branch()?.0)?.pending_since);
        let since = self.items.get(item).map(|item| item.pending_since).or_else(of_branch);
        counted_from(since.max(self.due_of(item)).unwrap_or(self.updated_at))
    }

    /// When the first of the counted attempts at an item began; `None` if none has failed.
    pub fn first_attempt_at(&self, item: &ItemId) -> Option<Timestamp> {
        self.failures.get(item).filter(|failures| failures.count > 0).map(|failures| failures.first_at)
    }

    /// How many attempts at a pending item ended with the loss of their host.
    pub fn losses_at(&self, item: &ItemId) -> u32 {
        self.attempts.get(item).map_or(0, |latest| latest.saturating_sub(1))
    }
}

/// The attempt has failed, and another one is made at a time, or when a person asks for it. `None` if the item is not pending any
/// more.
pub(super) fn retry(
    mut snapshot: Snapshot,
    attempt: &AttemptReport,
    (next, error): (NextTry, RunError),
    commit: CommitId,
    graph: &Graph,
    waits: WaitsBefore,
) -> Option<Applied> {
    if !snapshot.is_pending(&attempt.item) {
        return None;
    }
    let failures = Failures {
        count: snapshot.failures_at(&attempt.item).saturating_add(1),
        latest: error,
        first_at: snapshot.first_attempt_at(&attempt.item).unwrap_or(next.began()),
        ready_since: snapshot.ready_since(&attempt.item),
    };
    snapshot.failures.insert(attempt.item.clone(), failures);
    snapshot.unreadable.remove(&attempt.item);
    free_slot(&mut snapshot, &attempt.item, graph);
    // The next attempt gets the answer that this one had.
    let signals = snapshot.waits.remove(&attempt.item).and_then(Wait::into_signals).map(Box::new);
    let wait = match next {
        // No ticket is published for it now: it would be that of the attempt that has failed.
        NextTry::At { due, .. } => {
            let due = due.max(Timestamp(attempt.timestamp.0.saturating_add(1)));
            Wait::Retry { due, signals }
        }
        NextTry::WhenAsked { .. } => Wait::Person { since: attempt.timestamp, signals },
    };
    snapshot.waits.insert(attempt.item.clone(), wait);
    snapshot.commit = commit;
    snapshot.updated_at = attempt.timestamp;
    let tickets: Vec<TicketFor> = admit(&mut snapshot, graph, &attempt.ticket_item, attempt.timestamp);
    let mut effects = Vec::new();
    waits.settle(&snapshot, &mut effects);
    Some(Applied { snapshot, tickets, effects })
}

/// An item that waits holds no slot at its node.
pub(super) fn free_slot(snapshot: &mut Snapshot, item: &ItemId, graph: &Graph) {
    if let Some(pending) = snapshot.items.get_mut(item) {
        pending.waits_for_slot = graph.is_bounded(&pending.node);
    }
    if let Some((fan_out, position)) = item.as_branch()
        && let Some(fan_out) = snapshot.fan_outs.get_mut(&fan_out)
    {
        for bounded in fan_out.branches.bounded.values_mut() {
            if bounded.in_flight.remove(&position).is_some() {
                bounded.waiting.insert(position);
            }
        }
    }
}
