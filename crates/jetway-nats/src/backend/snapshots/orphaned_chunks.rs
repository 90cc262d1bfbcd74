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
use jetway_state::{Incarnation, RunKey, Seen, run::Snapshot};
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
        if !self.has_ended(run, incarnation, 0).await? {
            return Ok(false);
        }
        let mut orphans = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let chunk = api::latest(connection, stream, subject).await.map_err(failed)?;
            // A younger chunk may belong to a run that is about to be created.
            let sequence = chunk.filter(|chunk| chunk.time < before).map(|chunk| chunk.sequence);
            orphans.extend(sequence.map(|sequence| (subject, sequence)));
        }
        // The record that refers to a chunk is written after it. An older one may be that of an earlier incarnation, read from
        // a server that is behind.
        let latest = orphans.iter().map(|(_, sequence)| *sequence).max().unwrap_or(0);
        if orphans.is_empty() || !self.has_ended(run, incarnation, latest).await? {
            return Ok(false);
        }
        let mut removed = false;
        for (subject, sequence) in orphans {
            let purged = api::purge_before(connection, stream, subject.clone(), sequence + 1).await;
            removed |= purged.map_err(failed)? > 0;
        }
        Ok(removed)
    }

    /// Whether this incarnation of the run has ended or does not exist, as a server says that has everything up to `sequence`.
    async fn has_ended(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        sequence: u64,
    ) -> Result<bool, BackendError> {
        Ok(match self.load(run, Seen::new(sequence, self.store_id())).await? {
            None => true,
            Some(stored) => {
                let ended =
                    |snapshot: Snapshot| snapshot.status.is_terminal() || snapshot.incarnation != incarnation;
                stored.open().is_ok_and(|(snapshot, _)| ended(snapshot))
            }
        })
    }
}
