//! Items that wait for a child run.

use super::session::{NextAction, PendingAttempt, TicketSession};
use crate::{
    backend::{BackendError, BackendErrorKind},
    children::{ChildEnd, child_end},
    fail_point::{FailPoint, fail_point},
    snapshots::{CachedSnapshot, CommitOutcome, RunVersion},
    starts::{NewChild, StartError},
};
use jetway_core::step::{ChildError, ChildNews, TaskInput};
use jetway_state::{
    Error, ItemId, RunKey, Seen,
    run::{
        AttemptId, AttemptReport, Effect, EncodedOutcome, EndedChild, EndedSpan, FirstOf, TicketFor,
        pending_ticket,
    },
};

/// What is known of the child runs that an item waits for.
#[derive(Default)]
pub(super) struct Awaited {
    /// What the node has to know.
    pub(super) news: ChildNews,
    /// The span of the run that ended last.
    pub(super) span: Option<EndedSpan>,
    /// The runs of a group that have ended since the last commit.
    pub(super) ended: Vec<EndedChild>,
}

impl TicketSession<'_> {
    /// Looks at the child runs that an item waits for. Returns what to do if it goes on to wait.
    pub(super) async fn awaited(
        &mut self,
        next: &PendingAttempt,
        node: &str,
    ) -> Result<Result<Awaited, NextAction>, BackendError> {
        let snapshot = &next.cached.snapshot;
        if snapshot.child_groups.contains_key(&next.item) {
            return Box::pin(self.awaited_group(next, node)).await;
        }
        let first = snapshot.first_of(&next.item, false, self.now());
        if first == Some(FirstOf::Signal) {
            return Ok(Ok(Awaited::default()));
        }
        // A child that is not known to be started does not count: the node runs again and names it.
        let Some((child, started)) = snapshot.started_child(&next.item) else {
            return Ok(Ok(Awaited::default()));
        };
        let seen = self.child_seen(&next.item, started);
        let parked = || NextAction::Park(next.item.clone(), vec![(child.clone(), seen)]);
        Ok(match self.end_of_child(next, child, seen).await? {
            Some(ChildEnd { result, span, .. }) => {
                Ok(Awaited { news: ChildNews::Ended(result), span, ended: Vec::new() })
            }
            None if snapshot.child_is_late(&next.item, self.now()) => {
                Ok(Awaited { news: ChildNews::Ended(Err(ChildError::Late)), ..Awaited::default() })
            }
            None if first == Some(FirstOf::Deadline) => Ok(Awaited::default()),
            None => {
                if snapshot.wait_beside_child(&next.item).is_some_and(|wait| wait.due.is_some()) {
                    // This may be a ticket of its alarm that has come early: a long wait is armed in pieces.
                    let version = self.version(&next.cached);
                    self.retry(|| self.worker.tickets.arm(version, self.now())).await?;
                }
                Err(parked())
            }
        })
    }

    /// A node has asked for a child run, and a signal that it waits for as well was there already: the node runs again, without a child.
    pub(super) async fn without_child(
        &self,
        next: PendingAttempt,
        cached: CachedSnapshot,
        tickets: Vec<TicketFor>,
        effects: Vec<Effect>,
    ) -> Result<NextAction, BackendError> {
        self.worker.dispatcher.carry_out(self.version(&cached), tickets, effects).await?;
        Ok(NextAction::Attempt(PendingAttempt { cached, queue_wait: None, ..next }))
    }

    /// How a child run of the item ended; `None` if it has not.
    pub(super) async fn end_of_child(
        &self,
        next: &PendingAttempt,
        child: &RunKey,
        seen: Seen,
    ) -> Result<Option<ChildEnd>, BackendError> {
        let (snapshots, parent) = (&self.worker.snapshots, &next.cached.snapshot);
        self.retry(|| child_end(snapshots, child, seen, parent, &next.item)).await
    }

    /// The same report, or the failure of the step if a detached child run cannot be started.
    pub(super) async fn check_starts(
        &self,
        report: AttemptReport,
        input: &TaskInput,
    ) -> Result<AttemptReport, BackendError> {
        let EncodedOutcome::Next(emission) = &report.produced else { return Ok(report) };
        for start in &emission.starts {
            let foreseen = self
                .retry(async || match self.worker.starter.foresee_detached(start).await {
                    Err(StartError::Backend(error)) => Err(error),
                    foreseen => Ok(foreseen),
                })
                .await?;
            if let Err(refused) = foreseen {
                let error = Error::Generic(format!("cannot start child run {}: {refused}", start.run));
                let produced = self.workflow.failure(input, &report.id(), &error, self.now());
                return Ok(report.without_result(produced));
            }
        }
        Ok(report)
    }

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
        Ok(NextAction::Park(next.item, vec![(child.run, seen)]))
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
        let produced = self.workflow.failure(&input, &id, &error, self.now());
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
        children: &[(RunKey, Seen)],
    ) -> Result<(), BackendError> {
        self.retry(|| self.publish_if_ready(item, children)).await
    }

    async fn publish_if_ready(&self, item: &ItemId, children: &[(RunKey, Seen)]) -> Result<(), BackendError> {
        let Self { worker, run, .. } = self;
        let Some((cached, build)) = worker.snapshots.read(run, self.delivery.ticket.seen()).await? else {
            return Ok(());
        };
        if !cached.snapshot.status.is_active() || !self.is_of_ticket(&cached) {
            return Ok(());
        }
        let version = RunVersion { run, build, cached: &cached };
        let wanted = pending_ticket(&cached.snapshot, item, worker.clock.now()).into_iter().collect();
        // A cancelled item does not wait for its child, as a rule. And something else may have come first.
        let is_over = cached.snapshot.first_of(item, false, worker.clock.now()).is_some();
        if children.is_empty() || is_over || cached.snapshot.started_children(item).is_empty() {
            for ticket in worker.tickets.resolve(version, wanted).await? {
                // Not as the ticket that was acked: the ack may be on its way still, and the other one would be refused.
                worker.tickets.publish_woken(version, ticket, cached.seen()).await?;
            }
            return Ok(());
        }
        for (child, seen) in children {
            let end = child_end(&worker.snapshots, child, *seen, &cached.snapshot, item).await?;
            let Some(end) = end else { continue };
            for ticket in worker.tickets.resolve(version, wanted).await? {
                worker.tickets.publish_woken(version, ticket, end.seen).await?;
            }
            // Whoever gets the ticket looks at all of them.
            return Ok(());
        }
        Ok(())
    }
}
