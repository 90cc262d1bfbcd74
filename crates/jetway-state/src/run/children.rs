//! Child runs: items that wait for another run, and the way back.
//!
//! The parent's record comes first: it names the child, then the child is started, then the record says so. Whoever is
//! lost in between leaves a record by which another one starts the child, or keeps it from being started.

use super::{Applied, AttemptReport, Begin, Effect, RunInput, Snapshot, Trace, begin, control};
use crate::{CommitId, Fingerprint, ItemId, RunKey, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The item that waits for a run to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The run that the item belongs to.
    pub run: RunKey,
    /// The item.
    pub item: ItemId,
    /// Its node.
    pub node: String,
    /// The build that started the child.
    pub build: Fingerprint,
}

/// The item goes on being pending, and waits for `child`, which is to be started. `None` where it is not pending any
/// more.
pub(super) fn awaits(
    mut snapshot: Snapshot,
    attempt: AttemptReport,
    child: RunKey,
    commit: CommitId,
) -> Option<Applied> {
    if !snapshot.is_pending(&attempt.item) {
        return None;
    }
    let mut effects = Vec::new();
    if snapshot.children.get(&attempt.item) != Some(&child) {
        effects.extend(detach_child(&mut snapshot, &attempt.item).map(Effect::PreventChild));
        snapshot.unstarted.insert(attempt.item.clone());
        snapshot.children.insert(attempt.item, child);
    }
    snapshot.commit = commit;
    snapshot.updated_at = attempt.timestamp;
    Some(Applied { snapshot, effects })
}

/// The child of the item is started. `None` where that is known, or is of no use any more.
pub(super) fn started(mut snapshot: Snapshot, attempt: &AttemptReport, commit: CommitId) -> Option<Applied> {
    if !snapshot.unstarted.remove(&attempt.item) {
        return None;
    }
    snapshot.commit = commit;
    snapshot.updated_at = attempt.timestamp;
    Some(Applied { snapshot, effects: Vec::new() })
}

/// The item waits for no child any more: its child, where that is not known to be started. One that was started has
/// ended, or the item would wait for it still.
pub(super) fn detach_child(snapshot: &mut Snapshot, item: &ItemId) -> Option<RunKey> {
    let child = snapshot.children.remove(item)?;
    snapshot.unstarted.remove(item).then_some(child)
}

/// The record of a run that was to be started, and must not be: it stands where the run would, and has ended.
pub fn tombstone(run: RunKey, trace: Trace, commit: CommitId, at: Timestamp) -> Snapshot {
    let seed = RunInput { node: String::new(), payload: Bytes::new(), context: Bytes::new() };
    let (mut snapshot, _) = begin(Begin { key: run, commit, at, trace, seed });
    snapshot.input_digest.clear();
    match control::cancel(snapshot.clone(), commit, at) {
        Some(cancelled) => cancelled.snapshot,
        None => snapshot,
    }
}

impl Snapshot {
    /// Whether work is pending, and all of it waits for child runs.
    pub fn waits_for_children(&self) -> bool {
        !self.children.is_empty() && self.pending() == self.children.len()
    }

    /// Whether this is the run that the item of `parent` waits for, or the record that keeps it from being started.
    pub fn is_child_of(&self, parent: &Parent) -> bool {
        match &self.parent {
            Some(of) => (&of.run, &of.item) == (&parent.run, &parent.item),
            None => self.input_digest.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Graph, RunId, WorkflowName,
        run::{EncodedOutcome, RunError, Status, apply},
    };

    const COMMIT: CommitId = CommitId { writer: 1, number: 2 };

    fn key(run_id: &str) -> RunKey {
        RunKey::new(WorkflowName::new("w").unwrap(), RunId::new(run_id).unwrap())
    }

    fn answered(snapshot: Snapshot, produced: EncodedOutcome) -> Option<Applied> {
        let attempt = AttemptReport {
            item: ItemId::start(),
            node: "a".to_owned(),
            ticket_item: ItemId::start(),
            number: 1,
            timestamp: Timestamp(2),
            span: None,
            produced,
            context: None,
        };
        apply(snapshot, attempt, COMMIT, &Graph::opaque("w"))
    }

    fn running() -> Snapshot {
        let seed = RunInput { node: "a".to_owned(), payload: Bytes::new(), context: Bytes::new() };
        let (commit, at, trace) = (CommitId::default(), Timestamp(1), Trace::default());
        begin(Begin { key: key("parent"), commit, at, trace, seed }).0
    }

    fn recorded(child: &str) -> Snapshot {
        answered(running(), EncodedOutcome::Await(key(child))).unwrap().snapshot
    }

    fn failed() -> EncodedOutcome {
        EncodedOutcome::Failed(RunError {
            item: None,
            node: None,
            attempt: 1,
            kind: "error".to_owned(),
            message: "no".to_owned(),
        })
    }

    #[test]
    fn a_child_is_recorded_then_known_to_be_started() {
        let recorded = recorded("c");
        assert!(recorded.waits_for_children() && recorded.unstarted.contains(&ItemId::start()));
        let started = answered(recorded, EncodedOutcome::Started).unwrap().snapshot;
        assert!(started.waits_for_children() && started.unstarted.is_empty());
        assert_eq!(answered(started.clone(), EncodedOutcome::Started), None);
        // A second worker that comes late with the same answer takes nothing back.
        let again = answered(started, EncodedOutcome::Await(key("c"))).unwrap();
        assert!(again.snapshot.unstarted.is_empty() && again.effects.is_empty());
    }

    #[test]
    fn the_end_cancels_what_is_started_and_prevents_what_may_not_be() {
        let recorded = recorded("c");
        let started = answered(recorded.clone(), EncodedOutcome::Started).unwrap().snapshot;
        for (snapshot, effect) in
            [(recorded, Effect::PreventChild(key("c"))), (started, Effect::CancelChild(key("c")))]
        {
            let ended = control::cancel(snapshot, COMMIT, Timestamp(3)).unwrap();
            assert_eq!(ended.effects, [Effect::Done, effect]);
            // Whoever comes after one that was lost finds the same in the record.
            assert_eq!(crate::run::end_effects(&ended.snapshot), ended.effects);
        }
    }

    #[test]
    fn a_child_that_nobody_waits_for_any_more_must_not_be_started() {
        let ended = answered(recorded("c"), failed()).unwrap();
        assert_eq!(ended.effects, [Effect::Done, Effect::PreventChild(key("c"))]);
        assert_eq!(crate::run::end_effects(&ended.snapshot), ended.effects);
        let other = answered(recorded("c"), EncodedOutcome::Await(key("d"))).unwrap();
        assert_eq!(other.effects, [Effect::PreventChild(key("c"))]);
        assert_eq!(other.snapshot.children[&ItemId::start()], key("d"));
    }

    #[test]
    fn a_run_that_never_began_stands_in_its_childs_place() {
        let parent = |item| {
            let (run, node) = (key("parent"), "a".to_owned());
            Parent { run, item, node, build: Fingerprint(1) }
        };
        let never = tombstone(key("c"), Trace::default(), COMMIT, Timestamp(3));
        assert_eq!((never.status, never.pending(), never.steps), (Status::Cancelled, 0, 0));
        assert!(never.is_child_of(&parent(ItemId::start())));
        let child = Snapshot { parent: Some(parent(ItemId::start())), ..running() };
        assert!(child.is_child_of(&parent(ItemId::start())));
        assert!(
            !child.is_child_of(&parent(ItemId::successor("start", 0)))
                && !running().is_child_of(&parent(ItemId::start()))
        );
    }
}
