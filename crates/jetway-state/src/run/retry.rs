//! Failed attempts that are made again: the item stays pending, and waits like one with a timer.
//!
//! The count of failures is in the record, so it survives whatever ends an attempt. Attempts that end with the loss of their host
//! are counted apart, see [`count_attempt`](super::count_attempt).

use super::{
    apply::admit,
    attempt::AttemptReport,
    effect::{Applied, TicketFor},
    snapshot::{RunError, Snapshot},
    wait::{Wait, WaitsBefore},
};
use crate::{CommitId, Graph, ItemId, Timestamp};
use serde::{Deserialize, Serialize};

/// The failed attempts at a pending item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// Their number.
    pub count: u32,
    /// The error of the latest one.
    pub latest: RunError,
}

impl Snapshot {
    /// How many attempts at a pending item have failed and are made again.
    pub fn failures_at(&self, item: &ItemId) -> u32 {
        self.failures.get(item).map_or(0, |failures| failures.count)
    }

    /// How many attempts at a pending item ended with the loss of their host.
    pub fn losses_at(&self, item: &ItemId) -> u32 {
        self.attempts.get(item).map_or(0, |latest| latest.saturating_sub(1))
    }
}

/// The attempt has failed, and another one is made at `due`. `None` if the item is not pending any more.
pub(super) fn retry(
    mut snapshot: Snapshot,
    attempt: &AttemptReport,
    (due, error): (Timestamp, RunError),
    commit: CommitId,
    graph: &Graph,
    waits: WaitsBefore,
) -> Option<Applied> {
    if !snapshot.is_pending(&attempt.item) {
        return None;
    }
    let count = snapshot.failures_at(&attempt.item).saturating_add(1);
    snapshot.failures.insert(attempt.item.clone(), Failures { count, latest: error });
    snapshot.unreadable.remove(&attempt.item);
    free_slot(&mut snapshot, &attempt.item, graph);
    // No ticket is published for it now: it would be that of the attempt that has failed.
    let due = due.max(Timestamp(attempt.timestamp.0.saturating_add(1)));
    snapshot.waits.insert(attempt.item.clone(), Wait::Retry { due });
    snapshot.commit = commit;
    snapshot.updated_at = attempt.timestamp;
    let tickets: Vec<TicketFor> = admit(&mut snapshot, graph, &attempt.ticket_item, attempt.timestamp);
    let mut effects = Vec::new();
    waits.settle(&snapshot, &mut effects);
    Some(Applied { snapshot, tickets, effects })
}

/// An item that waits holds no slot at its node.
fn free_slot(snapshot: &mut Snapshot, item: &ItemId, graph: &Graph) {
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
