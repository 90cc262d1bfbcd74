//! What a worker does beside the steps that it executes.

use super::heartbeat::Heartbeat;
use crate::{
    Context, WorkItem, Workflow,
    nodes::retry::{BackoffStrategy, RetryError, RetryPolicy},
    stores::{
        RunMetrics, RunStatus, WorkItemStatus, WorkerStatus, WorkflowError,
        views::{Views, written},
    },
    workflow::callbacks::{ItemProcessedOutcome, RunState, StepCallbacks},
};
use async_trait::async_trait;
use chrono::Utc;
use jetway_state::{Error, run::Snapshot};
use serde_json::Value;
use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// One step of a worker: keeps the views, counts attempts, and decides about retries.
pub(super) struct WorkerStep<WI> {
    pub(super) views: Views<WI>,
    pub(super) pulse: Heartbeat,
    pub(super) retry: Option<RetryPolicy>,
    pub(super) limit: Option<Duration>,
    /// Whether there are records to follow; otherwise the views are all there is.
    pub(super) recorded: bool,
    pub(super) give_up: CancellationToken,
    /// Whether there was an item.
    pub(super) taken: AtomicBool,
    /// Whether its node failed.
    pub(super) failed: AtomicBool,
    attempt: AtomicU32,
}

impl<WI: WorkItem> WorkerStep<WI> {
    pub(super) fn new(
        views: Views<WI>,
        pulse: Heartbeat,
        (retry, limit): (Option<RetryPolicy>, Option<Duration>),
        recorded: bool,
        give_up: CancellationToken,
    ) -> Self {
        let (taken, failed, attempt) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU32::new(1));
        Self { views, pulse, retry, limit, recorded, give_up, taken, failed, attempt }
    }

    /// A view that could not be written is said and counted.
    fn note<T, E: std::fmt::Display>(&self, result: &Result<T, E>, what: &str, run_id: &str) {
        if !written(result, what, run_id) {
            self.pulse.error();
        }
    }

    async fn set_status(&self, run_id: &str, item: &WI, status: WorkItemStatus) {
        let set = self.views.items.set_status(run_id, item, status).await;
        self.note(&set, "how a work item fares", run_id);
    }

    async fn add(&self, run_id: &str, more: RunMetrics) {
        self.note(&self.views.metrics.add_metrics(run_id, more).await, "the numbers of a run", run_id);
    }

    /// Without records the first output or failure ends the run: nothing says whether other branches are open.
    async fn ends(&self, run_id: &str, outcome: ItemProcessedOutcome) -> Result<(), Error> {
        let (completed, failed) = match outcome {
            ItemProcessedOutcome::Error(_) => (0, 1),
            ItemProcessedOutcome::SuccessTerminal(_) | ItemProcessedOutcome::SuccessNonTerminal => (1, 0),
        };
        self.add(run_id, RunMetrics { total_work_items: 1, completed, failed, retries: 0 }).await;
        let (status, output) = match outcome {
            ItemProcessedOutcome::SuccessTerminal(output) => (RunStatus::Completed, Some(output)),
            ItemProcessedOutcome::Error(_) => (RunStatus::Failed, None),
            ItemProcessedOutcome::SuccessNonTerminal => return Ok(()),
        };
        self.finish(run_id, status, output).await
    }

    /// Lists the end of a run that has no record: there is nothing else to tell it by. Where the store goes on failing
    /// that is an error, so that the item comes again.
    async fn finish(&self, run_id: &str, status: RunStatus, output: Option<Value>) -> Result<(), Error> {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(1));
        let policy = RetryPolicy::new(5, first, longest, BackoffStrategy::Exponential, RetryError::All);
        let policy = policy.with_jitter(first);
        for attempt in 1_usize.. {
            let ended = self.views.runs.finish_run(run_id, status, output.clone(), Utc::now()).await;
            self.note(&ended, "the end of a run", run_id);
            match ended.map_err(Error::from) {
                // Nobody has listed the run, so nobody waits for its end.
                Ok(_) | Err(Error::NotStarted) => break,
                Err(error) if self.give_up.is_cancelled() || !policy.should_retry(&error, attempt) => {
                    return Err(error);
                }
                Err(_) => {}
            }
            tokio::select! {
                () = self.give_up.cancelled() => {}
                () = tokio::time::sleep(policy.backoff_duration(attempt)) => {}
            }
        }
        Ok(())
    }
}

