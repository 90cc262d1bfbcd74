//! The steps that a worker runs under one ticket.
//!
//! What is rare is boxed: the future of a session is kept with each ticket, and would need 10 KB instead of 6.

use super::{Worker, attempt::Requested, child::Awaited};
use crate::{
    backend::{BackendError, BackendErrorKind, CancelNews, Delivery},
    fail_point::{FailPoint, fail_point},
    inputs::{ReadyItem, load_item},
    retry::retry_while_unavailable,
    snapshots::{CachedSnapshot, CommitOutcome, CommitResult, RunVersion},
    trace::{SpanTimes, StepInfo, StepSpan},
};
use jetway_core::step::{AnyWorkflow, AttemptWithBase, TaskInput};
use jetway_state::{
    Incarnation, ItemId, RunKey, Seen,
    run::{AttemptReport, Effect, EncodedOutcome, Snapshot, Status, TicketFor},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Labels of [`step_ended`](crate::trace::Tracer::step_ended).
const FAILED: &str = "failed";
const HANDLED: &str = "handled";
const RETRIED: &str = "retried";

/// A worker that holds one ticket.
pub(super) struct TicketSession<'a> {
    pub(super) worker: &'a Worker,
    pub(super) workflow: &'a dyn AnyWorkflow,
    pub(super) run: &'a RunKey,
    pub(super) delivery: &'a Delivery,
    pub(super) cancel: &'a CancellationToken,
    started: Instant,
    pub(super) steps: u64,
    /// An item was done when it was to be committed: another worker committed it, or a write of this host that got no
    /// answer, and later writes replaced that one.
    pub(super) overtaken: bool,
    /// Whether somebody tells that the run is cancelled.
    pub(super) news: CancelNews,
    /// The first incarnation of the run, if it has continued as new.
    pub(super) chain: Option<Incarnation>,
}

/// The next attempt to be made.
pub(super) struct PendingAttempt {
    pub(super) item: ItemId,
    pub(super) attempt: u32,
    /// The record has to count the attempt before the node runs.
    pub(super) uncounted: bool,
    /// How long the item waited for a worker.
    pub(super) queue_wait: Option<Duration>,
    pub(super) cached: CachedSnapshot,
}

/// What to do after an attempt.
pub(super) enum NextAction {
    /// Make another attempt under the same ticket.
    Attempt(PendingAttempt),
    Ack,
    /// Ack, although the item stays pending without a ticket: it waits, perhaps for these child runs, or its run is paused.
    /// It is checked again after the ack.
    Park(ItemId, Vec<(RunKey, Seen)>),
    Nak,
    /// Give it back, to be delivered again after this time.
    Later(Duration),
}

impl<'a> TicketSession<'a> {
    pub(super) fn new(
        worker: &'a Worker,
        workflow: &'a dyn AnyWorkflow,
        run: &'a RunKey,
        delivery: &'a Delivery,
        cancel: &'a CancellationToken,
    ) -> Self {
        let started = Instant::now();
        // Before the record is read: what comes later is told.
        let news = worker.backend.hear_cancelled(run, delivery.ticket.incarnation);
        Self {
            worker,
            workflow,
            run,
            delivery,
            cancel,
            started,
            steps: 0,
            overtaken: false,
            news,
            chain: None,
        }
    }

    /// The steps that were committed under the ticket.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// The item of the ticket: recovery finds by it what was committed under the ticket.
    pub(super) fn ticket_item(&self) -> &ItemId {
        &self.delivery.ticket.item
    }

