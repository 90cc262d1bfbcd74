//! Chunks that belong to nobody.
//!
//! A chunk is written before the snapshot that names it. Where its writer is lost in between, or loses the race, nobody
//! names it. It goes with its run; but where the run has ended meanwhile, it came too late to go with it.

use crate::{backend::NatsBackend, error::Failure, jsapi};
use jetway_engine::backend::{BackendError, SnapshotStore as _};
use jetway_state::{RunKey, run::Snapshot};
use std::{collections::BTreeMap, time::Duration};

impl NatsBackend {
    pub(super) async fn remove_litter(&self, grace: Duration) -> Result<u64, BackendError> {
        let unable = |failure: Failure| failure.cannot("look for chunks that belong to nobody");
        let keys =
            jsapi::subjects(&self.link, &self.streams.runs, &self.names.chunks()).await.map_err(unable)?;
        let mut chunks: BTreeMap<RunKey, Vec<&String>> = BTreeMap::new();
        for key in keys.keys() {
            if let Some(run) = self.names.run_of_chunk(key) {
                chunks.entry(run).or_default().push(key);
            }
        }
        let point = crate::direct::point(jetway_core::clock::now().before(grace)).map_err(unable)?;
        let mut littered = 0;
        for (run, keys) in chunks {
            if !self.is_over(&run).await? {
                continue;
            }
            let mut removed = false;
            for key in keys {
                let chunk = jsapi::latest(&self.link, &self.streams.runs, key).await.map_err(unable)?;
                // A young one may be of a run that is about to be made.
                if let Some(chunk) = chunk.filter(|chunk| chunk.time < point) {
                    let (runs, key, below) = (&self.streams.runs, key.clone(), chunk.sequence + 1);
                    let purged = jsapi::purge_before(&self.link, runs, key, below).await.map_err(unable)?;
                    removed |= purged > 0;
                }
            }
            littered += u64::from(removed);
        }
        Ok(littered)
    }

    /// Whether the run has ended, or is not there.
    async fn is_over(&self, run: &RunKey) -> Result<bool, BackendError> {
        Ok(match self.load(run).await? {
            None => true,
            Some(stored) => {
                stored.open().is_ok_and(|(snapshot, _): (Snapshot, _)| snapshot.status.is_terminal())
            }
        })
    }
}
