//! Reading snapshots, and keeping them in hand.

use super::{Engine, cell::InHand};
use crate::backend::BackendError;
use jetway_state::RunKey;

impl Engine {
    /// Reads the latest snapshot and keeps it in hand, as long as the run goes on.
    pub(super) async fn load(&self, run: &RunKey) -> Result<Option<InHand>, BackendError> {
        let Some((hand, _build)) = self.load_any(run).await? else {
            return Ok(None);
        };
        if hand.snapshot.status.is_terminal() {
            // A late ticket asked for it, and nothing will ask again.
            self.cells.forget(run);
        } else {
            self.cells.of(run).keep(&hand);
        }
        Ok(Some(hand))
    }

    /// A snapshot that is not older than `revision`: the one in hand, or the latest.
    pub(super) async fn at_least(&self, run: &RunKey, revision: u64) -> Result<Option<InHand>, BackendError> {
        match self.cells.of(run).in_hand() {
            Some(hand) if hand.revision >= revision => Ok(Some(hand)),
            _ => self.load(run).await,
        }
    }

    /// The latest snapshot, where it is a newer one than `revision`.
    pub(super) async fn newer(&self, run: &RunKey, revision: u64) -> Result<Option<InHand>, BackendError> {
        Ok(self.load(run).await?.filter(|latest| latest.revision > revision))
    }
}
