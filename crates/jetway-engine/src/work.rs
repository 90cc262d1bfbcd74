//! The commit protocol, for one ticket.
//!
//! | lost after | what is true | who mends it |
//! |---|---|---|
//! | taking the ticket, running the node | nothing changed | redelivery runs the node again |
//! | the commit | the step is committed, its successors have no ticket | redelivery finds the item done and publishes the tickets of what was committed under this one |
//! | the commit that records a child run | the child is not there, or not known to be | redelivery runs the node again, which names the child, and starts it |
//! | the effects | as above, and the tickets exist twice | the second one finds its item done |
//! | settling the ticket | done | - |

use super::{
    Engine, StepInfo, StepSpan,
    children::NewChild,
    dead_letter::is_unprocessable,
    retry::retry_while_unavailable,
    run_cache::{AttemptWithBase, CachedSnapshot, CommitOutcome},
};
use crate::{
    backend::{BackendError, BackendErrorKind, Delivery, Lease},
    fail_point::{FailPoint, fail_point},
};
use jetway_core::step::AnyWorkflow;
use jetway_state::broken_rule::{BrokenRule, is_broken};
use jetway_state::{
    ItemId, RunKey, Timestamp,
    run::{AttemptReport, Effect, EncodedOutcome, Status, TicketFor, tickets_under},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// What became of a ticket.
#[derive(Debug)]
pub enum TicketOutcome {
    /// It is settled.
    Acked {
        /// Steps that were committed under it.
        steps: u64,
    },
    /// It was given back: the worker is to stop.
    Nacked {
        /// Steps that were committed under it.
        steps: u64,
    },
    /// The backend is out of reach: the ticket is left to its lease, which delivers it again.
    Abandoned {
        /// Steps that were committed under it.
        steps: u64,
        /// What went wrong.
        error: BackendError,
    },
}

/// Where a worker is under one ticket.
pub(super) struct TicketSession<'a> {
    pub(super) workflow: &'a dyn AnyWorkflow,
    pub(super) run: &'a RunKey,
    delivery: &'a Delivery,
    /// The ticket's own item: what is committed is found again by it.
    pub(super) ticket_item: ItemId,
    pub(super) cancel: &'a CancellationToken,
    began: Instant,
    steps: u64,
    /// An item was done when it was to be committed: by somebody else, or by a write of this host that got no answer and
    /// that others have written over since.
    overtaken: bool,
}

impl TicketSession<'_> {
    /// Whether nobody else can have been handed this ticket, nor have been at work on its item without it. One that was
    /// handed over long ago may have been handed to others since: a message can be late by more than its lease.
    fn holds_it_alone(&self, now: Timestamp) -> bool {
        let Delivery { ticket, delivered, lease, .. } = self.delivery;
        let fresh = now.since(ticket.at) < lease.duration() / 2;
        !self.overtaken && self.steps == 0 && *delivered <= 1 && ticket.attempt <= 1 && fresh
    }
}

/// The next attempt to be made.
pub(super) struct PendingAttempt {
    pub(super) item: ItemId,
    pub(super) attempt: u32,
    waited: Option<Duration>,
    pub(super) cached: CachedSnapshot,
}

/// What one attempt leads to.
enum NextAction {
    Attempt(PendingAttempt),
    Ack,
    /// The item stays pending without a ticket, for the child run or until its run is resumed. It is looked at again when
    /// the ticket is settled.
    Park(ItemId, Option<RunKey>),
    Nak,
}

