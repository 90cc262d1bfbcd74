//! What a status says of signals: which ones a run waits for, and what is in its mailbox.

use crate::{
    ItemId, Timestamp,
    run::{Letter, SignalWait, Snapshot, Wait},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many names of signals are in a status.
const NAMES_IN_STATUS: usize = 100;

/// The signals of a run that no item has waited for yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MailboxView {
    /// Their number.
    pub signals: usize,
    /// The size of their names and payloads.
    pub bytes: usize,
    /// Their number by name: the first hundred names.
    pub names: BTreeMap<String, usize>,
}

impl MailboxView {
    /// The mailbox of a run; `None` if it is empty.
    pub(super) fn of(snapshot: &Snapshot) -> Option<Self> {
        let mailbox = &snapshot.mailbox;
        if mailbox.letters.is_empty() {
            return None;
        }
        let mut view =
            Self { signals: mailbox.letters.len(), bytes: mailbox.bytes(), names: BTreeMap::new() };
        for Letter { name, .. } in &mailbox.letters {
            if view.names.len() < NAMES_IN_STATUS || view.names.contains_key(name) {
                *view.names.entry(name.clone()).or_default() += 1;
            }
        }
        Some(view)
    }
}

/// The sentence of a status for a run that waits for signals: that of the item which has waited longest. `None` if no item waits for
/// a signal.
pub(super) fn sentence(snapshot: &Snapshot, now: Timestamp) -> Option<String> {
    let waiting = snapshot.waits.iter().filter_map(|(item, wait)| match wait {
        Wait::Signal(wait) if !wait.is_over(now) => Some((wait.since, item, wait)),
        _ => None,
    });
    let (_, item, wait) = waiting.min_by_key(|(since, item, _)| (*since, *item))?;
    let node = snapshot.node_of(item).map_or_else(String::new, |node| format!(", for node {node:?}"));
    let due = wait.due.map_or_else(String::new, |due| format!(", until {due}"));
    let first = format!("{}{due}{node}", names(wait));
    Some(match snapshot.pending() {
        1 => first,
        items => format!("{first}; {items} items wait for signals or times"),
    })
}

/// What an item waits for beside its child run, as the end of a sentence; empty if that is nothing.
pub(super) fn beside_child(snapshot: &Snapshot, item: &ItemId) -> String {
    let Some(wait) = snapshot.wait_beside_child(item) else { return String::new() };
    let due = wait.due.map_or_else(String::new, |due| format!(", until {due}"));
    format!(", or {}{due}", names(wait))
}

fn names(wait: &SignalWait) -> String {
    let missing: Vec<_> = wait.missing().map(|name| format!("{name:?}")).collect();
    match (missing.as_slice(), wait.all) {
        ([one], _) => format!("signal {one}"),
        (several, true) => format!("signals {}", several.join(" and ")),
        (several, false) => format!("signal {}", several.join(" or ")),
    }
}
