//! What a run within this process does while all its items wait: it waits for the first time that comes, and for signals. And the
//! end at its deadline.

use super::LocalRun;
use crate::{Context, Workflow, WorkflowCtx, clock::until, signal_sender::SignalSender};
use jetway_state::{
    CommitId, Error, Timestamp,
    run::{Delivered, Wait, deliver},
};
use std::future::pending;

impl<C: Context, W: Workflow<C>> LocalRun<'_, C, W> {
    /// Applies the signals that were sent since the last step.
    pub(super) fn take_signals(&mut self, ctx: &WorkflowCtx<C>, now: Timestamp) {
        let Some(sender) = ctx.signals() else { return };
        let (store, signals) = sender.take(now);
        if signals.is_empty() {
            return;
        }
        let delivered = deliver(self.snapshot.clone(), store, &signals, CommitId::default(), now);
        let Delivered { applied, verdicts } = delivered;
        for (signal, verdict) in signals.iter().zip(verdicts).filter(|(_, verdict)| !verdict.is_accepted()) {
            tracing::warn!(
                signal = signal.name,
                why = verdict.as_str(),
                "a signal to a run in this process is lost"
            );
        }
        if let Some(applied) = applied {
            self.snapshot = applied.snapshot;
            self.add_waiting();
        }
    }

    /// The error of a run that is not done at its deadline.
    pub(super) fn check_deadline(&self, now: Timestamp) -> Result<(), Error> {
        match self.snapshot.runs_until() {
            Some(deadline) if deadline <= now => Err(Error::Deadline(deadline)),
            _ => Ok(()),
        }
    }

    /// Polls an attempt until it ends, or drops it at the deadline of the run.
    pub(super) async fn until_deadline<T>(
        &self,
        ctx: &WorkflowCtx<C>,
        attempt: impl Future<Output = T>,
    ) -> Result<T, Error> {
        let Some(deadline) = self.snapshot.runs_until() else { return Ok(attempt.await) };
        tokio::select! {
            biased;
            ended = attempt => Ok(ended),
            () = until(&**ctx.clock(), deadline) => Err(Error::Deadline(deadline)),
        }
    }

    /// Waits until an item may be due. `false` if none waits for anything.
    pub(super) async fn wait(&self, ctx: &WorkflowCtx<C>, now: Timestamp) -> Result<bool, Error> {
        let waits = self.snapshot.waits.values();
        let waits_for_signals =
            waits.into_iter().any(|wait| matches!(wait, Wait::Signal(wait) if !wait.is_over(now)));
        let (due, sender) = (self.snapshot.next_due(now), ctx.signals());
        if due.is_none() && !waits_for_signals {
            return Ok(false);
        }
        if due.is_none() && sender.is_none() {
            return Err(nobody_sends());
        }
        let time = async {
            match due {
                Some(due) => ctx.clock().sleep_until(due).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = ctx.cancel_token().cancelled() => return Err(Error::Cancelled),
            () = sent(sender.filter(|_| waits_for_signals)) => {}
            () = time => {}
        }
        Ok(true)
    }
}

async fn sent(sender: Option<&SignalSender>) {
    match sender {
        Some(sender) => sender.sent().await,
        None => pending().await,
    }
}

/// The error of a run that waits for a signal which cannot come.
fn nobody_sends() -> Error {
    Error::Generic(
        "the run waits for a signal, and nobody can send it one: give its context a sender with `WorkflowCtx::with_signals`, or the \
         wait a deadline"
            .to_owned(),
    )
}
