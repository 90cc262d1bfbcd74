//! Validation of records that are read.
//!
//! A client with write access to the bucket can write anything, and a disk can lose data. The checks are those that protect the
//! rules from excessive work: a few bytes must not name a million branches.

use super::{
    children::OnParentCancel,
    fan_out::{FanOut, MAX_BRANCHES},
    snapshot::{Child, Snapshot},
};
use crate::{
    Error, Fingerprint, ItemId,
    codec::{self, EnvelopeError, FIRST, FORMAT},
};
use bytes::Bytes;

/// The format of records with waits.
const WITH_WAITS: u16 = 2;

/// The name of a snapshot in errors.
const WHAT: &str = "a snapshot";

/// The smallest size of a branch in a chunk: its position, its node and their names.
const MIN_BRANCH_BYTES: usize = 16;

impl Snapshot {
    /// Encodes the snapshot into its envelope, in the first format that can hold it.
    ///
    /// # Errors
    /// As [`codec::seal`].
    pub fn seal(&self, build: Fingerprint) -> Result<Bytes, Error> {
        codec::seal_as(self.format(), self, build, WHAT)
    }

    /// A build that knows no waits would run what waits at once, and one that knows no clean-up, mailbox, deadline or chain would lose
    /// it. So such a record has a format that it does not read, and it leaves the run to other hosts.
    ///
    /// | format | what it adds |
    /// |---|---|
    /// | 1 | - |
    /// | 2 | waits for time and signals, retries, the mailbox, cancelling with clean-up |
    /// | 3 | the deadline of the run, continue-as-new, rules for child runs, groups of them, the first of a child run and signals, and intents |
    fn format(&self) -> u16 {
        let gathers_later = self.fan_outs.values().any(|fan_out| fan_out.gather_due.is_some());
        let cancels_later = self.has_clean_up || self.cancel.is_some();
        let waits = self.has_waits() || gathers_later || cancels_later || !self.mailbox.is_unused();
        let has_rules = |(item, child): (&ItemId, &Child)| {
            child.on_cancel != OnParentCancel::Cancel || child.due.is_some() || self.waits.contains_key(item)
        };
        let has_child_rules =
            !self.intents.is_empty() || !self.child_groups.is_empty() || self.children.iter().any(has_rules);
        match waits {
            _ if has_child_rules || self.deadline.is_some() || self.chain.is_some() => FORMAT,
            true => WITH_WAITS,
            false => FIRST,
        }
    }

    /// Opens the envelope of a snapshot and validates the snapshot.
    ///
    /// # Errors
    /// As [`codec::open`], and [`EnvelopeError::Corrupt`] if the record is inconsistent.
    pub fn open(bytes: &[u8]) -> Result<(Self, Fingerprint), EnvelopeError> {
        let (snapshot, fingerprint) = codec::open::<Self>(bytes, WHAT)?;
        let inconsistency = snapshot.fan_outs.iter().find_map(|(id, fan_out)| inconsistency(id, fan_out));
        match inconsistency {
            None => Ok((snapshot, fingerprint)),
            Some(reason) => {
                let reason = format!("run {} is inconsistent: {reason}", snapshot.key());
                Err(EnvelopeError::Corrupt { what: WHAT, reason })
            }
        }
    }
}

