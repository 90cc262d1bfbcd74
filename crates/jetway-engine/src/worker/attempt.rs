//! One attempt: the node runs. It is stopped when the worker has to stop, or when the run is cancelled or has ended.

use super::{
    child::Awaited,
    heartbeat::KeptBeats,
    session::{NextAction, PendingAttempt, TicketSession},
};
use crate::{
    backend::BackendError,
    inputs::ReadyItem,
    snapshots::CachedSnapshot,
    starts::NewChild,
    trace::{SpanTimes, StepSpan},
};
use jetway_core::{
    Answer,
    step::{
        AttemptResult, ChildNews, ChildRequest, ChildSpec, Heartbeats, ManySpec, RetryOf, Task, TaskInput,
        Unreadable,
    },
};
use jetway_state::{
    Rounded, Timestamp,
    run::{
        AttemptId, AttemptReport, EncodedOutcome, EndedChild, EndedSpan, ManyWanted, NextTry, Parent,
        WantedResult,
    },
};
use std::{convert::Infallible, future::pending, sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// A node that runs for this long is stopped when its run ends. Shorter ones are not watched, and cost nothing.
const WATCH_AFTER: Duration = Duration::from_secs(1);

/// How long one call waits for the end of a run.
const RESULT_WAIT: Duration = Duration::from_secs(600);

/// The longest pause between two of these calls.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// The child runs that an attempt requests, and that are started when it is committed.
pub(super) enum Requested {
    One(Box<NewChild>),
    /// With their positions.
    Many(Vec<(u32, NewChild)>),
}

impl TicketSession<'_> {
    /// Runs the node. An item that this build wrote and cannot read is a failed step.
    ///
    /// `None` if the attempt was stopped because the worker has to stop or the run has ended.
    pub(super) async fn attempt(
        &self,
        next: &PendingAttempt,
        ready: ReadyItem,
        input: &TaskInput,
        awaited: Awaited,
        span: &StepSpan,
    ) -> Result<Option<(AttemptReport, Option<Requested>, SpanTimes)>, Unreadable> {
        jetway_state::hop!("TicketSession::attempt");
        let node = ready.node.clone();
        let began = self.worker.clock.now();
        let Awaited { news, ended, .. } = awaited;
        let result = match self.run_node(next, ready, news, span).await {
            Err(unreadable) if self.has_written(next, &unreadable) => {
                self.failed_to_read(next, &node, input, &unreadable)
            }
            result => result?,
        };
        if result.cancelled {
            return Ok(None);
        }
        // Before the commit, so that the record of the run knows it: the run may end while the answer of the commit is late.
        let times = span.times(&*self.worker.tracer);
        let new_child = |spec: ChildSpec| {
            let (run, item, build) = (self.run.clone(), next.item.clone(), self.workflow.fingerprint());
            let incarnation = next.cached.snapshot.incarnation;
            let (seen, span) = (next.cached.seen(), span.id);
            let parent = Parent { run, incarnation, item, node: node.clone(), build, seen, span };
            NewChild::new(spec, parent, &next.cached.snapshot.trace, times.end_micros)
        };
        let requested = result.requested_child.and_then(|request| requested(request, ended, new_child));
        // As the attempt has seen it: the rules look at the same deadlines.
        let now = self.now();
        let id = AttemptId {
            incarnation: next.cached.snapshot.incarnation,
            item: next.item.clone(),
            node: node.clone(),
            number: next.attempt,
        };
        let (produced, context, requested) = match (requested, result.retry) {
            (None, None) => (result.produced, result.context, None),
            (_, Some(retry)) => (self.retried(&id, began, now, retry), None, None),
            (Some((awaits, requested)), None) => (awaits, result.context, Some(requested)),
        };
        let report = AttemptReport {
            incarnation: next.cached.snapshot.incarnation,
            item: next.item.clone(),
            node,
            ticket_item: self.ticket_item().clone(),
            number: next.attempt,
            timestamp: now,
            span: span.id.map(|id| EndedSpan { id, end_micros: times.end_micros }),
            produced,
            context,
        };
        Ok(Some((report, requested, times)))
    }

    async fn run_node(
        &self,
        next: &PendingAttempt,
        ready: ReadyItem,
        child: ChildNews,
        span: &StepSpan,
    ) -> Result<AttemptResult, Unreadable> {
        let ReadyItem { node, input, .. } = ready;
        let (snapshot, item) = (&next.cached.snapshot, &next.item);
        let (max_lost, lost) = (self.worker.config.max_attempts, snapshot.losses_at(item));
        let heartbeats = Arc::new(Heartbeats::after(self.last_beat(next).await));
        let beats = KeptBeats::new(&heartbeats, next);
        let cancel = self.cancel.child_token();
        let stop = cancel.child_token();
        let task = Task {
            run: self.run.clone(),
            incarnation: snapshot.incarnation,
            item: item.clone(),
            node,
            attempt: next.attempt,
            input,
            context: snapshot.context.clone(),
            timeout: self.worker.config.step_timeout,
            cancel: cancel.clone(),
            stop: stop.clone(),
            child,
            answer: snapshot.wait_that_is_over(item, self.now()).map(Answer::to),
            clock: Arc::clone(&self.worker.clock),
            failures: snapshot.failures_at(item),
            first_at: snapshot.first_attempt_at(item),
            ready_since: snapshot.ready_since(item),
            last_error: snapshot.failures.get(item).map(|failures| failures.latest.message.clone()),
            lost: (lost >= max_lost).then_some(lost),
            heartbeats: Arc::clone(&heartbeats),
            retry: self.worker.config.retry.clone(),
        };
        let result = tokio::select! {
            biased;
            result = self.workflow.attempt(task).instrument(span.span.clone()) => result,
            never = self.cancel_when_ended(&cancel) => match never {},
            never = self.stop_when_told(item, &cancel, &stop) => match never {},
            never = self.keep_beats(&beats) => match never {},
        };
        if result.as_ref().is_ok_and(|result| result.cancelled || result.retry.is_some()) {
            self.keep_last_beat(&beats).await;
        }
        result
    }

    /// The outcome of an attempt at a node that runs again.
    fn retried(&self, id: &AttemptId, began: Timestamp, now: Timestamp, retry: RetryOf) -> EncodedOutcome {
        let (run, node, attempt) = (self.run, &id.node, i64::from(id.number));
        match retry {
            RetryOf::After(error, delay) => {
                let (next, delay) = (NextTry::At { due: now.after(delay), began }, Rounded(delay));
                tracing::warn!(%run, node, attempt, %error, %delay, "node failed, trying it again");
                EncodedOutcome::Retry(next, id.error(&error))
            }
            RetryOf::WhenAsked(error, note) => {
                tracing::warn!(%run, node, attempt, %error, "node failed, and waits for a person: see `jetway status`");
                let note = if note.is_empty() { note } else { format!("; {note}") };
                let error = id.error_of_kind(error.kind(), format!("{error}{note}"));
                EncodedOutcome::Retry(NextTry::WhenAsked { began }, error)
            }
        }
    }

    /// Ends an attempt that was stopped.
    pub(super) async fn stop_attempt(
        &self,
        next: PendingAttempt,
        span: &StepSpan,
    ) -> Result<NextAction, BackendError> {
        let tracer = &*self.worker.tracer;
        let times = span.times(tracer);
        if self.cancel.is_cancelled() {
            tracer.step_timed(span, times);
            tracer.step_ended(span, "given_back");
            return Ok(NextAction::Nak);
        }
        let ended = self.worker.snapshots.load(self.run, self.delivery.ticket.seen()).await;
        self.discard_span(span, times, ended.as_ref().ok().and_then(Option::as_ref));
        let is_cancelled =
            |latest: &CachedSnapshot| self.is_of_ticket(latest) && latest.snapshot.is_cancelled(&next.item);
        if let Some(cached) = ended?.filter(is_cancelled) {
            return Ok(NextAction::Attempt(PendingAttempt { cached, ..next }));
        }
        self.recover(&next.cached).await?;
        Ok(self.let_go(&next.cached))
    }

    /// Ends the span of an attempt that is not committed. If its run has ended, its span ends with it.
    pub(super) fn discard_span(&self, span: &StepSpan, times: SpanTimes, latest: Option<&CachedSnapshot>) {
        let ended = latest.filter(|latest| self.is_of_ticket(latest) && latest.snapshot.status.is_terminal());
        let times = ended.map_or(times, |ended| times.not_after(ended.snapshot.span_end_micros()));
        self.worker.tracer.step_timed(span, times);
        self.worker.tracer.step_ended(span, "discarded");
    }

    /// Cancels the attempt when its run has ended: its outcome would be discarded.
    async fn cancel_when_ended(&self, attempt: &CancellationToken) -> Infallible {
        sleep(WATCH_AFTER).await;
        loop {
            match self.has_ended().await {
                Ok(true) => {
                    attempt.cancel();
                    return pending().await;
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(run = %self.run, %error, "cannot tell whether the run has ended");
                }
            }
            sleep(MAX_PAUSE.mul_f64(rand::random_range(0.5..1.0))).await;
        }
    }

    /// Waits for the end of the run, for a limited time. Any client may publish a message that looks like a result, so the
    /// record has to agree.
    async fn has_ended(&self) -> Result<bool, BackendError> {
        let Self { worker, run, .. } = self;
        let incarnation = self.chain.unwrap_or(self.delivery.ticket.incarnation);
        if worker.backend.done(run, WantedResult::Of(incarnation), RESULT_WAIT).await?.is_none() {
            return Ok(false);
        }
        let latest = worker.snapshots.load(run, self.delivery.ticket.seen()).await?;
        Ok(latest.is_none_or(|cached| !self.is_of_ticket(&cached) || cached.snapshot.status.is_terminal()))
    }
}

/// The outcome of an attempt that requests child runs, and these.
fn requested(
    request: ChildRequest,
    ended: Vec<EndedChild>,
    new_child: impl Fn(ChildSpec) -> NewChild,
) -> Option<(EncodedOutcome, Requested)> {
    match request {
        ChildRequest::One(spec) => {
            let awaits = EncodedOutcome::Await(spec.wanted());
            Some((awaits, Requested::One(Box::new(new_child(spec)))))
        }
        ChildRequest::Many(ManySpec { count, bound, fail_fast, named }) => {
            let wanted = named.iter().map(|(position, spec)| (*position, spec.wanted())).collect();
            let wanted = ManyWanted { count, bound, fail_fast, named: wanted, ended };
            let children = named.into_iter().map(|(position, spec)| (position, new_child(spec)));
            Some((EncodedOutcome::AwaitMany(wanted), Requested::Many(children.collect())))
        }
        // It is part of the outcome.
        ChildRequest::Detached(_) => None,
    }
}
