//! What the status says of pending items that a build cannot read.

use crate::{
    Timestamp,
    run::{Snapshot, UnreadableBy, UnreadableItem, UnreadablePart},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Pending items of one node that one build cannot read. They wait for a host of a build that can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildWaitView {
    /// The node.
    pub node: String,
    /// The number of items. At most a hundred of a run are counted.
    pub items: usize,
    /// What cannot be read: the `input` of the node, the `context` of the run, or a `record` of a newer version of Jetway.
    pub part: UnreadablePart,
    /// The type that the build expects; `None` if it does not know the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The fingerprint of the build that wrote it, in hexadecimal.
    pub written_by: String,
    /// The fingerprint of the build that cannot read it, in hexadecimal.
    pub unreadable_by: String,
    /// The host that met the oldest of these items.
    pub host: String,
    /// Since when, in RFC 3339.
    pub since: String,
    /// Why it cannot be read.
    pub reason: String,
}

impl BuildWaitView {
    /// The waits of a run: the oldest first.
    pub fn of(snapshot: &Snapshot) -> Vec<Self> {
        let mut oldest: BTreeMap<_, (usize, &UnreadableBy)> = BTreeMap::new();
        for UnreadableItem { node, part, written_by, builds } in snapshot.unreadable.values() {
            for by in builds {
                let (items, first) = oldest.entry((node, *part, written_by.0, by.build.0)).or_insert((0, by));
                *items += 1;
                if by.since < first.since {
                    *first = by;
                }
            }
        }
        let mut views: Vec<(Timestamp, Self)> = oldest
            .into_iter()
            .map(|((node, part, written_by, build), (items, by))| {
                let view = Self {
                    node: node.clone(),
                    items,
                    part,
                    expected: by.expected.clone(),
                    written_by: format!("{written_by:016x}"),
                    unreadable_by: format!("{build:016x}"),
                    host: by.host.clone(),
                    since: by.since.to_string(),
                    reason: by.reason.clone(),
                };
                (by.since, view)
            })
            .collect();
        views.sort_by_key(|(since, _)| *since);
        views.into_iter().map(|(_, view)| view).collect()
    }
}

/// The sentence of a status: which build cannot read what.
impl fmt::Display for BuildWaitView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, part, written_by, unreadable_by, host, since, reason, .. } = self;
        write!(f, "a host of another build: build {unreadable_by} cannot read ")?;
        match part {
            UnreadablePart::Input => write!(f, "the input of node {node:?}")?,
            UnreadablePart::Context => write!(f, "the context for node {node:?}")?,
            UnreadablePart::Record => write!(f, "a record that node {node:?} needs")?,
        }
        match (&self.expected, part) {
            (Some(expected), _) => write!(f, " as {expected}")?,
            (None, UnreadablePart::Input) => write!(f, ", a node that it does not know")?,
            (None, _) => {}
        }
        write!(
            f,
            ", which build {written_by} wrote ({reason}); met by host {host} at {since}; start a host of a build that can read \
             it, such as {written_by}, or cancel the run"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        CommitId, Fingerprint, Incarnation, ItemId, RunId, RunKey, WorkflowName,
        run::{Begin, FoundUnreadable, RunInput, Trace, begin, control, mark_unreadable},
        view::StatusView,
    };
    use bytes::Bytes;

    fn marked() -> Snapshot {
        let input = RunInput { node: "two".to_owned(), payload: Bytes::new(), context: Bytes::new() };
        let key = RunKey::new(WorkflowName::new("w").unwrap(), RunId::new("r").unwrap());
        let (commit, at, trace) = (CommitId::default(), Timestamp(0), Trace::default());
        let run =
            begin(Begin { key, incarnation: Incarnation::default(), commit, at, trace, input, due: None }).0;
        let by = UnreadableBy {
            build: Fingerprint(2),
            expected: Some("u64".to_owned()),
            host: "new-1".to_owned(),
            since: Timestamp(1000),
            reason: "invalid type".to_owned(),
        };
        let found = FoundUnreadable {
            item: ItemId::start(),
            node: "two".to_owned(),
            part: UnreadablePart::Input,
            written_by: Fingerprint(1),
            by,
        };
        mark_unreadable(run, found, commit).unwrap().snapshot
    }

    #[test]
    fn u7_a_status_names_build_node_and_type() {
        let status = StatusView::new(&marked(), Timestamp(0)).unwrap();
        let waits = &status.waiting_for_build;
        assert_eq!((waits.len(), waits[0].items, waits[0].node.as_str()), (1, 1, "two"));
        let sentence = status.waiting_for.clone().unwrap();
        for part in
            ["0000000000000002 cannot read", "\"two\" as u64", "0000000000000001 wrote", "new-1", "1970-01"]
        {
            assert!(sentence.contains(part), "{part} in {sentence}");
        }
        let read: StatusView = serde_json::from_str(&serde_json::to_string(&status).unwrap()).unwrap();
        assert_eq!(read, status);
    }

    #[test]
    fn u7_a_pause_is_the_first_reason() {
        let paused = control::pause(marked(), CommitId::default(), Timestamp(2000)).unwrap().snapshot;
        let status = StatusView::new(&paused, Timestamp(0)).unwrap();
        assert!(status.waiting_for.is_some_and(|reason| reason.contains("paused")));
        assert_eq!(status.waiting_for_build.len(), 1);
    }
}
