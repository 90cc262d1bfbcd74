//! Whether a record that was read can be.
//!
//! Whoever may write to the bucket may write anything, and a disk may forget something. What is checked here is what the
//! rules would otherwise take for granted at a cost: a few bytes must not name a million branches.

use super::{FanOut, Snapshot};
use crate::{
    Fingerprint, ItemId,
    codec::{self, EnvelopeError},
};

/// What a snapshot is called where it cannot be read.
const WHAT: &str = "a snapshot";

/// How many branches one fan-out has at most.
pub(super) const MOST_BRANCHES: usize = 1 << 22;

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
fn broken(id: &ItemId, FanOut { seeds, .. }: &FanOut) -> Option<String> {
    let (count, open) = (seeds.count as usize, seeds.open() as usize);
    if count > MOST_BRANCHES {
        return Some(format!("fan-out {id} has {count} branches, and {MOST_BRANCHES} are possible"));
    }
    let elsewhere = seeds.chunks.iter().map(|seed| seed.chunk.bytes as usize / LEAST_SEED);
    let kept = elsewhere.fold(seeds.inline.len(), usize::saturating_add);
    (open > kept).then(|| format!("fan-out {id} has {open} open branches and the inputs of at most {kept}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        CommitId, RunId, RunKey, Timestamp, WorkflowName,
        run::{Begin, ChunkRef, Seed, SeedChunk, Seeds, Trace, begin},
    };
    use bytes::Bytes;

    fn opened(seeds: Seeds) -> Result<Snapshot, String> {
        let key = RunKey::new(WorkflowName::new("w").unwrap(), RunId::new("r").unwrap());
        let seed = Seed { node: "a".to_owned(), payload: Bytes::new(), context: Bytes::new() };
        let commit = CommitId::default();
        let (mut snapshot, _) = begin(Begin { key, commit, at: Timestamp(1), trace: Trace::default(), seed });
        let fan_out = FanOut {
            opener: "a".to_owned(),
            outer: None,
            open: seeds.count,
            seeds,
            arrivals: Default::default(),
            fired: Default::default(),
            via: ItemId::start(),
            from_span: None,
            since: Timestamp(1),
        };
        snapshot.fan_outs.insert(ItemId::start(), fan_out);
        let sealed = codec::seal(&snapshot, Fingerprint(1), WHAT).unwrap();
        Snapshot::open(&sealed).map(|(snapshot, _)| snapshot).map_err(|error| error.to_string())
    }

    fn chunk(bytes: u32) -> Vec<SeedChunk> {
        vec![SeedChunk { first: 0, chunk: ChunkRef { commit: CommitId::default(), number: 0, bytes } }]
    }

    #[test]
    fn branches_have_their_inputs_somewhere() {
        assert!(opened(Seeds { count: 100, chunks: chunk(1600), ..Seeds::default() }).is_ok());
        let refused = opened(Seeds { count: 101, chunks: chunk(1600), ..Seeds::default() }).unwrap_err();
        assert!(refused.contains("run w/r contradicts itself"), "{refused}");
        assert!(refused.contains("101 open branches and the inputs of at most 100"), "{refused}");
    }

    #[test]
    fn a_few_bytes_do_not_name_billions_of_branches() {
        for chunks in [Vec::new(), chunk(u32::MAX)] {
            let refused = opened(Seeds { count: u32::MAX, chunks, ..Seeds::default() }).unwrap_err();
            assert!(refused.contains("4294967295 branches"), "{refused}");
        }
    }
}