impl Engine {
    /// Works off one ticket: runs its item and commits what came of it, then goes on with the only successor under
    /// the same ticket as long as there is one. Settles the ticket, or gives it back when `cancel` is cancelled.
    ///
    /// Keeping the lease alive meanwhile is the caller's part.
    pub async fn work(&self, delivery: Delivery, cancel: CancellationToken) -> TicketOutcome {
        let run = delivery.ticket.run();
        let Some(workflow) = self.registry.get(run.workflow.as_str()).map(Arc::clone) else {
            return give_back(&*delivery.lease, 0).await;
        };
        fail_point(FailPoint::TicketTaken);
        if is_broken(BrokenRule::AckBeforeCommit)
            && let Err(error) = delivery.lease.ack().await
        {
            return TicketOutcome::Abandoned { steps: 0, error };
        }
        let mut session = TicketSession {
            workflow: &*workflow,
            run: &run,
            delivery: &delivery,
            ticket_item: delivery.ticket.item.clone(),
            cancel: &cancel,
            began: Instant::now(),
            steps: 0,
            overtaken: false,
        };
        match self.work_under(&mut session).await {
            Ok(NextAction::Ack | NextAction::Attempt(_)) => settle(&*delivery.lease, session.steps).await,
            Ok(NextAction::Park(item, child)) => match settle(&*delivery.lease, session.steps).await {
                // No ticket brings this back.
                TicketOutcome::Acked { steps } => {
                    let look = || self.look_again(&run, &item, child.as_ref());
                    match retry_while_unavailable(&run, &cancel, look).await {
                        Ok(()) => TicketOutcome::Acked { steps },
                        Err(error) => TicketOutcome::Abandoned { steps, error },
                    }
                }
                unsettled => unsettled,
            },
            Ok(NextAction::Nak) => give_back(&*delivery.lease, session.steps).await,
            Err(error)
                if is_unprocessable(
                    error.kind(),
                    delivery.delivered,
                    delivery.fingerprint == workflow.fingerprint(),
                ) =>
            {
                self.dead_letter(&delivery, &error, session.steps).await
            }
            Err(error) => TicketOutcome::Abandoned { steps: session.steps, error },
        }
    }

    async fn work_under(&self, session: &mut TicketSession<'_>) -> Result<NextAction, BackendError> {
        let Delivery { ticket, delivered, .. } = session.delivery;
        let loaded = retry_while_unavailable(session.run, session.cancel, || {
            self.at_least(session.run, ticket.revision)
        })
        .await?;
        let Some(cached) = loaded else {
            // The run was removed, so there is nothing left to do or to lose.
            return Ok(NextAction::Ack);
        };
        fail_point(FailPoint::SnapshotLoaded);
        let mut next = PendingAttempt {
            item: ticket.item.clone(),
            attempt: ticket.attempt.saturating_add(delivered.saturating_sub(1)),
            waited: Some(self.clock.now().since(ticket.at)),
            cached,
        };
        loop {
            if session.cancel.is_cancelled() {
                return Ok(NextAction::Nak);
            }
            match self.attempt_next(session, next).await? {
                NextAction::Attempt(following) => next = following,
                end => return Ok(end),
            }
        }
    }

    async fn attempt_next(
        &self,
        session: &mut TicketSession<'_>,
        next: PendingAttempt,
    ) -> Result<NextAction, BackendError> {
        let snapshot = &next.cached.snapshot;
        let ready = match snapshot.status {
            Status::Running => {
                retry_while_unavailable(session.run, session.cancel, || {
                    self.ready(session.run, snapshot, &next.item)
                })
                .await
            }
            Status::Paused | Status::Completed | Status::Failed | Status::Cancelled => Ok(None),
        };
        let ready = match ready {
            // Others may have gone on since, and dropped what the snapshot in hand names.
            Err(error) if error.kind() == BackendErrorKind::Corrupt => {
                return match self.newer(session.run, next.cached.revision).await? {
                    Some(cached) => Ok(NextAction::Attempt(PendingAttempt { cached, ..next })),
                    None => Err(error),
                };
            }
            ready => ready?,
        };
        let Some(ready) = ready else {
            self.recover(session).await?;
            let paused = snapshot.status == Status::Paused && snapshot.is_pending(&next.item);
            return Ok(if paused { NextAction::Park(next.item, None) } else { NextAction::Ack });
        };
        let child = match snapshot.children.get(&next.item) {
            // Whoever recorded it may have been lost before it was started: the node says again what it is.
            Some(_) if snapshot.unstarted.contains(&next.item) => None,
            Some(child) => {
                match retry_while_unavailable(session.run, session.cancel, || self.child_end(child)).await? {
                    None => return Ok(NextAction::Park(next.item.clone(), Some(child.clone()))),
                    end => end,
                }
            }
            None => None,
        };
        let span = self.tracer.step(&StepInfo {
            run: session.run,
            trace: &next.cached.snapshot.trace,
            node: &ready.node,
            item: &next.item,
            attempt: next.attempt,
            queue_wait: next.waited,
            links: ready.from.clone(),
        });
        let tried = self.attempt_once(session, &next, ready, child, &span).await?;
        let Some((attempt, asked)) = tried else {
            return self.cut_short(session, &span).await;
        };
        fail_point(FailPoint::NodeRun);
        let label = outcome_label(&attempt.produced);
        let finished = AttemptWithBase { attempt, base: next.cached.snapshot.context.clone() };
        let outcome = self.commit_patiently(session, finished).instrument(span.span.clone()).await;
        let ended = match &outcome {
            Ok(CommitOutcome::Committed(..)) => label,
            Ok(CommitOutcome::Discarded(_) | CommitOutcome::Again(_)) | Err(_) => "discarded",
        };
        self.tracer.step_ended(&span, ended);
        self.follow(session, next, outcome?, asked).await
    }

