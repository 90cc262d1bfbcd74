//! What the status says of items that wait for a person.

use super::ErrorView;
use crate::{ItemId, run::Snapshot};
use serde::{Deserialize, Serialize};

/// How many of these items are in a status.
const ITEMS_IN_STATUS: usize = 100;

/// An item whose attempts are used up. It waits until a person asks for another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonWaitView {
    /// The item.
    pub item: ItemId,
    /// Its node; `None` for a branch whose input is in a chunk.
    pub node: Option<String>,
    /// The error of the last attempt.
    pub error: Option<ErrorView>,
    /// Since when it waits, in RFC 3339.
    pub since: String,
}

impl PersonWaitView {
    /// The first of these items.
    pub fn of(snapshot: &Snapshot) -> Vec<Self> {
        let views = snapshot.waiting_for_person().map(|(item, since)| Self {
            item: item.clone(),
            node: snapshot.node_of(item).map(ToOwned::to_owned),
            error: snapshot.failures.get(item).map(|failures| ErrorView::from(&failures.latest)),
            since: since.to_string(),
        });
        views.take(ITEMS_IN_STATUS).collect()
    }
}

/// The sentence of a status.
pub(super) fn sentence(snapshot: &Snapshot) -> Option<String> {
    let (item, _) = snapshot.waiting_for_person().next()?;
    let node = snapshot.node_of(item).map_or_else(String::new, |node| format!(", for node {node:?}"));
    let error = snapshot.failures.get(item).map(|failures| &failures.latest);
    let error = error
        .map_or_else(String::new, |error| format!("; attempt {} failed: {}", error.attempt, error.message));
    let who = match snapshot.waiting_for_person().count() {
        1 => "a person".to_owned(),
        items => format!("a person, with {items} items, the first"),
    };
    let (workflow, run) = (&snapshot.workflow, &snapshot.run_id);
    Some(format!("{who}{node}{error}; mend the cause, then `jetway retry {workflow} {run}`"))
}
