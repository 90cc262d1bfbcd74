//! Reading snapshots, and keeping them in cached.

use super::{Engine, run_cache::CachedSnapshot};
use crate::backend::BackendError;
use jetway_state::RunKey;

impl Engine {
    /// Reads the latest snapshot and keeps it in cached, as long as the run goes on.
    pub(super) async fn load(&self, run: &RunKey) -> Result<Option<CachedSnapshot>, BackendError> {
        let Some((cached, _build)) = self.load_any(run).await? else {
            return Ok(None);
        };
        if cached.snapshot.status.is_terminal() {
            // A late ticket asked for it, and nothing will ask again.
            self.cache.forget(run);
        } else {
            self.cache.of(run).keep(&cached);
        }
        Ok(Some(cached))
    }

    /// A snapshot that is not older than `revision`: the one in cached, or the latest.
    pub(super) async fn at_least(
        &self,
        run: &RunKey,
        revision: u64,
    ) -> Result<Option<CachedSnapshot>, BackendError> {
        match self.cache.of(run).cached() {
            Some(cached) if cached.revision >= revision => Ok(Some(cached)),
            _ => self.load(run).await,
        }
    }

    /// The latest snapshot, where it is a newer one than `revision`.
    pub(super) async fn newer(
        &self,
        run: &RunKey,
        revision: u64,
    ) -> Result<Option<CachedSnapshot>, BackendError> {
        Ok(self.load(run).await?.filter(|latest| latest.revision > revision))
    }
}
