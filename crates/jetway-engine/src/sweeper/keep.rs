//! Records whose result cannot be stored: they are written again before they expire.

use super::{Sweep, schedule::PendingCheck};
use crate::backend::BackendError;
use jetway_state::{RunKey, Timestamp, run::Snapshot};

/// A record is written again when this part of its time has passed.
const PART: u32 = 4;

impl Sweep {
    /// Writes the record of a run again, unless that was done lately. Its result cannot be stored now, and the record is all
    /// that is left of the run. Returns when it was last written again.
    pub(super) async fn keep_record(
        &self,
        run: &RunKey,
        check: PendingCheck,
        now: Timestamp,
    ) -> Option<Timestamp> {
        match self.write_again(run, check, now).await {
            Ok(false) => check.kept_at,
            Ok(true) => {
                tracing::warn!(%run, "the result of a run cannot be stored: its record is kept for longer");
                Some(now)
            }
            Err(error) => {
                tracing::warn!(%run, %error, "cannot keep the record of a run, whose result cannot be stored");
                check.kept_at
            }
        }
    }

    async fn write_again(
        &self,
        run: &RunKey,
        check: PendingCheck,
        now: Timestamp,
    ) -> Result<bool, BackendError> {
        let (Some(keep), true) = (self.backend.keep_finished(), check.ended.is_some()) else {
            return Ok(false);
        };
        let Some((cached, build)) = self.snapshots.read(run, check.seen).await? else { return Ok(false) };
        let written = cached.snapshot.updated_at.max(check.kept_at.unwrap_or_default());
        if !cached.snapshot.status.is_terminal() || now.since(written) < keep / PART {
            return Ok(false);
        }
        let snapshot = Snapshot { commit: self.snapshots.next_commit(), ..Snapshot::clone(&cached.snapshot) };
        match self.snapshots.write(build, &snapshot, Vec::new(), cached.seen()).await {
            // Another host has kept it.
            Err(error) if error.is_conflict() => Ok(false),
            written => written.map(|_revision| true),
        }
    }
}
