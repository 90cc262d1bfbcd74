//! The record that keeps a child run from being started.

use super::{
    begin::{Begin, RunInput, begin},
    control,
    snapshot::{Snapshot, Trace},
};
use crate::{CommitId, RunKey, Timestamp};
use bytes::Bytes;

/// The record of a run that was to be started, and must not be: it stands where the run would, and has ended.
pub fn tombstone(run: RunKey, trace: Trace, commit: CommitId, at: Timestamp) -> Snapshot {
    let input = RunInput { node: String::new(), payload: Bytes::new(), context: Bytes::new() };
    let (mut snapshot, _) = begin(Begin { key: run, commit, at, trace, input });
    snapshot.input_digest.clear();
    match control::cancel(snapshot.clone(), commit, at) {
        Some(cancelled) => cancelled.snapshot,
        None => snapshot,
    }
}
