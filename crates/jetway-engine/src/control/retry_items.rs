//! Retry by a person: an item that waits for one is tried again, also one of the clean-up of a run that is being cancelled.
//!
//! | crash after | state | repaired by |
//! |---|---|---|
//! | the commit | the items are ready and have no tickets | the sweep |
//! | the tickets | complete | - |

use super::{Controller, Decided};
use crate::{
    backend::{BackendError, BackendErrorKind},
    snapshots::CachedSnapshot,
};
use jetway_core::step::{Swap, Swapped, swap_until};
use jetway_state::{
    Fingerprint, ItemId, RunKey, Seen,
    run::{Applied, NotRetried, RetriedItems, Snapshot, pending_ticket, retry_items},
};

/// Items that are tried again, and what is to be done then.
pub(crate) struct Retried {
    pub(crate) decided: Decided,
    pub(crate) items: Vec<ItemId>,
}

impl Controller {
    /// Commits that an item of a run is tried again, or all that wait for a person. `None` if there is no such run.
    pub(crate) async fn retry_items(
        &self,
        run: &RunKey,
        item: Option<&ItemId>,
    ) -> Result<Option<Result<Retried, NotRetried>>, BackendError> {
        let mut retried = match swap_until(RetryItems { controller: self, run, item }).await? {
            Some(Ok(retried)) => retried,
            refused => return Ok(refused),
        };
        let committed = &mut retried.decided.committed;
        let snapshot = &committed.cached.snapshot;
        if snapshot.status.is_active() {
            // Includes the branches whose node is in a chunk, which the rule cannot name.
            let wanted = retried.items.iter();
            let wanted =
                wanted.filter_map(|item| pending_ticket(snapshot, item, snapshot.updated_at)).collect();
            committed.tickets = self.tickets.resolve(committed.version(), wanted).await?;
        }
        Ok(Some(Ok(retried)))
    }
}

/// One retry of items of one run, until its write succeeds.
struct RetryItems<'a> {
    controller: &'a Controller,
    run: &'a RunKey,
    item: Option<&'a ItemId>,
}

impl Swap for RetryItems<'_> {
    type State = Option<(CachedSnapshot, Fingerprint)>;
    type Output = Option<Result<Retried, NotRetried>>;
    type Error = BackendError;

    async fn load(&mut self) -> Result<Self::State, BackendError> {
        self.controller.snapshots.read(self.run, Seen::default()).await
    }

    async fn swap(&mut self, state: Self::State) -> Result<Swapped<Self::Output>, BackendError> {
        let Some((cached, build)) = state else {
            return Ok(Swapped::Done(None));
        };
        let Self { controller: Controller { snapshots, clock, .. }, run, item } = self;
        let snapshot = Snapshot::clone(&cached.snapshot);
        let retried = retry_items(snapshot, *item, snapshots.next_commit(), clock.now());
        let RetriedItems { applied, items } = match retried {
            Ok(retried) => retried,
            Err(refused) => return Ok(Swapped::Done(Some(Err(refused)))),
        };
        let Applied { snapshot, effects, .. } = applied;
        match snapshots.write(build, &snapshot, Vec::new(), cached.seen()).await {
            Ok(revision) => {
                let cached = snapshots.found(snapshot, revision, build);
                snapshots.slot(run).keep(&cached);
                let mut decided = Decided::new(run, build, cached, true);
                decided.committed.effects = effects;
                Ok(Swapped::Done(Some(Ok(Retried { decided, items }))))
            }
            Err(error) if error.is_conflict() => Ok(Swapped::Conflict),
            Err(error) => Err(error),
        }
    }

    fn contended(&self, conflicts: usize) -> BackendError {
        let run = self.run;
        let message =
            format!("cannot retry items of run {run}: {conflicts} writes of others came first; try again");
        BackendError::new(BackendErrorKind::Unavailable, message)
    }
}