#[async_trait]
impl<C, W> StepCallbacks<C, W> for WorkerStep<W::WorkItem>
where
    C: Context,
    W: Workflow<C>,
{
    /// The attempt is counted before it is made. One that cannot be counted is not made, or retries would have no end.
    async fn on_started(&self, run_id: String, item: W::WorkItem) -> Result<(), Error> {
        let attempt = self.views.items.increment_attempts(&run_id, &item).await?;
        self.attempt.store(attempt, Relaxed);
        self.set_status(&run_id, &item, WorkItemStatus::InProgress).await;
        let status = match &self.retry {
            Some(policy) if attempt > 1 => {
                WorkerStatus::Retrying(usize::try_from(attempt).unwrap_or(usize::MAX), policy.max_attempts)
            }
            _ => WorkerStatus::InProgress,
        };
        let (item, run) = (Some(item.to_string()), Some(run_id));
        self.pulse
            .tell(|health| {
                (health.status, health.current_work_item, health.current_work_item_run_id) =
                    (status, item, run);
            })
            .await;
        Ok(())
    }

    async fn on_item_processed(
        &self,
        run_id: String,
        item: W::WorkItem,
        outcome: ItemProcessedOutcome,
    ) -> Result<(), Error> {
        let status = match &outcome {
            ItemProcessedOutcome::Error(_) => WorkItemStatus::PermanentlyFailed,
            // The run goes on by a fallback.
            _ if self.failed.load(Relaxed) => WorkItemStatus::PermanentlyFailed,
            ItemProcessedOutcome::SuccessTerminal(_) | ItemProcessedOutcome::SuccessNonTerminal => {
                WorkItemStatus::Completed
            }
        };
        self.set_status(&run_id, &item, status).await;
        if !self.recorded {
            return self.ends(&run_id, outcome).await;
        }
        Ok(())
    }

    fn on_taken(&self, _run_id: &str) {
        self.taken.store(true, Relaxed);
    }

    fn give_up(&self) -> CancellationToken {
        self.give_up.clone()
    }

    fn attempt(&self) -> u32 {
        self.attempt.load(Relaxed)
    }

    fn step_timeout(&self) -> Option<Duration> {
        self.limit
    }

    async fn on_failed_attempt(
        &self,
        run_id: &str,
        item: &W::WorkItem,
        error: &Error,
    ) -> Result<Option<Duration>, Error> {
        self.failed.store(true, Relaxed);
        self.pulse.error();
        let attempt = usize::try_from(self.attempt.load(Relaxed)).unwrap_or(usize::MAX);
        let (work_item, timestamp) = (item.to_string(), Utc::now());
        let record = WorkflowError { work_item, error: error.to_string(), attempt, timestamp };
        self.note(&self.views.errors.record_error(run_id, record).await, "an error", run_id);
        let policy = self.retry.as_ref().filter(|policy| policy.should_retry(error, attempt));
        if policy.is_some() {
            self.set_status(run_id, item, WorkItemStatus::WaitingRetry).await;
            self.add(run_id, RunMetrics { retries: 1, ..RunMetrics::default() }).await;
        }
        Ok(policy.map(|policy| policy.backoff_duration(attempt)))
    }

    async fn on_recorded(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let followed = self.views.follow(snapshot).await;
        self.note(&followed, "a view of a run", snapshot.run_id.as_str());
        followed
    }

    async fn run_state(&self, run_id: &str) -> Result<RunState, Error> {
        let run = self.views.runs.get_run(run_id).await?;
        Ok(match run.map(|run| run.status) {
            Some(RunStatus::Paused) => RunState::Paused,
            Some(RunStatus::Cancelled | RunStatus::Failed) => RunState::Closed,
            Some(RunStatus::Running | RunStatus::Completed) | None => RunState::Open,
        })
    }
}
