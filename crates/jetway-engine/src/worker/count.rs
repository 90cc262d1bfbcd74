//! Counting an attempt before its node runs, from the second delivery of a ticket on.

use super::session::{PendingAttempt, TicketSession};
use crate::{
    backend::{BackendError, BackendErrorKind},
    snapshots::CachedSnapshot,
};
use jetway_core::step::{Swap, Swapped, swap_until};
use jetway_state::run::{Snapshot, count_attempt};

impl TicketSession<'_> {
    /// The same attempt with its number, and with the snapshot that counts it. A worker may have been lost with this item,
    /// perhaps because of it, and only the record knows how many were.
    ///
    /// If the item is not pending any more, the snapshot says so.
    pub(super) async fn counted(&self, next: PendingAttempt) -> Result<PendingAttempt, BackendError> {
        let counted = self.retry(|| swap_until(Count { session: self, next: &next })).await;
        let (number, cached) = match counted {
            // The count needs a few bytes. The step may need fewer than before.
            Err(error) if error.kind() == BackendErrorKind::TooLarge => {
                (next.cached.snapshot.attempt_at(&next.item).saturating_add(1), next.cached.clone())
            }
            counted => {
                let counted = counted?;
                self.delivery.lease.attempt_counted();
                counted
            }
        };
        Ok(PendingAttempt { attempt: number, uncounted: false, cached, ..next })
    }
}

/// One attempt that is counted, until the write succeeds.
struct Count<'a> {
    session: &'a TicketSession<'a>,
    next: &'a PendingAttempt,
}

impl Swap for Count<'_> {
    /// `None` if the run was deleted.
    type State = Option<CachedSnapshot>;
    type Output = (u32, CachedSnapshot);
    type Error = BackendError;

    async fn load(&mut self) -> Result<Self::State, BackendError> {
        self.session.worker.snapshots.load(self.session.run, self.next.cached.seen()).await
    }

    async fn swap(&mut self, state: Self::State) -> Result<Swapped<Self::Output>, BackendError> {
        let TicketSession { worker, run, .. } = self.session;
        let Some(cached) = state else {
            // The commit of the attempt finds the same.
            return Ok(Swapped::Done((self.next.attempt, self.next.cached.clone())));
        };
        if !self.session.is_of_ticket(&cached) {
            return Ok(Swapped::Done((self.next.attempt, cached)));
        }
        let (snapshot, item) = (Snapshot::clone(&cached.snapshot), &self.next.item);
        let Some((snapshot, number)) = count_attempt(snapshot, item, worker.snapshots.next_commit()) else {
            return Ok(Swapped::Done((self.next.attempt, cached)));
        };
        // Not for this build: it has not written the context.
        match worker.snapshots.write(cached.build, &snapshot, Vec::new(), cached.seen()).await {
            Ok(revision) => {
                let cached = worker.snapshots.found(snapshot, revision, cached.build);
                worker.snapshots.slot(run).keep(&cached);
                Ok(Swapped::Done((number, cached)))
            }
            Err(error) if error.is_conflict() => Ok(Swapped::Conflict),
            Err(error) => Err(error),
        }
    }

    fn contended(&self, conflicts: usize) -> BackendError {
        let (item, run) = (&self.next.item, self.session.run);
        let message = format!(
            "cannot count an attempt at item {item} of run {run}: {conflicts} writes of others came first"
        );
        BackendError::new(BackendErrorKind::Unavailable, message)
    }
}