/// Why a fan-out is not valid.
fn inconsistency(id: &ItemId, FanOut { branches, .. }: &FanOut) -> Option<String> {
    let (count, open) = (branches.count as usize, branches.open() as usize);
    if count > MAX_BRANCHES {
        return Some(format!("fan-out {id} has {count} branches; the limit is {MAX_BRANCHES}"));
    }
    let beyond = |position: Option<u32>| position.is_some_and(|position| position as usize >= count);
    let bounded = branches.bounded.values();
    let has_stray = beyond(branches.done.last())
        || branches.inline.keys().any(|position| !branches.is_open(*position))
        || bounded.flat_map(|bounded| bounded.in_flight.keys()).any(|position| !branches.is_open(*position))
        || branches
            .bounded
            .values()
            .any(|bounded| beyond(bounded.waiting.last()) || bounded.waiting.intersects(&branches.done));
    if has_stray {
        return Some(format!("fan-out {id} has {count} branches, and names others or some of them twice"));
    }
    let in_chunks = branches.chunks.iter().map(|input| input.chunk.bytes as usize / MIN_BRANCH_BYTES);
    let inputs = in_chunks.fold(branches.inline.len(), usize::saturating_add);
    (open > inputs).then(|| format!("fan-out {id} has {open} open branches and at most {inputs} inputs"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        CommitId, Incarnation, RunId, RunKey, Timestamp, WorkflowName,
        run::{
            Begin, BitSet, BranchChunk, BranchInput, ChunkRef, PendingBranches, RunInput, Trace, begin,
            fan_out::Bounded,
        },
    };

    fn opened(branches: PendingBranches) -> Result<Snapshot, String> {
        let key = RunKey::new(WorkflowName::new("w").unwrap(), RunId::new("r").unwrap());
        let input = RunInput { node: "a".to_owned(), payload: Bytes::new(), context: Bytes::new() };
        let commit = CommitId::default();
        let (mut snapshot, _) = begin(Begin {
            key,
            incarnation: Incarnation::default(),
            commit,
            at: Timestamp(1),
            due: None,
            trace: Trace::default(),
            input,
        });
        let fan_out = FanOut {
            opener: "a".to_owned(),
            outer: None,
            open: branches.count,
            branches,
            arrivals: Default::default(),
            fired: Default::default(),
            due: None,
            gather_due: None,
            ticket_item: ItemId::start(),
            from_span: None,
            pending_since: Timestamp(1),
        };
        snapshot.fan_outs.insert(ItemId::start(), fan_out);
        let sealed = codec::seal(&snapshot, Fingerprint(1), WHAT).unwrap();
        Snapshot::open(&sealed).map(|(snapshot, _)| snapshot).map_err(|error| error.to_string())
    }

    fn chunk(bytes: u32) -> Vec<BranchChunk> {
        vec![BranchChunk { first: 0, chunk: ChunkRef { commit: CommitId::default(), number: 0, bytes } }]
    }

    #[test]
    fn open_branches_need_inputs() {
        assert!(
            opened(PendingBranches { count: 100, chunks: chunk(1600), ..PendingBranches::default() }).is_ok()
        );
        let refused =
            opened(PendingBranches { count: 101, chunks: chunk(1600), ..PendingBranches::default() })
                .unwrap_err();
        assert!(refused.contains("run w/r is inconsistent"), "{refused}");
        assert!(refused.contains("101 open branches and at most 100 inputs"), "{refused}");
    }

    #[test]
    fn done_or_unknown_branches_are_not_pending() {
        let set = |position| {
            let mut positions = BitSet::default();
            positions.insert(position);
            positions
        };
        let branches =
            || PendingBranches { count: 3, chunks: chunk(1600), done: set(1), ..PendingBranches::default() };
        let bounded = |bounded| PendingBranches { bounded: [("a".to_owned(), bounded)].into(), ..branches() };
        let waiting = |position| bounded(Bounded { waiting: set(position), ..Bounded::default() });
        let in_flight = |position| {
            bounded(Bounded { in_flight: [(position, ItemId::start())].into(), ..Bounded::default() })
        };
        let input = BranchInput { node: "a".to_owned(), payload: Bytes::new() };
        let inline = |position| PendingBranches { inline: [(position, input.clone())].into(), ..branches() };
        assert!(opened(branches()).is_ok());
        assert!([waiting(2), in_flight(2), inline(2)].map(opened).iter().all(Result::is_ok));
        let beyond = PendingBranches { done: set(3), ..branches() };
        for broken in [beyond, waiting(1), waiting(3), in_flight(1), in_flight(3), inline(1), inline(3)] {
            let refused = opened(broken.clone()).unwrap_err();
            assert!(refused.contains("names others or some of them twice"), "{broken:?}: {refused}");
        }
    }

    #[test]
    fn a_few_bytes_cannot_name_billions_of_branches() {
        for chunks in [Vec::new(), chunk(u32::MAX)] {
            let refused = opened(PendingBranches { count: u32::MAX, chunks, ..PendingBranches::default() })
                .unwrap_err();
            assert!(refused.contains("4294967295 branches"), "{refused}");
        }
    }
}
