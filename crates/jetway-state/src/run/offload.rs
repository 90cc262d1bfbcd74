//! Offloading: payloads beyond a limit go into chunks beside the snapshot.

use super::{
    chunk::{Chunk, ChunkRef},
    fan_out::{Arrival, Arrivals, BranchChunk, BranchInput, PendingBranches},
    snapshot::{Input, Payload, Snapshot, Status},
};
use crate::{CommitId, Error, codec};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Size limits, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The payloads of pending items in the snapshot itself.
    pub inline: usize,
    /// A group of payloads up to this size stays in the snapshot in any case.
    pub group: usize,
    /// The payloads in one chunk; a larger payload has a chunk of its own.
    pub chunk: usize,
    /// The encoded snapshot.
    pub snapshot: usize,
}

/// Extra room for the last snapshot of a run: the record of its end has to fit.
const END_RESERVE: usize = 4 * 1024;

impl Limits {
    /// The limit for a snapshot of a run with this status.
    pub fn max_snapshot(&self, status: Status) -> usize {
        match status {
            Status::Running | Status::Paused => self.snapshot,
            // A run that is too large can be cancelled all the same.
            Status::Cancelling | Status::Completed | Status::Failed | Status::Cancelled => {
                self.snapshot + END_RESERVE
            }
        }
    }

    /// The same limits for a backend that stores snapshots of up to `max` bytes.
    #[must_use]
    pub fn within(self, max: usize) -> Self {
        Self { snapshot: self.snapshot.min(max.saturating_sub(END_RESERVE)), ..self }
    }
}

impl Default for Limits {
    /// Limits for the server's default `max_payload` of 1 MiB.
    fn default() -> Self {
        Self { inline: 48 * 1024, group: 2 * 1024, chunk: 256 * 1024, snapshot: 960 * 1024 }
    }
}

/// An entry of a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChunkEntry {
    /// The input of a branch.
    Branch {
        /// Its position.
        position: u32,
        /// Its node.
        node: String,
        /// The encoded work item.
        payload: Bytes,
    },
    /// A value that arrived for a gathering node.
    Arrival(Arrival),
    /// The input of an item.
    Item(Bytes),
}

/// Moves payloads into chunks of `commit` until the snapshot is within its limits. `written` is the number of chunks that the
/// commit has already.
///
/// # Errors
/// [`Error::Codec`] if a chunk cannot be encoded, [`Error::Limit`] if one commit needs too many chunks.
pub fn offload(
    snapshot: &mut Snapshot,
    commit: CommitId,
    written: usize,
    limits: &Limits,
) -> Result<Vec<Chunk>, Error> {
    if inline_bytes(snapshot) <= limits.inline {
        return Ok(Vec::new());
    }
    let mut writer = Writer { commit, written, limits: *limits, chunks: Vec::new() };
    for fan_out in snapshot.fan_outs.values_mut() {
        if branch_bytes(&fan_out.branches) > limits.group {
            writer.branches(&mut fan_out.branches)?;
        }
        for arrivals in fan_out.arrivals.values_mut() {
            writer.arrivals(arrivals)?;
        }
    }
    for group in snapshot.child_groups.values_mut() {
        writer.arrivals(&mut group.ended)?;
    }
    for item in snapshot.items.values_mut() {
        match &mut item.input {
            Input::Gathered(arrivals) => writer.arrivals(arrivals)?,
            Input::One(payload) => writer.payload(payload)?,
            // It counts as an output, and outputs stay in the record.
            Input::Output(_) => {}
        }
    }
    snapshot.chunked |= !writer.chunks.is_empty();
    Ok(writer.chunks)
}

