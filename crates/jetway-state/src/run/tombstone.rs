//! The record that keeps a child run from being started.

use super::{
    begin::{Begin, RunInput, begin},
    control,
    snapshot::{Snapshot, Trace},
};
use crate::{CommitId, Incarnation, RunKey, Timestamp};
use bytes::Bytes;

/// A record in the place of a run that must not start: it is cancelled, and has no input digest.
pub fn tombstone(
    run: RunKey,
    incarnation: Incarnation,
    trace: Trace,
    commit: CommitId,
    at: Timestamp,
) -> Snapshot {
    let input = RunInput { node: String::new(), payload: Bytes::new(), context: Bytes::new() };
    let (mut snapshot, _) = begin(Begin { key: run, incarnation, commit, at, trace, input, due: None });
    snapshot.input_digest.clear();
    match control::cancel(snapshot.clone(), commit, at) {
        Some(cancelled) => cancelled.snapshot,
        None => snapshot,
    }
}
