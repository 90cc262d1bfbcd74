//! One attempt: the node runs. It is stopped when the worker has to stop or the run ends.

use super::session::{NextAction, PendingAttempt, TicketSession};
use crate::{
    backend::{BackendError, BackendErrorKind},
    inputs::ReadyItem,
    starts::NewChild,
    trace::StepSpan,
};
use jetway_core::step::{AttemptResult, ChildResult, Task};
use jetway_state::{
    Timestamp,
    run::{AttemptReport, EncodedOutcome, Parent, RunError},
};
use std::{convert::Infallible, future::pending, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// A node that runs for this long is stopped when its run ends. Shorter ones are not watched, and cost nothing.
const WATCH_AFTER: Duration = Duration::from_secs(1);

/// How long one call waits for the end of a run.
const RESULT_WAIT: Duration = Duration::from_secs(600);

/// The longest pause between two of these calls.
const MAX_PAUSE: Duration = Duration::from_secs(10);

impl TicketSession<'_> {
    /// Runs the node. `None` if the attempt was stopped because the worker has to stop or the run has ended.
    pub(super) async fn attempt(
        &self,
        next: &PendingAttempt,
        ready: ReadyItem,
        child: Option<ChildResult>,
        span: &StepSpan,
    ) -> Result<Option<(AttemptReport, Option<NewChild>)>, BackendError> {
        jetway_state::hop!("TicketSession::attempt");
        let node = ready.node.clone();
        let max_attempts = self.worker.config.max_attempts;
        let result = if next.attempt > max_attempts {
            too_many_attempts(next, &node, max_attempts)
        } else {
            self.run_node(next, ready, child, span).await?
        };
        if result.cancelled {
            return Ok(None);
        }
        let child = result.requested_child.map(|spec| {
            let (run, item, build) = (self.run.clone(), next.item.clone(), self.workflow.fingerprint());
            let parent = Parent { run, item, node: node.clone(), build };
            NewChild::new(spec, parent, &next.cached.snapshot.trace, span)
        });
        let produced = match &child {
            None => result.produced,
            Some(child) => EncodedOutcome::Await(child.run.clone()),
        };
        let report = AttemptReport {
            item: next.item.clone(),
            node,
            ticket_item: self.ticket_item().clone(),
            number: next.attempt,
            timestamp: self.worker.clock.now(),
            span: span.id,
            produced,
            context: result.context,
        };
        Ok(Some((report, child)))
    }

    async fn run_node(
        &self,
        next: &PendingAttempt,
        ready: ReadyItem,
        child: Option<ChildResult>,
        span: &StepSpan,
    ) -> Result<AttemptResult, BackendError> {
        let ReadyItem { node, input, .. } = ready;
        let task = Task {
            run: self.run.clone(),
            item: next.item.clone(),
            node: node.clone(),
            attempt: next.attempt,
            input,
            context: next.cached.snapshot.context.clone(),
            timeout: self.worker.config.step_timeout,
            cancel: self.cancel.child_token(),
            child,
        };
        let (started_at, cancel) = (next.cached.snapshot.started_at, task.cancel.clone());
        let result = tokio::select! {
            biased;
            result = self.workflow.attempt(task).instrument(span.span.clone()) => result,
            never = self.cancel_when_ended(started_at, &cancel) => match never {},
        };
        result.map_err(|error| {
            let message = format!("run {}: this build cannot run node {node:?}", self.run);
            BackendError::new(BackendErrorKind::Corrupt, message).caused_by(error)
        })
    }

    /// Ends an attempt that was stopped.
    pub(super) async fn stop_attempt(&self, span: &StepSpan) -> Result<NextAction, BackendError> {
        if self.cancel.is_cancelled() {
            self.worker.tracer.step_ended(span, "given_back");
            return Ok(NextAction::Nak);
        }
        self.worker.tracer.step_ended(span, "discarded");
        self.recover().await?;
        Ok(NextAction::Ack)
    }

    /// Cancels the attempt when its run has ended: its outcome would be discarded.
    async fn cancel_when_ended(&self, started_at: Timestamp, attempt: &CancellationToken) -> Infallible {
        sleep(WATCH_AFTER).await;
        loop {
            match self.has_ended(started_at).await {
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
    async fn has_ended(&self, started_at: Timestamp) -> Result<bool, BackendError> {
        let Self { worker, run, .. } = self;
        if worker.backend.done(run, started_at, RESULT_WAIT).await?.is_none() {
            return Ok(false);
        }
        Ok(worker.snapshots.load(run).await?.is_none_or(|cached| cached.snapshot.status.is_terminal()))
    }
}

fn too_many_attempts(next: &PendingAttempt, node: &str, max: u32) -> AttemptResult {
    let error = RunError {
        item: Some(next.item.clone()),
        node: Some(node.to_owned()),
        attempt: next.attempt,
        kind: "worker_lost".to_owned(),
        message: format!(
            "{max} attempts ended with the loss of their worker: the node seems to crash its host"
        ),
    };
    AttemptResult {
        produced: EncodedOutcome::Failed(error),
        context: None,
        cancelled: false,
        requested_child: None,
    }
}