    pub(super) fn version<'b>(&self, cached: &'b CachedSnapshot) -> RunVersion<'b>
    where
        'a: 'b,
    {
        RunVersion { run: self.run, build: self.workflow.fingerprint(), cached }
    }

    /// Retries a call while the backend does not answer or is full.
    pub(super) async fn retry<T, F>(&self, call: impl FnMut() -> F) -> Result<T, BackendError>
    where
        F: Future<Output = Result<T, BackendError>>,
    {
        retry_while_unavailable(self.run, self.cancel, call).await
    }

    /// Makes attempts until there is nothing more to do under this ticket.
    pub(super) async fn run(&mut self) -> Result<NextAction, BackendError> {
        jetway_state::hop!("TicketSession::run");
        let Delivery { ticket, delivered, .. } = self.delivery;
        let Worker { snapshots, backend, .. } = self.worker;
        if *delivered > 1 && self.retry(|| backend.is_replaced(ticket)).await? {
            return Ok(NextAction::Ack);
        }
        let loaded = self
            .retry(async || match ticket.woken_by.is_some() {
                true => snapshots.load(self.run, ticket.seen()).await,
                false => snapshots.at_least(self.run, ticket.seen()).await,
            })
            .await?;
        let Some(mut cached) = loaded else {
            // The run was deleted.
            return Ok(NextAction::Ack);
        };
        fail_point(FailPoint::SnapshotLoaded);
        if *delivered > 1 && self.is_of_ticket(&cached) && !cached.snapshot.intents.is_empty() {
            let dispatcher = &self.worker.dispatcher;
            Box::pin(self.retry(|| dispatcher.carry_out_intents(self.version(&cached)))).await?;
        }
        if self.is_of_ticket(&cached) && cached.snapshot.is_overdue(self.now()) {
            let Some(latest) = Box::pin(self.end_overdue(&cached)).await? else {
                return Ok(NextAction::Ack);
            };
            cached = latest;
        }
        self.chain = cached.snapshot.chain;
        if ticket.woken_by.is_some() && (cached.snapshot.has_waits() || cached.snapshot.deadline.is_some()) {
            Box::pin(self.alarm_rang(&cached)).await?;
        }
        let first = PendingAttempt {
            item: ticket.item.clone(),
            attempt: cached.snapshot.attempt_at(&ticket.item),
            // The ticket is a hint: it tells that there may have been another worker, and not how many.
            uncounted: *delivered > 1 || ticket.attempt > 1,
            queue_wait: Some(self.worker.clock.now().since(ticket.at)),
            cached,
        };
        self.attempts(first).await
    }

    /// Makes this attempt and those that follow under this ticket.
    pub(super) async fn attempts(&mut self, mut next: PendingAttempt) -> Result<NextAction, BackendError> {
        loop {
            if self.cancel.is_cancelled() {
                return Ok(NextAction::Nak);
            }
            match self.step(next).await? {
                NextAction::Attempt(following) => next = following,
                end => return Ok(end),
            }
        }
    }

    /// Whether a snapshot belongs to the incarnation of the ticket. Nothing of the ticket acts on another one.
    pub(super) fn is_of_ticket(&self, cached: &CachedSnapshot) -> bool {
        cached.snapshot.incarnation == self.delivery.ticket.incarnation
    }

    /// Makes one attempt and commits its outcome.
    async fn step(&mut self, next: PendingAttempt) -> Result<NextAction, BackendError> {
        if !self.is_of_ticket(&next.cached) {
            tracing::debug!(run = %self.run, "discarded a ticket of another incarnation");
            if next.cached.snapshot.follows(self.delivery.ticket.incarnation) {
                // Whoever held it may have continued the run as new, and crashed.
                Box::pin(self.recover(&next.cached)).await?;
            }
            return Ok(NextAction::Ack);
        }
        let next = if self.news.is_new() { Box::pin(self.told(next)).await? } else { next };
        if self.waits(&next)
            && let Some(end) = Box::pin(self.wait(&next)).await?
        {
            return Ok(end);
        }
        let ready = match self.ready(&next).await {
            // Another worker may have continued meanwhile, and deleted a chunk that this snapshot refers to.
            Err(error) if error.kind() == BackendErrorKind::Corrupt => {
                let newer = Box::pin(self.worker.snapshots.newer(self.run, next.cached.seen())).await?;
                let cached = newer.ok_or(error)?;
                return Ok(NextAction::Attempt(PendingAttempt { cached, ..next }));
            }
            ready => ready?,
        };
        let snapshot = &next.cached.snapshot;
        let Some(ready) = ready else {
            if self.is_due_for_slot(&next) {
                return Box::pin(self.admit(next)).await;
            }
            Box::pin(self.recover(&next.cached)).await?;
            return Ok(match snapshot.is_pending(&next.item) {
                true => NextAction::Park(next.item, Vec::new()),
                false => NextAction::Ack,
            });
        };
        let awaited = match snapshot.awaits_children(&next.item) {
            false => Awaited::default(),
            true => match Box::pin(self.awaited(&next, &ready.node)).await? {
                Ok(awaited) => awaited,
                Err(end) => return Ok(end),
            },
        };
        if snapshot.is_cancelled(&next.item) {
            return Box::pin(self.clean_up(next, ready)).await;
        }
        if next.uncounted {
            // No attempt is made by a build that cannot read the item.
            if let Err(unreadable) = self.check(&next, &ready) {
                return Box::pin(self.set_aside(next, ready.node, unreadable)).await;
            }
            return Ok(NextAction::Attempt(Box::pin(self.counted(next)).await?));
        }
        self.make_attempt(next, ready, awaited).await
    }

    /// Runs the node of an item and commits its outcome.
    async fn make_attempt(
        &mut self,
        next: PendingAttempt,
        ready: ReadyItem,
        awaited: Awaited,
    ) -> Result<NextAction, BackendError> {
        let snapshot = &next.cached.snapshot;
        let child_span = awaited.span;
        let span = self.worker.tracer.step(&StepInfo {
            run: self.run,
            incarnation: snapshot.incarnation,
            trace: &snapshot.trace,
            node: &ready.node,
            item: &next.item,
            attempt: next.attempt,
            queue_wait: next.queue_wait,
            links: ready.from.iter().copied().chain(child_span.map(|span| span.id)).collect(),
            not_before: child_span.map_or(0, |span| span.end_micros).max(snapshot.span_start_micros()),
        });
        let (node, input) = (ready.node.clone(), ready.input.clone());
        let (report, requested, times) = match self.attempt(&next, ready, &input, awaited, &span).await {
            Ok(Some(attempt)) => attempt,
            Ok(None) => return Box::pin(self.stop_attempt(next, &span)).await,
            Err(unreadable) => {
                self.discard_span(&span, span.times(&*self.worker.tracer), None);
                return Box::pin(self.set_aside(next, node, unreadable)).await;
            }
        };
        fail_point(FailPoint::NodeRun);
        let report = match starts_others(&report.produced) {
            true => Box::pin(self.check_starts(report, &input)).await?,
            false => report,
        };
        let label = outcome_label(&report.produced);
        if let EncodedOutcome::Failed(error)
        | EncodedOutcome::Handled(error, _)
        | EncodedOutcome::Retry(_, error) = &report.produced
        {
            self.worker.tracer.step_failed(&span, error);
        }
        self.before_wait(&report.produced, &next.cached).await?;
        let committed =
            self.commit(report, Some(input.clone()), &next.cached).instrument(span.span.clone()).await;
        self.end_span(&span, &next.item, times, label, &committed);
        self.after_commit(next, committed?, requested.map(|requested| (requested, input))).await
    }

    /// Ends the span of an attempt whose commit has ended.
    fn end_span(
        &self,
        span: &StepSpan,
        item: &ItemId,
        times: SpanTimes,
        label: &'static str,
        committed: &Result<CommitResult, BackendError>,
    ) {
        match committed {
            Ok(CommitResult { outcome: CommitOutcome::Committed(..), cached }) => {
                let label = self.committed_label(span, item, label, &cached.snapshot);
                self.worker.tracer.step_timed(span, times);
                self.worker.tracer.step_ended(span, label);
            }
            Ok(CommitResult { cached, .. }) => self.discard_span(span, times, Some(cached)),
            Err(_) => self.discard_span(span, times, None),
        }
    }

    /// The outcome of an attempt as it was committed: the result of a node that succeeded may not fit, and then its step has
    /// failed.
    fn committed_label(
        &self,
        span: &StepSpan,
        item: &ItemId,
        label: &'static str,
        snapshot: &Snapshot,
    ) -> &'static str {
        if matches!(label, FAILED | HANDLED | RETRIED) {
            return label;
        }
        let Some(error) = snapshot.failure_of(item) else {
            return label;
        };
        self.worker.tracer.step_failed(span, error);
        if snapshot.error.as_ref() == Some(error) { FAILED } else { HANDLED }
    }

    /// The item with its input, if it may run now.
    async fn ready(&self, next: &PendingAttempt) -> Result<Option<ReadyItem>, BackendError> {
        let snapshot = &next.cached.snapshot;
        match snapshot.status {
            Status::Running | Status::Cancelling => {
                self.retry(|| load_item(&self.worker.snapshots, self.run, snapshot, &next.item)).await
            }
            Status::Paused | Status::Completed | Status::Failed | Status::Cancelled => Ok(None),
        }
    }

    /// Commits, and retries while the backend does not answer: the node need not run again for that.
    pub(super) async fn commit(
        &self,
        report: AttemptReport,
        input: Option<TaskInput>,
        seen: &CachedSnapshot,
    ) -> Result<CommitResult, BackendError> {
        let (base, saw) = (seen.snapshot.context.clone(), seen.snapshot.saw(&report.item));
        let attempt = Arc::new(AttemptWithBase { report, base, saw, input });
        self.retry(|| {
            self.worker.committer.commit(self.workflow, self.run, Arc::clone(&attempt), seen.seen())
        })
        .await
    }

    pub(super) async fn after_commit(
        &mut self,
        next: PendingAttempt,
        CommitResult { outcome, cached }: CommitResult,
        requested: Option<(Requested, TaskInput)>,
    ) -> Result<NextAction, BackendError> {
        match (outcome, requested) {
            (CommitOutcome::Committed(tickets, effects), None) => {
                self.steps += 1;
                self.dispatch(cached, tickets, effects, Some(&next.item)).await
            }
            (CommitOutcome::Committed(tickets, effects), Some((Requested::One(_), _)))
                if !cached.snapshot.awaits_children(&next.item) =>
            {
                Box::pin(self.without_child(next, cached, tickets, effects)).await
            }
            (CommitOutcome::Committed(tickets, effects), Some((Requested::One(child), input))) => {
                Box::pin(self.start_child(next, cached, tickets, effects, *child, input)).await
            }
            (CommitOutcome::Committed(tickets, effects), Some((Requested::Many(children), _))) => {
                Box::pin(self.start_children(next, cached, tickets, effects, children)).await
            }
            (CommitOutcome::Discarded, _) => {
                self.overtaken = true;
                Box::pin(self.recover(&cached)).await?;
                Ok(self.let_go(&cached))
            }
            (CommitOutcome::RunAgain, _) => {
                Ok(NextAction::Attempt(PendingAttempt { cached, queue_wait: None, ..next }))
            }
        }
    }

    /// Publishes the tickets and carries out the effects of a commit. An only successor needs no ticket: it runs next, under
    /// the ticket and lease of this session. So does the item `own` of the attempt, if it has waited for nothing.
    pub(super) async fn dispatch(
        &mut self,
        cached: CachedSnapshot,
        mut tickets: Vec<TicketFor>,
        mut effects: Vec<Effect>,
        own: Option<&ItemId>,
    ) -> Result<NextAction, BackendError> {
        let may_continue = self.may_continue();
        if !self.is_of_ticket(&cached) {
            fail_point(FailPoint::ContinuedAsNew);
        }
        let only = match tickets.len() {
            // The run has continued as new: this ticket and what it tells to nodes are of the former incarnation.
            _ if !self.is_of_ticket(&cached) => None,
            1 if may_continue => {
                tickets.pop_if(|ticket| own == Some(&ticket.item) || !has_waited(&cached.snapshot, ticket))
            }
            0 if may_continue => self.due_soon(&cached, &mut effects),
            _ => None,
        };
        if effects.contains(&Effect::PublishResult) {
            fail_point(FailPoint::RunEnded);
            self.worker.dispatcher.end_run(self.version(&cached), effects).await?;
        } else {
            self.worker.dispatcher.carry_out(self.version(&cached), tickets, effects).await?;
        }
        Ok(match only {
            Some(TicketFor { item, .. }) => NextAction::Attempt(PendingAttempt {
                attempt: cached.snapshot.attempt_at(&item),
                item,
                uncounted: false,
                queue_wait: None,
                cached,
            }),
            None => self.let_go(&cached),
        })
    }

    /// Ends the work under the ticket. If its item waits now, whatever it waits for may have come already, and the ticket that was
    /// published for that was refused, because this one exists. So the item is checked again after the ack.
    pub(super) fn let_go(&self, cached: &CachedSnapshot) -> NextAction {
        match self.is_of_ticket(cached) && cached.snapshot.is_pending(self.ticket_item()) {
            true => NextAction::Park(self.ticket_item().clone(), Vec::new()),
            false => NextAction::Ack,
        }
    }

    fn may_continue(&self) -> bool {
        let config = &self.worker.config;
        self.steps < u64::from(config.steps_per_ticket)
            && self.started.elapsed() < config.time_per_ticket
            && !self.cancel.is_cancelled()
    }
}

