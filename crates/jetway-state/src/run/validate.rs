//! Whether a record that was read can be.
//!
//! Whoever may write to the bucket may write anything, and a disk may forget something. What is checked here is what the
//! rules would otherwise take for granted at a cost: a few bytes must not name a million branches.

use super::{
    fan_out::{FanOut, MAX_BRANCHES},
    snapshot::Snapshot,
};
use crate::{
    Fingerprint, ItemId,
    codec::{self, EnvelopeError},
};

/// What a snapshot is called where it cannot be read.
const WHAT: &str = "a snapshot";

/// What a branch takes up in a chunk at the least: its position, its node and their names.
const LEAST_SEED: usize = 16;

impl Snapshot {
    /// Opens the envelope of a snapshot and checks that what it says can be.
    ///
    /// # Errors
    /// As [`codec::open`], and [`EnvelopeError::Corrupt`] where the record contradicts itself.
    pub fn open(bytes: &[u8]) -> Result<(Self, Fingerprint), EnvelopeError> {
        let (snapshot, fingerprint) = codec::open::<Self>(bytes, WHAT)?;
        let broken = snapshot.fan_outs.iter().find_map(|(id, fan_out)| broken(id, fan_out));
        match broken {
            None => Ok((snapshot, fingerprint)),
            Some(reason) => {
                let reason = format!("run {} contradicts itself: {reason}", snapshot.key());
                Err(EnvelopeError::Corrupt { what: WHAT, reason })
            }
        }
    }
}

/// Why a fan-out cannot be.
fn broken(id: &ItemId, FanOut { branches, .. }: &FanOut) -> Option<String> {
    let (count, open) = (branches.count as usize, branches.open() as usize);
    if count > MAX_BRANCHES {
        return Some(format!("fan-out {id} has {count} branches, and {MAX_BRANCHES} are possible"));
    }
    let beyond = |position: Option<u32>| position.is_some_and(|position| position as usize >= count);
    let bounded = branches.bounded.values();
    let stray = beyond(branches.done.last())
        || branches.inline.keys().any(|position| !branches.is_open(*position))
        || bounded.flat_map(|bounded| bounded.in_flight.keys()).any(|position| !branches.is_open(*position))
        || branches
            .bounded
            .values()
            .any(|bounded| beyond(bounded.waiting.last()) || bounded.waiting.meets(&branches.done));
    if stray {
        return Some(format!(
            "fan-out {id} has {count} branches and says something of others, or of some twice"
        ));
    }
    let elsewhere = branches.chunks.iter().map(|input| input.chunk.bytes as usize / LEAST_SEED);
    let kept = elsewhere.fold(branches.inline.len(), usize::saturating_add);
    (open > kept).then(|| format!("fan-out {id} has {open} open branches and the inputs of at most {kept}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        CommitId, RunId, RunKey, Timestamp, WorkflowName,
        run::{
            Begin, BitSet, BranchChunk, BranchInput, ChunkRef, PendingBranches, RunInput, Trace, begin,
            fan_out::Bounded,
        },
    };
    use bytes::Bytes;

    fn opened(branches: PendingBranches) -> Result<Snapshot, String> {
        let key = RunKey::new(WorkflowName::new("w").unwrap(), RunId::new("r").unwrap());
        let input = RunInput { node: "a".to_owned(), payload: Bytes::new(), context: Bytes::new() };
        let commit = CommitId::default();
        let (mut snapshot, _) =
            begin(Begin { key, commit, at: Timestamp(1), trace: Trace::default(), input });
        let fan_out = FanOut {
            opener: "a".to_owned(),
            outer: None,
            open: branches.count,
            branches,
            arrivals: Default::default(),
            fired: Default::default(),
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
    fn branches_have_their_inputs_somewhere() {
        assert!(
            opened(PendingBranches { count: 100, chunks: chunk(1600), ..PendingBranches::default() }).is_ok()
        );
        let refused =
            opened(PendingBranches { count: 101, chunks: chunk(1600), ..PendingBranches::default() })
                .unwrap_err();
        assert!(refused.contains("run w/r contradicts itself"), "{refused}");
        assert!(refused.contains("101 open branches and the inputs of at most 100"), "{refused}");
    }

    #[test]
    fn branches_that_are_none_or_are_done_have_nothing_more() {
        let set = |position| {
            let mut positions = BitSet::default();
            positions.insert(position);
            positions
        };
        let branches =
            || PendingBranches { count: 3, chunks: chunk(1600), done: set(1), ..PendingBranches::default() };
        let bounded = |bounded| PendingBranches { bounded: [("a".to_owned(), bounded)].into(), ..branches() };
        let waits = |position| bounded(Bounded { waiting: set(position), ..Bounded::default() });
        let flies = |position| {
            bounded(Bounded { in_flight: [(position, ItemId::start())].into(), ..Bounded::default() })
        };
        let seeded = BranchInput { node: "a".to_owned(), payload: Bytes::new() };
        let inline = |position| PendingBranches { inline: [(position, seeded.clone())].into(), ..branches() };
        assert!(opened(branches()).is_ok());
        assert!([waits(2), flies(2), inline(2)].map(opened).iter().all(Result::is_ok));
        let beyond = PendingBranches { done: set(3), ..branches() };
        for broken in [beyond, waits(1), waits(3), flies(1), flies(3), inline(1), inline(3)] {
            let refused = opened(broken.clone()).unwrap_err();
            assert!(refused.contains("says something of others"), "{broken:?}: {refused}");
        }
    }

    #[test]
    fn a_few_bytes_do_not_name_billions_of_branches() {
        for chunks in [Vec::new(), chunk(u32::MAX)] {
            let refused = opened(PendingBranches { count: u32::MAX, chunks, ..PendingBranches::default() })
                .unwrap_err();
            assert!(refused.contains("4294967295 branches"), "{refused}");
        }
    }
}