    /// The attempt was cut short: the worker is to stop, or the run has ended.
    async fn cut_short(
        &self,
        session: &TicketSession<'_>,
        span: &StepSpan,
    ) -> Result<NextAction, BackendError> {
        if session.cancel.is_cancelled() {
            self.tracer.step_ended(span, "given_back");
            return Ok(NextAction::Nak);
        }
        self.tracer.step_ended(span, "discarded");
        self.recover(session).await?;
        Ok(NextAction::Ack)
    }

    /// What the outcome on an attempt leads to.
    async fn follow(
        &self,
        session: &mut TicketSession<'_>,
        next: PendingAttempt,
        outcome: CommitOutcome,
        asked: Option<NewChild>,
    ) -> Result<NextAction, BackendError> {
        match outcome {
            CommitOutcome::Committed(cached, tickets, effects) => match asked {
                Some(child) => self.start_recorded(session, next, cached, tickets, effects, child).await,
                None => {
                    session.steps += 1;
                    self.after_commit(session, cached, tickets, effects).await
                }
            },
            CommitOutcome::Discarded(_) => {
                session.overtaken = true;
                self.recover(session).await?;
                Ok(NextAction::Ack)
            }
            CommitOutcome::Again(cached) => {
                Ok(NextAction::Attempt(PendingAttempt { cached, waited: None, ..next }))
            }
        }
    }

    /// Commits, also where the backend is out of reach for a while: the node need not run again for that.
    async fn commit_patiently(
        &self,
        session: &TicketSession<'_>,
        finished: AttemptWithBase,
    ) -> Result<CommitOutcome, BackendError> {
        let finished = Arc::new(finished);
        let commit = || self.commit(session.workflow, session.run, Arc::clone(&finished));
        retry_while_unavailable(session.run, session.cancel, commit).await
    }

    /// The record names the child that the item waits for: makes it exist, and the record say so.
    async fn start_recorded(
        &self,
        session: &TicketSession<'_>,
        next: PendingAttempt,
        cached: CachedSnapshot,
        tickets: Vec<TicketFor>,
        effects: Vec<Effect>,
        child: NewChild,
    ) -> Result<NextAction, BackendError> {
        fail_point(FailPoint::ChildRecorded);
        let build = session.workflow.fingerprint();
        // Without the child the step is not made, and each delivery of its ticket would be another attempt at it.
        retry_while_unavailable(session.run, session.cancel, async || {
            self.carry_out(build, session.run, &cached, tickets.clone(), effects.clone()).await?;
            self.start_child(&child).await
        })
        .await?;
        let attempt = AttemptReport {
            item: next.item.clone(),
            node: child.parent.node,
            ticket_item: session.ticket_item.clone(),
            number: next.attempt,
            timestamp: self.clock.now(),
            span: None,
            produced: EncodedOutcome::Started,
            context: None,
        };
        let finished = AttemptWithBase { attempt, base: cached.snapshot.context.clone() };
        match self.commit_patiently(session, finished).await? {
            CommitOutcome::Discarded(cached) if cached.snapshot.status.is_terminal() => {
                // Whoever ended the run may have been lost before it came to the child.
                self.reapply_end_effects(build, session.run, &cached).await?;
                Ok(NextAction::Ack)
            }
            _ => Ok(NextAction::Park(next.item, Some(child.run))),
        }
    }

