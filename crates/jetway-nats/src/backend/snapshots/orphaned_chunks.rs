//! Orphaned chunks: no snapshot refers to them.
//!
//! A chunk is written before the snapshot that refers to it. If its writer dies in between, or loses the race, the chunk is
//! orphaned. It is removed with its run, unless the run has ended before the chunk was written.

use crate::{
    backend::NatsBackend,
    session::{Failure, api, direct},
};
use jetway_engine::backend::{BackendError, SnapshotStore as _};
use jetway_state::{RunKey, run::Snapshot};
use std::{collections::BTreeMap, time::Duration};

impl NatsBackend {
    /// Removes chunks of runs that have ended or do not exist, if they are older than `grace`. Returns the number of these
    /// runs.
    pub(super) async fn remove_orphaned_chunks(&self, grace: Duration) -> Result<u64, BackendError> {
        let failed = |failure: Failure| failure.cannot("look for orphaned chunks");
        let (connection, stream) = (&self.connection, &self.streams.runs);
        let subjects = api::subjects(connection, stream, &self.names.chunks()).await.map_err(failed)?;
        let mut chunks: BTreeMap<RunKey, Vec<&String>> = BTreeMap::new();
        for subject in subjects.keys() {
            if let Some(run) = self.names.run_of_chunk(subject) {
                chunks.entry(run).or_default().push(subject);
            }
        }
        let before = direct::server_time(connection.timestamp().before(grace)).map_err(failed)?;
        let mut runs = 0;
        for (run, subjects) in chunks {
            if !self.has_ended(&run).await? {
                continue;
            }
            let mut removed = false;
            for subject in subjects {
                let chunk = api::latest(connection, stream, subject).await.map_err(failed)?;
                // A younger chunk may belong to a run that is about to be created.
                if let Some(chunk) = chunk.filter(|chunk| chunk.time < before) {
                    let below = chunk.sequence + 1;
                    let purged = api::purge_before(connection, stream, subject.clone(), below).await;
                    removed |= purged.map_err(failed)? > 0;
                }
            }
            runs += u64::from(removed);
        }
        Ok(runs)
    }

    /// Whether the run has ended or does not exist.
    async fn has_ended(&self, run: &RunKey) -> Result<bool, BackendError> {
        Ok(match self.load(run).await? {
            None => true,
            Some(stored) => {
                stored.open().is_ok_and(|(snapshot, _): (Snapshot, _)| snapshot.status.is_terminal())
            }
        })
    }
}
