//! Chunks that belong to nobody.
//!
//! A chunk is written before the snapshot that names it. Where its writer is lost in between, or loses the race, nobody
//! names it. It goes with its run; but where the run has ended meanwhile, it came too late to go with it.

use crate::{backend::NatsBackend, error::Failure, jsapi};
use jetway_core::{
    RunKey, Timestamp,
    backend::{BackendError, SnapshotStore as _},
    run::Snapshot,
};
use std::{collections::BTreeMap, time::Duration};

impl NatsBackend {
    pub(super) async fn remove_litter(&self, grace: Duration) -> Result<u64, BackendError> {
        let unable = |failure: Failure| failure.cannot("look for chunks that belong to nobody");
        let keys =
            jsapi::subjects(&self.link, &self.streams.runs, &self.names.chunks()).await.map_err(unable)?;
        let mut youngest: BTreeMap<RunKey, &String> = BTreeMap::new();
        for key in keys.keys() {
            if let Some(run) = self.names.run_of_chunk(key) {
                youngest.insert(run, key);
            }
        }
        let mut removed = 0;
        for (run, key) in youngest {
            if self.is_litter(&run, key, grace).await? {
                self.purge_all_chunks(&run).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Whether the run has ended or is not there, and one of its chunks is old: that of a run that is about to be made
    /// is young.
    async fn is_litter(&self, run: &RunKey, key: &str, grace: Duration) -> Result<bool, BackendError> {
        let ended = match self.load(run).await? {
            None => true,
            Some(stored) => {
                stored.open().is_ok_and(|(snapshot, _): (Snapshot, _)| snapshot.status.is_terminal())
            }
        };
        if !ended {
            return Ok(false);
        }
        let unable = |failure: Failure| failure.cannot(format!("look at a chunk of run {run}"));
        let point = crate::direct::point(Timestamp::now().before(grace)).map_err(unable)?;
        let chunk = jsapi::latest(&self.link, &self.streams.runs, key).await.map_err(unable)?;
        Ok(chunk.is_some_and(|chunk| chunk.time < point))
    }
}