    /// Carries out the effects of a commit. The only successor goes on under the same ticket, which stays unsettled
    /// as the lease on it, and needs no ticket of its own.
    async fn after_commit(
        &self,
        session: &mut TicketSession<'_>,
        cached: CachedSnapshot,
        mut tickets: Vec<TicketFor>,
        effects: Vec<Effect>,
    ) -> Result<NextAction, BackendError> {
        let go_on = self.may_go_on(session).then(|| only_ticket(&mut tickets)).flatten();
        if effects.contains(&Effect::PublishResult) {
            fail_point(FailPoint::RunEnded);
            self.tracer.run_ended(&cached.snapshot);
        }
        self.carry_out(session.workflow.fingerprint(), session.run, &cached, tickets, effects).await?;
        Ok(match go_on {
            Some(TicketFor { item, .. }) => {
                NextAction::Attempt(PendingAttempt { item, attempt: 1, waited: None, cached })
            }
            None => NextAction::Ack,
        })
    }

    fn may_go_on(&self, session: &TicketSession<'_>) -> bool {
        session.steps < u64::from(self.config.go_on_steps)
            && session.began.elapsed() < self.config.go_on_for
            && !session.cancel.is_cancelled()
    }

    /// The item of this ticket is done, by somebody else. Who that was may be lost, or may go on without a lease that
    /// brings its work back: gives what is pending tickets of its own before this one is settled.
    ///
    /// The snapshot in hand will not do: other hosts may have gone on under this ticket since.
    async fn recover(&self, session: &TicketSession<'_>) -> Result<(), BackendError> {
        if session.holds_it_alone(self.clock.now()) {
            return Ok(());
        }
        let Some(cached) = self.load(session.run).await? else {
            return Ok(());
        };
        let snapshot = &cached.snapshot;
        if snapshot.status.is_terminal() {
            return self.reapply_end_effects(session.workflow.fingerprint(), session.run, &cached).await;
        }
        let wanted = match session.delivery.ticket.attempt {
            1 => tickets_under(snapshot, &session.ticket_item),
            // A ticket that was published in doubt: who has done its item may have held one that is settled by now.
            _ => self.items_without_ticket(session.run, snapshot, Some(&session.ticket_item)).await?,
        };
        let tickets = self.resolve_nodes(session.run, snapshot, wanted).await?;
        // The lost holder may have been in the middle of one of these, so this is the second attempt at it.
        let build = session.workflow.fingerprint();
        self.publish_tickets(FailPoint::TicketPublished, build, session.run, &cached, tickets, 2).await
    }
}

async fn settle(lease: &dyn Lease, steps: u64) -> TicketOutcome {
    fail_point(FailPoint::TicketUnsettled);
    match lease.ack().await {
        Ok(()) => {
            fail_point(FailPoint::TicketSettled);
            TicketOutcome::Acked { steps }
        }
        Err(error) => TicketOutcome::Abandoned { steps, error },
    }
}

async fn give_back(lease: &dyn Lease, steps: u64) -> TicketOutcome {
    match lease.nak().await {
        Ok(()) => TicketOutcome::Nacked { steps },
        Err(error) => TicketOutcome::Abandoned { steps, error },
    }
}

/// Takes the ticket where there is exactly one.
fn only_ticket(tickets: &mut Vec<TicketFor>) -> Option<TicketFor> {
    if tickets.len() == 1 { tickets.pop() } else { None }
}

fn outcome_label(produced: &EncodedOutcome) -> &'static str {
    match produced {
        EncodedOutcome::Next(_) => "next",
        EncodedOutcome::NextAll(_) => "next_all",
        EncodedOutcome::Hold => "hold",
        EncodedOutcome::Await(_) | EncodedOutcome::Started => "awaits",
        EncodedOutcome::Handled(..) => "handled",
        EncodedOutcome::Failed(_) => "failed",
    }
}
