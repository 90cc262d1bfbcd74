//! One attempt at an item: its node is run, and cut short where the worker is to stop or the run has ended.

use super::{
    Engine, StepSpan,
    children::NewChild,
    inputs::Ready,
    work::{PendingAttempt, TicketSession},
};
use crate::backend::{BackendError, BackendErrorKind};
use jetway_core::step::{AttemptResult, ChildEnd, Task};
use jetway_state::{
    RunKey, Timestamp,
    run::{AttemptReport, EncodedOutcome, Parent, RunError},
};
use std::{convert::Infallible, future::pending, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// A node that runs for as long is told when its run ends. Quicker ones cost nothing.
const LONG: Duration = Duration::from_secs(1);

/// How long the end of a run is waited for before the wait begins anew.
const WAIT: Duration = Duration::from_secs(600);

/// The pause before the next look at whether the run has ended.
const PAUSE: Duration = Duration::from_secs(10);

impl Engine {
    /// Runs the node. `None` where the attempt was cut short, since the worker is to stop or the run has ended.
    pub(super) async fn attempt_once(
        &self,
        session: &TicketSession<'_>,
        next: &PendingAttempt,
        ready: Ready,
        child: Option<ChildEnd>,
        span: &StepSpan,
    ) -> Result<Option<(AttemptReport, Option<NewChild>)>, BackendError> {
        let node = ready.node.clone();
        let tried = if next.attempt > self.config.max_attempts {
            lost_too_often(next, &node, self.config.max_attempts)
        } else {
            let task = Task {
                run: session.run.clone(),
                item: next.item.clone(),
                node: ready.node,
                attempt: next.attempt,
                input: ready.input,
                context: next.cached.snapshot.context.clone(),
                timeout: self.config.step_timeout,
                cancel: session.cancel.child_token(),
                child,
            };
            let (since, cut) = (next.cached.snapshot.started_at, task.cancel.clone());
            let attempt = tokio::select! {
                biased;
                attempt = session.workflow.attempt(task).instrument(span.span.clone()) => attempt,
                never = self.cut_short_when_ended(session.run, since, &cut) => match never {},
            };
            attempt.map_err(|error| {
                let what = format!("run {}: node {node:?} cannot be run by this build", session.run);
                BackendError::new(BackendErrorKind::Corrupt, what).caused_by(error)
            })?
        };
        if tried.cancelled {
            return Ok(None);
        }
        let asked = tried.asked.map(|spec| {
            let (run, item, build) = (session.run.clone(), next.item.clone(), session.workflow.fingerprint());
            NewChild::new(
                spec,
                Parent { run, item, node: node.clone(), build },
                &next.cached.snapshot.trace,
                span,
            )
        });
        let produced = match &asked {
            None => tried.produced,
            Some(child) => EncodedOutcome::Await(child.run.clone()),
        };
        let attempt = AttemptReport {
            item: next.item.clone(),
            node,
            ticket_item: session.ticket_item.clone(),
            number: next.attempt,
            timestamp: self.clock.now(),
            span: span.id,
            produced,
            context: tried.context,
        };
        Ok(Some((attempt, asked)))
    }

    /// Cancels the attempt when its run has ended: nothing of it would be committed.
    async fn cut_short_when_ended(
        &self,
        run: &RunKey,
        since: Timestamp,
        attempt: &CancellationToken,
    ) -> Infallible {
        sleep(LONG).await;
        loop {
            match self.has_ended(run, since).await {
                Ok(true) => {
                    attempt.cancel();
                    return pending().await;
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(%run, %error, "cannot tell whether the run of a step has ended")
                }
            }
            sleep(PAUSE.mul_f64(rand::random_range(0.5..1.0))).await;
        }
    }

    /// Waits for the end of a run, for a while. Anybody may have published what looks like its result, so the record has to
    /// say so as well.
    async fn has_ended(&self, run: &RunKey, since: Timestamp) -> Result<bool, BackendError> {
        if self.backend.done(run, since, WAIT).await?.is_none() {
            return Ok(false);
        }
        Ok(self.load(run).await?.is_none_or(|cached| cached.snapshot.status.is_terminal()))
    }
}

fn lost_too_often(next: &PendingAttempt, node: &str, most: u32) -> AttemptResult {
    let error = RunError {
        item: Some(next.item.clone()),
        node: Some(node.to_owned()),
        attempt: next.attempt,
        kind: "worker_lost".to_owned(),
        message: format!(
            "{most} attempts ended with the loss of their worker: the node seems to take its host down"
        ),
    };
    AttemptResult { produced: EncodedOutcome::Failed(error), context: None, cancelled: false, asked: None }
}
