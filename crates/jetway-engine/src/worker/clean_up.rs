//! Runs that are cancelled while their items are in hand.
//!
//! | what the session finds | what it does |
//! |---|---|
//! | an item that is cancelled | commits what the `on_cancel` edge of its node leads to, without running the node |
//! | a node of it is running | asks the node to stop; if it succeeds all the same, its step counts |
//! | the deadline of the run has passed | ends the run, or begins its clean-up |
//! | the limit of the clean-up has passed | ends the run |

use super::session::{NextAction, PendingAttempt, TicketSession};
use crate::{
    backend::BackendError,
    inputs::ReadyItem,
    snapshots::{CachedSnapshot, CommitOutcome},
};
use jetway_state::{
    ItemId,
    run::{AttemptId, EncodedOutcome},
};
use std::{convert::Infallible, future::pending};
use tokio_util::sync::CancellationToken;

impl TicketSession<'_> {
    /// The same attempt, with the latest record if somebody has told that the run is cancelled.
    pub(super) async fn told(&mut self, next: PendingAttempt) -> Result<PendingAttempt, BackendError> {
        self.news.see();
        let (snapshots, seen) = (&self.worker.snapshots, next.cached.seen());
        let latest = self.retry(|| snapshots.load(self.run, seen)).await?;
        Ok(match latest {
            Some(cached) => PendingAttempt { cached, ..next },
            // The run was deleted, as the commit will find.
            None => next,
        })
    }

    /// Commits the clean-up of a cancelled item.
    pub(super) async fn clean_up(
        &mut self,
        next: PendingAttempt,
        ready: ReadyItem,
    ) -> Result<NextAction, BackendError> {
        let ReadyItem { node, input, .. } = ready;
        let emission = match self.workflow.clean_up(&node, &input) {
            Ok(emission) => emission,
            Err(unreadable) if self.has_written(&next, &unreadable) => {
                tracing::error!(run = %self.run, node, item = %next.item, "cannot read an item for its clean-up: it has none");
                // It may quote a value.
                tracing::debug!(error = %unreadable, "cannot read an item for its clean-up");
                None
            }
            Err(unreadable) => return Box::pin(self.set_aside(next, node, unreadable)).await,
        };
        let (incarnation, item) = (next.cached.snapshot.incarnation, next.item.clone());
        let id = AttemptId { incarnation, item, node, number: next.attempt };
        let produced = EncodedOutcome::CleanUp(emission);
        let report = id.report(self.ticket_item().clone(), self.worker.clock.now(), produced, None);
        let committed = self.commit(report, Some(input), &next.cached).await?;
        if matches!(committed.outcome, CommitOutcome::RunAgain) {
            // No node ran, so there is nothing to do again.
            return Ok(self.let_go(&committed.cached));
        }
        self.after_commit(next, committed, None).await
    }

    /// Ends a run whose deadline has passed, or whose clean-up has not ended within its limit. Returns its record if its clean-up
    /// begins now: the item of this ticket may be one to clean up.
    pub(super) async fn end_overdue(
        &self,
        cached: &CachedSnapshot,
    ) -> Result<Option<CachedSnapshot>, BackendError> {
        let (dispatcher, seen) = (&self.worker.dispatcher, cached.seen());
        self.retry(|| dispatcher.end_overdue(self.run, seen, self.now())).await?;
        let latest = self.retry(|| self.worker.snapshots.load(self.run, seen)).await?;
        Ok(latest.filter(|latest| self.is_of_ticket(latest) && !latest.snapshot.status.is_terminal()))
    }

    /// Asks the node to stop when its item is cancelled, and drops it when its run has ended. Anybody may tell that a run is
    /// cancelled, so the record has to agree.
    pub(super) async fn stop_when_told(
        &self,
        item: &ItemId,
        attempt: &CancellationToken,
        stop: &CancellationToken,
    ) -> Infallible {
        let mut news = self.news.listener();
        while news.changed().await.is_ok() {
            match Box::pin(self.look_at_record()).await {
                Ok(Some(cached)) if self.is_of_ticket(&cached) && !cached.snapshot.status.is_terminal() => {
                    if cached.snapshot.is_cancelled(item) {
                        stop.cancel();
                    }
                }
                Ok(_) => {
                    attempt.cancel();
                    break;
                }
                Err(error) => {
                    tracing::debug!(run = %self.run, %error, "cannot tell whether the run is cancelled");
                }
            }
        }
        pending().await
    }

    async fn look_at_record(&self) -> Result<Option<CachedSnapshot>, BackendError> {
        let seen = self.delivery.ticket.seen();
        self.retry(|| self.worker.snapshots.load(self.run, seen)).await
    }
}
