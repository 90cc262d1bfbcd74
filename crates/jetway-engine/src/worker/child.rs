//! Items that wait for a child run.

use super::session::{NextAction, PendingAttempt, TicketSession};
use crate::{
    backend::{BackendError, BackendErrorKind},
    children::child_end,
    fail_point::{FailPoint, fail_point},
    snapshots::{CachedSnapshot, CommitOutcome, RunVersion},
    starts::{NewChild, StartError},
};
use jetway_core::step::TaskInput;
use jetway_state::{
    Error, ItemId, RunKey, Seen,
    run::{AttemptId, AttemptReport, Effect, EncodedOutcome, TicketFor, pending_ticket},
};

impl TicketSession<'_> {
    /// The record names the child that the item waits for: starts it, then commits that it is started. If it cannot be started,
    /// the step fails.
    pub(super) async fn start_child(
        &mut self,
        next: PendingAttempt,
        cached: CachedSnapshot,
        tickets: Vec<TicketFor>,
        effects: Vec<Effect>,
        mut child: NewChild,
        input: TaskInput,
    ) -> Result<NextAction, BackendError> {
        fail_point(FailPoint::ChildRecorded);
        let version = self.version(&cached);
        child.parent.seen = cached.seen();
        // Retries here, since each redelivery of the ticket would count as another attempt.
        let started = self
            .retry(async || {
                self.worker.dispatcher.carry_out(version, tickets.clone(), effects.clone()).await?;
                match self.worker.starter.start_child(&child).await {
                    Ok(started) => Ok(Ok(started)),
                    Err(StartError::Backend(error)) if error.kind() != BackendErrorKind::TooLarge => {
                        Err(error)
                    }
                    Err(refused) => Ok(Err(refused)),
                }
            })
            .await?;
        let started = match started {
            Ok(started) => started,
            Err(refused) => return Box::pin(self.fail_start(next, cached, child, input, refused)).await,
        };
        let report = AttemptReport {
            incarnation: cached.snapshot.incarnation,
            item: next.item.clone(),
            node: child.parent.node,
            ticket_item: self.ticket_item().clone(),
            number: next.attempt,
            timestamp: self.worker.clock.now(),
            span: None,
            produced: EncodedOutcome::Started(started),
            context: None,
        };
        let committed = self.commit(report, None, &cached).await?;
        if matches!(committed.outcome, CommitOutcome::Discarded)
            && committed.cached.snapshot.status.is_terminal()
        {
            // The host that ended the run may have crashed before it cancelled the child.
            self.worker.dispatcher.reapply_end_effects(self.version(&committed.cached)).await?;
            return Ok(NextAction::Ack);
        }
        let seen = self.child_seen(&next.item, started);
        Ok(NextAction::Park(next.item, Some((child.run, seen))))
    }

    /// Fails a step whose child run cannot be started, for example since a client took the run id for another run.
    async fn fail_start(
        &mut self,
        next: PendingAttempt,
        cached: CachedSnapshot,
        child: NewChild,
        input: TaskInput,
        refused: StartError,
    ) -> Result<NextAction, BackendError> {
        let (incarnation, number) = (cached.snapshot.incarnation, next.attempt);
        let id = AttemptId { incarnation, item: next.item.clone(), node: child.parent.node, number };
        let error = Error::Generic(format!("cannot start child run {}: {refused}", child.run));
        let produced = self.workflow.failure(&input, &id, &error);
        let report = id.report(self.ticket_item().clone(), self.worker.clock.now(), produced, None);
        let committed = self.commit(report, Some(input), &cached).await?;
        self.after_commit(next, committed, None).await
    }

    /// What is known of the child of an item, whose record was seen at its start: the ticket tells of its end.
    pub(super) fn child_seen(&self, item: &ItemId, started: Seen) -> Seen {
        let woken_by = self.delivery.ticket.woken_by.filter(|_| self.ticket_item() == item);
        started.or_later(woken_by.unwrap_or_default())
    }

    /// Checks an item that is pending without a ticket, after the ack: its child may have ended, or its run may have been
    /// resumed, before the ack, when no second ticket could be published.
    pub(super) async fn check_parked(
        &self,
        item: &ItemId,
        child: Option<&(RunKey, Seen)>,
    ) -> Result<(), BackendError> {
        self.retry(|| self.publish_if_ready(item, child)).await
    }

    async fn publish_if_ready(
        &self,
        item: &ItemId,
        child: Option<&(RunKey, Seen)>,
    ) -> Result<(), BackendError> {
        let Self { worker, run, .. } = self;
        let Some((cached, build)) = worker.snapshots.read(run, self.delivery.ticket.seen()).await? else {
            return Ok(());
        };
        if !cached.snapshot.status.is_active() || !self.is_of_ticket(&cached) {
            return Ok(());
        }
        let version = RunVersion { run, build, cached: &cached };
        let wanted = pending_ticket(&cached.snapshot, item, worker.clock.now()).into_iter().collect();
        // A cancelled item does not wait for its child.
        let Some((child, seen)) = child.filter(|_| !cached.snapshot.is_cancelled(item)) else {
            let tickets = worker.tickets.resolve(version, wanted).await?;
            return worker.tickets.publish_batch(version, tickets, 1).await;
        };
        let Some(end) = child_end(&worker.snapshots, child, *seen, &cached.snapshot, item).await? else {
            return Ok(());
        };
        for ticket in worker.tickets.resolve(version, wanted).await? {
            worker.tickets.publish_woken(version, ticket, end.seen).await?;
        }
        Ok(())
    }
}
