//! The encoding of checkpoints: each value by itself, as in the record of a run, so that a checkpoint can hold whatever a step
//! can commit.

use super::Checkpoint;
use crate::{Context, WorkItem};
use bytes::Bytes;
use jetway_state::{Error, run::Snapshot, value};
use serde::{Deserialize, Serialize};

/// A checkpoint whose values are encoded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct EncodedCheckpoint {
    context: Bytes,
    queue: Vec<Bytes>,
    snapshot: Option<Snapshot>,
}

impl EncodedCheckpoint {
    pub(super) fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }
}

/// # Errors
/// A value that its type cannot read again.
pub(super) fn write<C: Context, WI: WorkItem>(
    checkpoint: &Checkpoint<C, WI>,
) -> Result<EncodedCheckpoint, Error> {
    let Checkpoint { context, queue, snapshot } = checkpoint;
    Ok(EncodedCheckpoint {
        context: value::write_opaque(context, &"the context")?,
        queue: queue.iter().map(|item| value::write(item, &"a work item")).collect::<Result<_, _>>()?,
        snapshot: snapshot.clone(),
    })
}

/// # Errors
/// A value that this build cannot read.
pub(super) fn read<C: Context, WI: WorkItem>(saved: &EncodedCheckpoint) -> Result<Checkpoint<C, WI>, Error> {
    let queue = saved.queue.iter().map(|item| value::read(item, &"a work item"));
    Ok(Checkpoint {
        context: value::read(&saved.context, &"the context")?,
        queue: queue.collect::<Result<_, _>>()?,
        snapshot: saved.snapshot.clone(),
    })
}
