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
    bury::is_hopeless,
    cell::{Finished, InHand, Verdict},
    children::NewChild,
    patience::patiently,
};
use crate::{
    backend::{BackendError, BackendErrorKind, Delivery, Lease},
    fail_point::{FailPoint, reach},
};
use jetway_core::step::AnyWorkflow;
use jetway_state::broken_rule::{BrokenRule, is_broken};
use jetway_state::{
    ItemId, RunKey, Timestamp,
    run::{Attempt, Effect, Produced, Status, TicketFor, tickets_under},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// What became of a ticket.
#[derive(Debug)]
pub enum Worked {
    /// It is settled.
    Done {
        /// Steps that were committed under it.
        steps: u64,
    },
    /// It was given back: the worker is to stop.
    GivenBack {
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
pub(super) struct Under<'a> {
    pub(super) workflow: &'a dyn AnyWorkflow,
    pub(super) run: &'a RunKey,
    delivery: &'a Delivery,
    /// The ticket's own item: what is committed is found again by it.
    pub(super) via: ItemId,
    pub(super) cancel: &'a CancellationToken,
    began: Instant,
    steps: u64,
    /// An item was done when it was to be committed: by somebody else, or by a write of this host that got no answer and
    /// that others have written over since.
    overtaken: bool,
}

impl Under<'_> {
    /// Whether nobody else can have been handed this ticket, nor have been at work on its item without it. One that was
    /// handed over long ago may have been handed to others since: a message can be late by more than its lease.
    fn holds_it_alone(&self, now: Timestamp) -> bool {
        let Delivery { ticket, delivered, lease, .. } = self.delivery;
        let fresh = now.since(ticket.at) < lease.lasts() / 2;
        !self.overtaken && self.steps == 0 && *delivered <= 1 && ticket.attempt <= 1 && fresh
    }
}

/// The next attempt to be made.
pub(super) struct Next {
    pub(super) item: ItemId,
    pub(super) attempt: u32,
    waited: Option<Duration>,
    pub(super) hand: InHand,
}

/// What one attempt leads to.
enum Then {
    Attempt(Next),
    Settle,
    /// The item stays pending without a ticket, for the child run or until its run is resumed. It is looked at again when
    /// the ticket is settled.
    Park(ItemId, Option<RunKey>),
    GiveBack,
}

impl Engine {
    /// Works off one ticket: runs its item and commits what came of it, then goes on with the only successor under
    /// the same ticket as long as there is one. Settles the ticket, or gives it back when `cancel` is cancelled.
    ///
    /// Keeping the lease alive meanwhile is the caller's part.
    pub async fn work(&self, delivery: Delivery, cancel: CancellationToken) -> Worked {
        let run = delivery.ticket.run();
        let Some(workflow) = self.registry.get(run.workflow.as_str()).map(Arc::clone) else {
            return give_back(&*delivery.lease, 0).await;
        };
        reach(FailPoint::TicketTaken);
        if is_broken(BrokenRule::AckBeforeCommit)
            && let Err(error) = delivery.lease.settle().await
        {
            return Worked::Abandoned { steps: 0, error };
        }
        let mut under = Under {
            workflow: &*workflow,
            run: &run,
            delivery: &delivery,
            via: delivery.ticket.item.clone(),
            cancel: &cancel,
            began: Instant::now(),
            steps: 0,
            overtaken: false,
        };
        match self.work_under(&mut under).await {
            Ok(Then::Settle | Then::Attempt(_)) => settle(&*delivery.lease, under.steps).await,
            Ok(Then::Park(item, child)) => match settle(&*delivery.lease, under.steps).await {
                // No ticket brings this back.
                Worked::Done { steps } => {
                    let look = || self.look_again(&run, &item, child.as_ref());
                    match patiently(&run, &cancel, look).await {
                        Ok(()) => Worked::Done { steps },
                        Err(error) => Worked::Abandoned { steps, error },
                    }
                }
                unsettled => unsettled,
            },
            Ok(Then::GiveBack) => give_back(&*delivery.lease, under.steps).await,
            Err(error)
                if is_hopeless(
                    error.kind(),
                    delivery.delivered,
                    delivery.fingerprint == workflow.fingerprint(),
                ) =>
            {
                self.bury(&delivery, &error, under.steps).await
            }
            Err(error) => Worked::Abandoned { steps: under.steps, error },
        }
    }

    async fn work_under(&self, under: &mut Under<'_>) -> Result<Then, BackendError> {
        let Delivery { ticket, delivered, .. } = under.delivery;
        let loaded = patiently(under.run, under.cancel, || self.at_least(under.run, ticket.revision)).await?;
        let Some(hand) = loaded else {
            // The run was removed, so there is nothing left to do or to lose.
            return Ok(Then::Settle);
        };
        reach(FailPoint::SnapshotLoaded);
        let mut next = Next {
            item: ticket.item.clone(),
            attempt: ticket.attempt.saturating_add(delivered.saturating_sub(1)),
            waited: Some(self.clock.now().since(ticket.at)),
            hand,
        };
        loop {
            if under.cancel.is_cancelled() {
                return Ok(Then::GiveBack);
            }
            match self.attempt_next(under, next).await? {
                Then::Attempt(following) => next = following,
                end => return Ok(end),
            }
        }
    }

    async fn attempt_next(&self, under: &mut Under<'_>, next: Next) -> Result<Then, BackendError> {
        let snapshot = &next.hand.snapshot;
        let ready = match snapshot.status {
            Status::Running => {
                patiently(under.run, under.cancel, || self.ready(under.run, snapshot, &next.item)).await
            }
            Status::Paused | Status::Completed | Status::Failed | Status::Cancelled => Ok(None),
        };
        let ready = match ready {
            // Others may have gone on since, and dropped what the snapshot in hand names.
            Err(error) if error.kind() == BackendErrorKind::Corrupt => {
                return match self.newer(under.run, next.hand.revision).await? {
                    Some(hand) => Ok(Then::Attempt(Next { hand, ..next })),
                    None => Err(error),
                };
            }
            ready => ready?,
        };
        let Some(ready) = ready else {
            self.recover(under).await?;
            let paused = snapshot.status == Status::Paused && snapshot.is_pending(&next.item);
            return Ok(if paused { Then::Park(next.item, None) } else { Then::Settle });
        };
        let child = match snapshot.children.get(&next.item) {
            // Whoever recorded it may have been lost before it was started: the node says again what it is.
            Some(_) if snapshot.unstarted.contains(&next.item) => None,
            Some(child) => match patiently(under.run, under.cancel, || self.child_end(child)).await? {
                None => return Ok(Then::Park(next.item.clone(), Some(child.clone()))),
                end => end,
            },
            None => None,
        };
        let span = self.tracer.step(&StepInfo {
            run: under.run,
            trace: &next.hand.snapshot.trace,
            node: &ready.node,
            item: &next.item,
            attempt: next.attempt,
            queue_wait: next.waited,
            links: ready.from.clone(),
        });
        let tried = self.attempt_once(under, &next, ready, child, &span).await?;
        let Some((attempt, asked)) = tried else {
            return self.cut_short(under, &span).await;
        };
        reach(FailPoint::NodeRun);
        let outcome = word(&attempt.produced);
        let finished = Finished { attempt, base: next.hand.snapshot.context.clone() };
        let verdict = self.commit_patiently(under, finished).instrument(span.span.clone()).await;
        let ended = match &verdict {
            Ok(Verdict::Committed(..)) => outcome,
            Ok(Verdict::Discarded(_) | Verdict::Again(_)) | Err(_) => "discarded",
        };
        self.tracer.step_ended(&span, ended);
        self.follow(under, next, verdict?, asked).await
    }

    /// The attempt was cut short: the worker is to stop, or the run has ended.
    async fn cut_short(&self, under: &Under<'_>, span: &StepSpan) -> Result<Then, BackendError> {
        if under.cancel.is_cancelled() {
            self.tracer.step_ended(span, "given_back");
            return Ok(Then::GiveBack);
        }
        self.tracer.step_ended(span, "discarded");
        self.recover(under).await?;
        Ok(Then::Settle)
    }

    /// What the verdict on an attempt leads to.
    async fn follow(
        &self,
        under: &mut Under<'_>,
        next: Next,
        verdict: Verdict,
        asked: Option<NewChild>,
    ) -> Result<Then, BackendError> {
        match verdict {
            Verdict::Committed(hand, effects) => match asked {
                Some(child) => self.start_recorded(under, next, hand, effects, child).await,
                None => {
                    under.steps += 1;
                    self.after_commit(under, hand, effects).await
                }
            },
            Verdict::Discarded(_) => {
                under.overtaken = true;
                self.recover(under).await?;
                Ok(Then::Settle)
            }
            Verdict::Again(hand) => Ok(Then::Attempt(Next { hand, waited: None, ..next })),
        }
    }

    /// Commits, also where the backend is out of reach for a while: the node need not run again for that.
    async fn commit_patiently(&self, under: &Under<'_>, finished: Finished) -> Result<Verdict, BackendError> {
        let finished = Arc::new(finished);
        let commit = || self.commit(under.workflow, under.run, Arc::clone(&finished));
        patiently(under.run, under.cancel, commit).await
    }

    /// The record names the child that the item waits for: makes it exist, and the record say so.
    async fn start_recorded(
        &self,
        under: &Under<'_>,
        next: Next,
        hand: InHand,
        effects: Vec<Effect>,
        child: NewChild,
    ) -> Result<Then, BackendError> {
        reach(FailPoint::ChildRecorded);
        let build = under.workflow.fingerprint();
        // Without the child the step is not made, and each delivery of its ticket would be another attempt at it.
        patiently(under.run, under.cancel, async || {
            self.carry_out(build, under.run, &hand, effects.clone()).await?;
            self.start_child(&child).await
        })
        .await?;
        let attempt = Attempt {
            item: next.item.clone(),
            node: child.parent.node,
            via: under.via.clone(),
            number: next.attempt,
            at: self.clock.now(),
            span: None,
            produced: Produced::Started,
            context: None,
        };
        let finished = Finished { attempt, base: hand.snapshot.context.clone() };
        match self.commit_patiently(under, finished).await? {
            Verdict::Discarded(hand) if hand.snapshot.status.is_terminal() => {
                // Whoever ended the run may have been lost before it came to the child.
                self.end_again(build, under.run, &hand).await?;
                Ok(Then::Settle)
            }
            _ => Ok(Then::Park(next.item, Some(child.run))),
        }
    }

    /// Carries out the effects of a commit. The only successor goes on under the same ticket, which stays unsettled
    /// as the lease on it, and needs no ticket of its own.
    async fn after_commit(
        &self,
        under: &mut Under<'_>,
        hand: InHand,
        mut effects: Vec<Effect>,
    ) -> Result<Then, BackendError> {
        let go_on = self.may_go_on(under).then(|| only_ticket(&mut effects)).flatten();
        if effects.contains(&Effect::Done) {
            reach(FailPoint::RunEnded);
            self.tracer.run_ended(&hand.snapshot);
        }
        self.carry_out(under.workflow.fingerprint(), under.run, &hand, effects).await?;
        Ok(match go_on {
            Some(TicketFor { item, .. }) => Then::Attempt(Next { item, attempt: 1, waited: None, hand }),
            None => Then::Settle,
        })
    }

    fn may_go_on(&self, under: &Under<'_>) -> bool {
        under.steps < u64::from(self.config.go_on_steps)
            && under.began.elapsed() < self.config.go_on_for
            && !under.cancel.is_cancelled()
    }

    /// The item of this ticket is done, by somebody else. Who that was may be lost, or may go on without a lease that
    /// brings its work back: gives what is pending tickets of its own before this one is settled.
    ///
    /// The snapshot in hand will not do: other hosts may have gone on under this ticket since.
    async fn recover(&self, under: &Under<'_>) -> Result<(), BackendError> {
        if under.holds_it_alone(self.clock.now()) {
            return Ok(());
        }
        let Some(hand) = self.load(under.run).await? else {
            return Ok(());
        };
        let snapshot = &hand.snapshot;
        if snapshot.status.is_terminal() {
            return self.end_again(under.workflow.fingerprint(), under.run, &hand).await;
        }
        let wanted = match under.delivery.ticket.attempt {
            1 => tickets_under(snapshot, &under.via),
            // A ticket that was published in doubt: who has done its item may have held one that is settled by now.
            _ => self.stranded(under.run, snapshot, Some(&under.via)).await?,
        };
        let tickets = self.named(under.run, snapshot, wanted).await?;
        // The lost holder may have been in the middle of one of these, so this is the second attempt at it.
        let build = under.workflow.fingerprint();
        self.publish_reaching(FailPoint::TicketPublished, build, under.run, &hand, tickets, 2).await
    }
}

async fn settle(lease: &dyn Lease, steps: u64) -> Worked {
    reach(FailPoint::TicketUnsettled);
    match lease.settle().await {
        Ok(()) => {
            reach(FailPoint::TicketSettled);
            Worked::Done { steps }
        }
        Err(error) => Worked::Abandoned { steps, error },
    }
}

async fn give_back(lease: &dyn Lease, steps: u64) -> Worked {
    match lease.give_back().await {
        Ok(()) => Worked::GivenBack { steps },
        Err(error) => Worked::Abandoned { steps, error },
    }
}

/// Takes the ticket out of the effects where there is exactly one.
fn only_ticket(effects: &mut Vec<Effect>) -> Option<TicketFor> {
    let mut tickets = effects.iter().enumerate().filter(|(_, effect)| matches!(effect, Effect::Ticket(_)));
    let (index, _) = tickets.next()?;
    if tickets.next().is_some() {
        return None;
    }
    match effects.remove(index) {
        Effect::Ticket(ticket) => Some(ticket),
        Effect::Done
        | Effect::Wake(_)
        | Effect::CancelChild(_)
        | Effect::PreventChild(_)
        | Effect::DropChunks(_)
        | Effect::DropAllChunks => None,
    }
}

fn word(produced: &Produced) -> &'static str {
    match produced {
        Produced::Next(_) => "next",
        Produced::NextAll(_) => "next_all",
        Produced::Hold => "hold",
        Produced::Await(_) | Produced::Started => "awaits",
        Produced::Caught(..) => "caught",
        Produced::Failed(_) => "failed",
    }
}
