//! Counting attempts at an item whose ticket was delivered before.
//!
//! The first attempt at an item is not counted: that would cost a write for each step. From the second delivery of a ticket
//! on, an attempt is counted in the record before the node runs. Tickets can be forged, so what they say does not count.
//!
//! The time of the record stays: what became due since then is still owed to those that wait.

use super::snapshot::Snapshot;
use crate::{CommitId, ItemId};

impl Snapshot {
    /// The number of the latest attempt at an item, from 1. Attempts that failed count, and those that ended with the loss of their
    /// host.
    pub fn attempt_at(&self, item: &ItemId) -> u32 {
        let lost = self.attempts.get(item).copied().unwrap_or(1);
        lost.saturating_add(self.failures_at(item))
    }
}

/// Counts another attempt at a pending item. Returns its number. `None` if no attempt may be made: the run does not go on, or
/// the item is not pending.
pub fn count_attempt(mut snapshot: Snapshot, item: &ItemId, commit: CommitId) -> Option<(Snapshot, u32)> {
    if !snapshot.may_run(item) || !snapshot.is_pending(item) {
        return None;
    }
    let losses = snapshot.losses_at(item).saturating_add(1);
    snapshot.attempts.insert(item.clone(), losses.saturating_add(1));
    let number = snapshot.attempt_at(item);
    // Whoever makes the attempt has read the item.
    snapshot.unreadable.remove(item);
    snapshot.commit = commit;
    Some((snapshot, number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Graph, Incarnation, RunId, RunKey, Timestamp, WorkflowName,
        run::{AttemptReport, Begin, EncodedOutcome, RunInput, Trace, apply, begin, control},
    };
    use bytes::Bytes;

    const COMMIT: CommitId = CommitId { writer: 1, number: 2 };

    fn running() -> Snapshot {
        let input = RunInput { node: "a".to_owned(), payload: Bytes::new(), context: Bytes::new() };
        let key = RunKey::new(WorkflowName::new("w").unwrap(), RunId::new("r").unwrap());
        let (commit, at, trace) = (CommitId::default(), Timestamp(1), Trace::default());
        begin(Begin { key, incarnation: Incarnation::default(), commit, at, trace, input, due: None }).0
    }

    #[test]
    fn m1_attempts_are_counted_from_the_second_one_on() {
        let start = ItemId::start();
        assert_eq!(running().attempt_at(&start), 1);
        let (second, number) = count_attempt(running(), &start, COMMIT).unwrap();
        assert_eq!((number, second.attempt_at(&start), second.commit), (2, 2, COMMIT));
        let (_, number) = count_attempt(second, &start, COMMIT).unwrap();
        assert_eq!(number, 3);
    }

    #[test]
    fn m1_only_a_pending_item_of_a_running_run_has_attempts() {
        let start = ItemId::start();
        let other = ItemId::new("forged").unwrap();
        assert_eq!(count_attempt(running(), &other, COMMIT), None);
        let paused = control::pause(running(), COMMIT, Timestamp(2)).unwrap().snapshot;
        assert_eq!(count_attempt(paused, &start, COMMIT), None);
        let (counted, _) = count_attempt(running(), &start, COMMIT).unwrap();
        let ended = control::cancel(counted.clone(), COMMIT, Timestamp(3)).unwrap().snapshot;
        assert!(ended.attempts.is_empty());
        assert_eq!(count_attempt(ended, &start, COMMIT), None);
        let report = AttemptReport {
            incarnation: Incarnation::default(),
            item: start.clone(),
            node: "a".to_owned(),
            ticket_item: start,
            number: 2,
            timestamp: Timestamp(3),
            span: None,
            produced: EncodedOutcome::Hold,
            context: None,
        };
        let held = apply(counted, report, COMMIT, &Graph::opaque("w")).unwrap().snapshot;
        assert!(held.attempts.is_empty(), "{held:?}");
    }
}
