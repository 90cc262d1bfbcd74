//! The start of a run.

use super::{
    effect::TicketFor,
    snapshot::{HandledFailures, Input, Item, Payload, Snapshot, Status, Trace},
};
use crate::{CommitId, Incarnation, ItemId, RunKey, Timestamp, codec};
use bytes::Bytes;
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
    /// The time of the start.
    pub at: Timestamp,
    /// Its trace.
    pub trace: Trace,
    /// The first work item and the context.
    pub input: RunInput,
}

/// The first work item and the first context of a run, which the workflow made from the input.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Creates the first snapshot of a run, and the ticket for its first item.
pub fn begin(begin: Begin) -> (Snapshot, TicketFor) {
    crate::hop!("begin");
    let Begin { key, incarnation, commit, at, trace, input } = begin;
    let id = ItemId::start();
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
        waits: BTreeMap::new(),
        failures: BTreeMap::new(),
        attempts: BTreeMap::new(),
        parent: None,
        chunked: false,
        unreadable: BTreeMap::new(),
        written_by: BTreeMap::new(),
    };
    (snapshot, TicketFor { item: id, node: input.node })
}

#[cfg(test)]
mod tests {
    use super::*;

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
