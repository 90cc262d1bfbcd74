//! Orphaned chunks: no snapshot refers to them.
//!
//! A chunk is written before the snapshot that refers to it. If its writer dies in between, or loses the race, the chunk is
//! orphaned. It is removed with its run, unless the run has ended before the chunk was written. A chunk of an earlier run with
//! the same id belongs to nobody.

use crate::{
    backend::NatsBackend,
    session::{Failure, api, direct, is_unreachable},
};
use async_nats::datetime::DateTime;
use jetway_engine::backend::{BackendError, SnapshotStore as _};
use jetway_state::{Incarnation, RunKey, run::Snapshot};
use std::{collections::BTreeMap, time::Duration};

impl NatsBackend {
    /// Removes chunks of incarnations that have ended or do not exist, if they are older than `grace`. Returns their number.
    pub(super) async fn remove_orphaned_chunks(&self, grace: Duration) -> Result<u64, BackendError> {
        let failed = |failure: Failure| failure.cannot("look for orphaned chunks");
        let (connection, stream) = (&self.connection, &self.streams.runs);
        let subjects = api::subjects(connection, stream, &self.names.chunks()).await.map_err(failed)?;
        let mut chunks: BTreeMap<(RunKey, Incarnation), Vec<&String>> = BTreeMap::new();
        for subject in subjects.keys() {
            if let Some(owner) = self.names.run_of_chunk(subject) {
                chunks.entry(owner).or_default().push(subject);
            }
        }
        let before = direct::server_time(connection.server_time().before(grace)).map_err(failed)?;
        let mut runs = 0;
        for ((run, incarnation), subjects) in chunks {
            match self.remove_orphans_of(&run, incarnation, subjects, before).await {
                Ok(removed) => runs += u64::from(removed),
                Err(error) if is_unreachable(&error) => return Err(error),
                // The chunks of one run keep nobody from those of the others.
                Err(error) => tracing::warn!(%run, %error, "cannot remove the orphaned chunks of a run"),
            }
        }
        Ok(runs)
    }

    /// Removes the orphaned chunks of one incarnation of a run. Returns whether there were any.
    async fn remove_orphans_of(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        subjects: Vec<&String>,
        before: DateTime,
    ) -> Result<bool, BackendError> {
        let failed = |failure: Failure| failure.cannot(format!("remove orphaned chunks of run {run}"));
        let (connection, stream) = (&self.connection, &self.streams.runs);
        if !self.has_ended(run, incarnation).await? {
            return Ok(false);
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
        Ok(removed)
    }

    /// Whether this incarnation of the run has ended or does not exist.
    async fn has_ended(&self, run: &RunKey, incarnation: Incarnation) -> Result<bool, BackendError> {
        Ok(match self.load(run).await? {
            None => true,
            Some(stored) => {
                let ended =
                    |snapshot: Snapshot| snapshot.status.is_terminal() || snapshot.incarnation != incarnation;
                stored.open().is_ok_and(|(snapshot, _)| ended(snapshot))
            }
        })
    }
}
