//! Items whose attempts are used up, and that wait for a person (`exhausted = pause`).
//!
//! Such an item has no ticket and no alarm. The other items of its run go on. A person looks at the error, mends what is broken, and
//! asks for another attempt: the item is ready again, its failures and lost hosts count from zero, and its time limits begin anew.

use super::{
    effect::{Applied, TicketFor},
    recover::pending_ticket,
    snapshot::{Snapshot, Status},
    wait::{Wait, WaitsBefore},
};
use crate::{CommitId, ItemId, Timestamp};

/// The items that are tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetriedItems {
    /// The record, tickets and effects.
    pub applied: Applied,
    /// The items.
    pub items: Vec<ItemId>,
}

/// Why no item is tried again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRetried {
    /// The run has ended.
    #[error("the run has ended, {0}")]
    Ended(Status),
    /// No item waits for a person, or this one does not.
    #[error("{}", nothing_waits(.0.as_ref()))]
    NothingWaits(Option<ItemId>),
}

fn nothing_waits(item: Option<&ItemId>) -> String {
    match item {
        Some(item) => format!("item {item} does not wait for a person: see the status of the run"),
        None => "no item of the run waits for a person: see its status".to_owned(),
    }
}

impl Snapshot {
    /// Whether the item waits for a person.
    pub fn waits_for_person(&self, item: &ItemId) -> bool {
        matches!(self.waits.get(item), Some(Wait::Person { .. }))
    }

    /// The items that wait for a person, each with the time since when it does.
    pub fn waiting_for_person(&self) -> impl Iterator<Item = (&ItemId, Timestamp)> {
        self.waits.iter().filter_map(|(item, wait)| match wait {
            Wait::Person { since, .. } => Some((item, *since)),
            Wait::Timer { .. } | Wait::Retry { .. } | Wait::Signal(_) => None,
        })
    }

    /// Whether there are pending items, and all of them wait for a person.
    pub fn waits_for_persons_alone(&self) -> bool {
        let waiting = self.waiting_for_person().count();
        waiting > 0 && waiting == self.pending()
    }
}

/// A person asks for another attempt at an item, or at all items that wait for a person.
///
/// The tickets are those of the items whose node the record names. In a paused run there are none: it is resumed first.
///
/// # Errors
/// See [`NotRetried`].
pub fn retry_items(
    mut snapshot: Snapshot,
    item: Option<&ItemId>,
    commit: CommitId,
    at: Timestamp,
) -> Result<RetriedItems, NotRetried> {
    if snapshot.status.is_terminal() {
        return Err(NotRetried::Ended(snapshot.status));
    }
    let waiting = snapshot.waiting_for_person().map(|(waiting, _)| waiting);
    let items: Vec<ItemId> =
        waiting.filter(|waiting| item.is_none_or(|item| item == *waiting)).cloned().collect();
    if items.is_empty() {
        return Err(NotRetried::NothingWaits(item.cloned()));
    }
    let (waits, at) = (WaitsBefore::of(&snapshot), snapshot.next_time(at));
    for item in &items {
        // It is due, and so gets a slot as soon as its node has one.
        let signals = snapshot.waits.remove(item).and_then(Wait::into_signals).map(Box::new);
        snapshot.waits.insert(item.clone(), Wait::Retry { due: at, signals });
        snapshot.attempts.remove(item);
        if let Some(failures) = snapshot.failures.get_mut(item) {
            (failures.count, failures.first_at, failures.ready_since) = (0, at, at);
        }
    }
    snapshot.commit = commit;
    snapshot.updated_at = at;
    let tickets = if snapshot.status.is_active() { tickets(&snapshot, &items) } else { Vec::new() };
    let mut effects = Vec::new();
    waits.settle(&snapshot, &mut effects);
    Ok(RetriedItems { applied: Applied { snapshot, tickets, effects }, items })
}

fn tickets(snapshot: &Snapshot, items: &[ItemId]) -> Vec<TicketFor> {
    let wanted = items.iter().filter_map(|item| pending_ticket(snapshot, item, snapshot.updated_at));
    let named = wanted.filter_map(|mut ticket| Some((ticket.node.take()?, ticket)));
    named.map(|(node, ticket)| ticket.for_node(node)).collect()
}
