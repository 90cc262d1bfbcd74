//! The start of a run.

use super::{
    effect::TicketFor,
    mailbox::Mailbox,
    snapshot::{HandledFailures, Input, Item, Payload, Snapshot, Status, Trace},
    wait::Wait,
};
use crate::{CommitId, Incarnation, ItemId, RunKey, Timestamp, codec};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The parts of the first snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// The run.
    pub key: RunKey,
    /// The identity of this start.
    pub incarnation: Incarnation,
    /// The id of the first commit.
    pub commit: CommitId,
    /// The time of the first commit.
    pub at: Timestamp,
    /// When the first item is due, if that is later.
    pub due: Option<Timestamp>,
    /// Its trace.
    pub trace: Trace,
    /// The first work item and the context.
    pub input: RunInput,
}

/// The first work item and the first context of a run, which the workflow made from the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInput {
    /// The start node.
    pub node: String,
    /// The encoded work item.
    pub payload: Bytes,
    /// The encoded context.
    pub context: Bytes,
}

impl RunInput {
    /// A digest of the input that does not depend on the order in which maps are encoded. It does depend on the order of a
    /// `HashSet`, so inputs should use a `BTreeSet`.
    pub fn digest(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update(codec::canonical(&self.payload));
        hash.finalize()[..16].to_vec()
    }
}

/// Creates the first snapshot of a run, and the ticket for its first item. A run that starts later has no ticket: it needs its
/// [alarm](Snapshot::alarm).
pub fn begin(begin: Begin) -> (Snapshot, Option<TicketFor>) {
    crate::hop!("begin");
    let Begin { key, incarnation, commit, at, due, trace, input } = begin;
    let id = ItemId::start();
    let due = due.filter(|due| *due > at);
    let input_digest = input.digest();
    let item = Item {
        node: input.node.clone(),
        input: Input::One(Payload::Inline(input.payload)),
        branch: None,
        ticket_item: id.clone(),
        waits_for_slot: false,
        from_span: None,
        pending_since: at,
    };
    let snapshot = Snapshot {
        workflow: key.workflow,
        run_id: key.run_id,
        incarnation,
        commit,
        status: Status::Running,
        context: input.context,
        items: BTreeMap::from([(id.clone(), item)]),
        fan_outs: BTreeMap::new(),
        outputs: Vec::new(),
        error: None,
        handled_failures: HandledFailures::default(),
        steps: 0,
        started_at: at,
        updated_at: at,
        finished_at: None,
        trace,
        input_digest,
        children: BTreeMap::new(),
        child_groups: BTreeMap::new(),
        intents: Vec::new(),
        waits: due.map(|due| (id.clone(), Wait::Timer { due })).into_iter().collect(),
        mailbox: Mailbox::default(),
        failures: BTreeMap::new(),
        attempts: BTreeMap::new(),
        parent: None,
        chunked: false,
        unreadable: BTreeMap::new(),
        written_by: BTreeMap::new(),
        has_clean_up: false,
        cancel: None,
        deadline: None,
        paused_at: None,
        chain: None,
        continued: 0,
    };
    let ticket = due.is_none().then_some(TicketFor { item: id, node: input.node });
    (snapshot, ticket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{AlarmWanted, Effect, StatusView, control, pending_tickets};

    fn begun(due: Option<u64>) -> (Snapshot, Option<TicketFor>) {
        let key = RunKey::new("w".parse().unwrap(), "r".parse().unwrap());
        let (incarnation, commit, at) = (Incarnation::default(), CommitId::default(), Timestamp(100));
        let (payload, context) = (Bytes::from_static(b"\x01"), Bytes::from_static(b"\xf6"));
        let input = RunInput { node: "a".to_owned(), payload, context };
        let (trace, due) = (Trace::default(), due.map(Timestamp));
        begin(Begin { key, incarnation, commit, at, due, trace, input })
    }

    #[test]
    fn a_run_that_starts_later_has_an_alarm_in_place_of_a_ticket() {
        let (snapshot, ticket) = begun(Some(200_000));
        assert_eq!((ticket, snapshot.status), (None, Status::Running));
        let AlarmWanted { due, ticket } = snapshot.alarm(snapshot.updated_at).unwrap();
        assert_eq!(
            (due, ticket.item, ticket.node.as_deref()),
            (Timestamp(200_000), ItemId::start(), Some("a"))
        );
        assert!(pending_tickets(&snapshot, Timestamp(199_999)).is_empty());
        assert_eq!(pending_tickets(&snapshot, due).len(), 1);
        let status = StatusView::new(&snapshot, Timestamp(0)).unwrap();
        let waiting_for = "the time of its start, 1970-01-01T00:03:20.000Z";
        assert_eq!(status.waiting_for.as_deref(), Some(waiting_for));
        assert_eq!((status.pending[0].sleeping, status.run.status), (1, Status::Running));
    }

    #[test]
    fn a_run_whose_time_has_passed_starts_at_once() {
        for due in [None, Some(0), Some(99), Some(100)] {
            let (snapshot, ticket) = begun(due);
            assert_eq!(ticket.map(|ticket| ticket.item), Some(ItemId::start()), "{due:?}");
            assert!(snapshot.waits.is_empty() && snapshot.alarm(Timestamp(0)).is_none());
        }
    }

    #[test]
    fn a_run_that_starts_later_takes_commands() {
        let commit = CommitId { writer: 1, number: 2 };
        let (snapshot, _) = begun(Some(200_000));
        let cancelled = control::cancel(snapshot.clone(), commit, Timestamp(300)).unwrap();
        assert!(cancelled.effects.contains(&Effect::DisarmAllAlarms), "{:?}", cancelled.effects);
        assert_eq!((cancelled.snapshot.status, cancelled.snapshot.pending()), (Status::Cancelled, 0));
        for (resumed_at, tickets, effects) in
            [(400, 0, vec![Effect::ArmAlarm { since: Timestamp(400) }]), (200_000, 1, vec![])]
        {
            let paused = control::pause(snapshot.clone(), commit, Timestamp(300)).unwrap().snapshot;
            let resumed = control::resume(paused, commit, Timestamp(resumed_at)).unwrap();
            assert_eq!((resumed.tickets.len(), resumed.effects), (tickets, effects), "at {resumed_at}");
        }
    }

    #[test]
    fn the_order_of_a_map_does_not_change_the_digest() {
        let input = |pairs: &[(&str, u8)]| {
            let pairs = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
            let value = ciborium::Value::Array(vec![ciborium::Value::Map(pairs)]);
            RunInput {
                node: "a".to_owned(),
                payload: codec::encode(&value, "a map").unwrap(),
                context: Bytes::new(),
            }
        };
        let (there, back) = (input(&[("a", 1), ("b", 2)]), input(&[("b", 2), ("a", 1)]));
        assert_ne!(there.payload, back.payload);
        assert_eq!(there.digest(), back.digest());
        assert_ne!(there.digest(), input(&[("a", 2), ("b", 1)]).digest());
    }
}