/// Whether an item has waited for its time or its signals, so that its ticket is one of its own.
fn has_waited(snapshot: &Snapshot, ticket: &TicketFor) -> bool {
    snapshot.has_waits() && snapshot.has_wait(&ticket.item)
}

/// Whether child runs are to be started that nobody waits for.
fn starts_others(produced: &EncodedOutcome) -> bool {
    matches!(produced, EncodedOutcome::Next(emission) if !emission.starts.is_empty())
}

fn outcome_label(produced: &EncodedOutcome) -> &'static str {
    match produced {
        EncodedOutcome::Next(_) => "next",
        EncodedOutcome::NextLater(..) => "next_later",
        EncodedOutcome::Admit => "admit",
        EncodedOutcome::CleanUp(_) => "clean_up",
        EncodedOutcome::Retry(..) => RETRIED,
        EncodedOutcome::NextAll(_) => "next_all",
        EncodedOutcome::WaitFor(_) => "wait_for",
        EncodedOutcome::ContinueAsNew(_) => "continue_as_new",
        EncodedOutcome::Hold => "hold",
        EncodedOutcome::Await(_)
        | EncodedOutcome::Started(_)
        | EncodedOutcome::AwaitMany(_)
        | EncodedOutcome::StartedMany(..) => "awaits",
        EncodedOutcome::Handled(..) => HANDLED,
        EncodedOutcome::Failed(_) => FAILED,
    }
}