impl Snapshot {
    /// Its parts, with their approximate sizes in bytes.
    fn parts(&self) -> [(&'static str, usize); 6] {
        let errors = self.error.iter().chain(&self.handled_failures.latest);
        [
            ("context", self.context.len()),
            ("outputs", self.outputs.iter().map(|output| output.value.len() + 64).sum()),
            ("pending work", inline_bytes(self) + 128 * (self.items.len() + self.fan_outs.len())),
            ("child runs", 256 * self.awaited_children().count() + self.intent_bytes()),
            ("signals", self.signal_bytes()),
            ("errors", errors.map(|error| error.message.len() + 128).sum()),
        ]
    }

    /// The largest part, with its approximate size in bytes.
    pub fn largest_part(&self) -> (&'static str, usize) {
        self.parts().into_iter().max_by_key(|(_, bytes)| *bytes).unwrap_or_default()
    }

    /// Its approximate size in memory, in bytes.
    pub fn memory_size(&self) -> usize {
        self.parts().iter().map(|(_, bytes)| bytes).sum::<usize>() + 512
    }
}

fn inline_bytes(snapshot: &Snapshot) -> usize {
    let fan_outs = snapshot.fan_outs.values().map(|fan_out| {
        branch_bytes(&fan_out.branches) + fan_out.arrivals.values().map(Arrivals::inline_bytes).sum::<usize>()
    });
    let items = snapshot.items.values().map(|item| match &item.input {
        Input::One(Payload::Inline(bytes)) => bytes.len(),
        Input::One(Payload::Chunk(_)) => 0,
        Input::Output(output) => output.len(),
        Input::Gathered(arrivals) => arrivals.inline_bytes(),
    });
    let groups = snapshot.child_groups.values().map(|group| group.ended.inline_bytes());
    fan_outs.sum::<usize>() + items.sum::<usize>() + groups.sum::<usize>()
}

fn branch_bytes(branches: &PendingBranches) -> usize {
    branches.inline.values().map(|branch| branch.payload.len() + branch.node.len() + 8).sum()
}

struct Writer {
    commit: CommitId,
    written: usize,
    limits: Limits,
    chunks: Vec<Chunk>,
}

impl Writer {
    fn branches(&mut self, branches: &mut PendingBranches) -> Result<(), Error> {
        let mut group = Vec::new();
        let mut bytes = 0;
        let mut written = Vec::new();
        for (position, BranchInput { node, payload }) in std::mem::take(&mut branches.inline) {
            if bytes > 0 && bytes + payload.len() > self.limits.chunk {
                written.push(self.branch_chunk(&mut group)?);
                bytes = 0;
            }
            bytes += payload.len();
            group.push((position, ChunkEntry::Branch { position, node, payload }));
        }
        if !group.is_empty() {
            written.push(self.branch_chunk(&mut group)?);
        }
        // The branches of a fan-out are written once, when it opens, so the ranges are in order.
        branches.chunks.extend(written);
        Ok(())
    }

    fn branch_chunk(&mut self, group: &mut Vec<(u32, ChunkEntry)>) -> Result<BranchChunk, Error> {
        let first = group.first().map_or(0, |(position, _)| *position);
        let entries: Vec<_> = group.drain(..).map(|(_, entry)| entry).collect();
        Ok(BranchChunk { first, chunk: self.write(&entries)? })
    }

    fn arrivals(&mut self, arrivals: &mut Arrivals) -> Result<(), Error> {
        if arrivals.inline_bytes() > self.limits.group {
            let entries: Vec<_> = arrivals.inline.drain(..).map(ChunkEntry::Arrival).collect();
            arrivals.chunks.push(self.write(&entries)?);
        }
        Ok(())
    }

    fn payload(&mut self, payload: &mut Payload) -> Result<(), Error> {
        if let Payload::Inline(bytes) = payload
            && bytes.len() > self.limits.group
        {
            *payload = Payload::Chunk(self.write(&[ChunkEntry::Item(bytes.clone())])?);
        }
        Ok(())
    }

    fn write(&mut self, entries: &[ChunkEntry]) -> Result<ChunkRef, Error> {
        let bytes = codec::encode(&entries, "a chunk of payloads")?;
        let number = u16::try_from(self.written + self.chunks.len())
            .map_err(|_too_many| Error::Limit("one commit needs more than 65,535 chunks".to_owned()))?;
        let size = u32::try_from(bytes.len()).map_err(|_too_large| {
            Error::Limit(format!("a payload is {} bytes; the limit is 4 GiB", bytes.len()))
        })?;
        let name = ChunkRef { commit: self.commit, number, bytes: size };
        self.chunks.push(Chunk { name, bytes });
        Ok(name)
    }
}
