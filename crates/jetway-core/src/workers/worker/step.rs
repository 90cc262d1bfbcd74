//! The callbacks of a worker's step: they write the views, count attempts and decide about retries.

use super::heartbeat::Heartbeat;
use crate::{
    Context, WorkItem, Workflow,
    clock::Clock,
    nodes::retry::RetryPolicy,
    stores::{
        RunMetrics, RunStatus, WorkItemStatus, WorkerStatus, WorkflowError,
        types::date_time,
        views::{Views, log_failure},
    },
    workflow::callbacks::{ItemProcessedOutcome, RunState, StepCallbacks},
};
use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use jetway_state::{Error, Incarnation, run::Snapshot};
use serde_json::Value;
use std::{
    fmt::Display,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// One step of a worker.
pub(super) struct WorkerStep<WI> {
    pub(super) views: Views<WI>,
    pub(super) heartbeat: Heartbeat,
    pub(super) retry: Option<RetryPolicy>,
    pub(super) limit: Option<Duration>,
    pub(super) clock: Arc<dyn Clock>,
    /// Whether the context store keeps snapshots. Where it does not, the status of a run is in its view alone.
    pub(super) keeps_snapshots: bool,
    pub(super) abort: CancellationToken,
    /// Whether an item was leased.
    pub(super) leased: AtomicBool,
    /// Whether its node failed.
    pub(super) failed: AtomicBool,
    /// The number of the attempt.
    pub(super) attempt: AtomicU32,
    /// The incarnation of the run, where the context store keeps snapshots.
    pub(super) incarnation: OnceLock<Incarnation>,
}

impl<WI: WorkItem> WorkerStep<WI> {
    /// Logs and counts a view that could not be written. The step continues without it.
    fn check_view<T, E: Display>(&self, result: &Result<T, E>, view: &str, run_id: &str) {
        if !log_failure(result, view, run_id) {
            self.heartbeat.count_error();
        }
    }

    async fn set_status(&self, run_id: &str, item: &WI, status: WorkItemStatus) {
        let set = self.views.items.set_status(run_id, item, status).await;
        self.check_view(&set, "work item", run_id);
    }

    async fn record_error(&self, run_id: &str, failed: WorkflowError) {
        let errors = &self.views.errors;
        let recorded = match self.incarnation.get() {
            Some(incarnation) => errors.record_error_of(run_id, *incarnation, failed).await,
            None => errors.record_error(run_id, failed).await,
        };
        self.check_view(&recorded, "error", run_id);
    }

    async fn add_metrics(&self, run_id: &str, more: RunMetrics) {
        let metrics = &self.views.metrics;
        let added = match self.incarnation.get() {
            Some(incarnation) => metrics.add_metrics_of(run_id, *incarnation, more).await,
            None => metrics.add_metrics(run_id, more).await,
        };
        self.check_view(&added, "metrics", run_id);
    }

    /// Writes the outcome of an item to the views of a run without a snapshot. Its first output or failure ends the
    /// run, because nothing knows whether other branches are open.
    async fn record_outcome(&self, run_id: &str, outcome: ItemProcessedOutcome) -> Result<(), Error> {
        let (completed, failed) = match outcome {
            ItemProcessedOutcome::Error(_) => (0, 1),
            ItemProcessedOutcome::SuccessTerminal(_) | ItemProcessedOutcome::SuccessNonTerminal => (1, 0),
        };
        self.add_metrics(run_id, RunMetrics { total_work_items: 1, completed, failed, retries: 0 }).await;
        match outcome {
            ItemProcessedOutcome::SuccessTerminal(output) => {
                self.record_end(run_id, RunStatus::Completed, Some(output)).await
            }
            ItemProcessedOutcome::Error(_) => self.record_end(run_id, RunStatus::Failed, None).await,
            ItemProcessedOutcome::SuccessNonTerminal => Ok(()),
        }
    }

    /// Writes the end of a run without a snapshot. The end is stored nowhere else, so a failed write is retried. An
    /// error lets the item be delivered again.
    async fn record_end(&self, run_id: &str, status: RunStatus, output: Option<Value>) -> Result<(), Error> {
        let write = || async {
            let finished_at = date_time(self.clock.now());
            let ended = self.views.runs.finish_run(run_id, status, output.clone(), finished_at).await;
            self.check_view(&ended, "run", run_id);
            match ended.map_err(Error::from) {
                // A run that is not listed has no view that could be written.
                Ok(_) | Err(Error::NotStarted) => Ok(()),
                Err(error) => Err(error),
            }
        };
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(1))
            .with_max_times(4)
            .with_jitter();
        let abort = self.abort.clone();
        let sleep = move |delay| {
            let aborted = abort.clone().cancelled_owned();
            async move {
                tokio::select! {
                    () = aborted => {}
                    () = tokio::time::sleep(delay) => {}
                }
            }
        };
        write.retry(backoff).sleep(sleep).when(|_| !self.abort.is_cancelled()).await
    }
}

#[async_trait]
impl<C, W> StepCallbacks<C, W> for WorkerStep<W::WorkItem>
where
    C: Context,
    W: Workflow<C>,
{
    /// Counts the attempt before it begins. An attempt that cannot be counted does not begin: otherwise retries would
    /// not be bounded.
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
        self.heartbeat
            .update(|health| {
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
            // The node failed, and an `on_failure` edge was taken.
            _ if self.failed.load(Relaxed) => WorkItemStatus::PermanentlyFailed,
            ItemProcessedOutcome::SuccessTerminal(_) | ItemProcessedOutcome::SuccessNonTerminal => {
                WorkItemStatus::Completed
            }
        };
        self.set_status(&run_id, &item, status).await;
        if !self.keeps_snapshots {
            return self.record_outcome(&run_id, outcome).await;
        }
        Ok(())
    }

    fn on_leased(&self, _run_id: &str) {
        self.leased.store(true, Relaxed);
    }

    fn on_incarnation(&self, incarnation: Incarnation) {
        self.incarnation.get_or_init(|| incarnation);
    }

    fn abort_token(&self) -> CancellationToken {
        self.abort.clone()
    }

    fn attempt(&self) -> u32 {
        self.attempt.load(Relaxed)
    }

    fn step_timeout(&self) -> Option<Duration> {
        self.limit
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    async fn on_failed_attempt(
        &self,
        run_id: &str,
        item: &W::WorkItem,
        error: &Error,
    ) -> Result<Option<Duration>, Error> {
        self.failed.store(true, Relaxed);
        self.heartbeat.count_error();
        let attempt = usize::try_from(self.attempt.load(Relaxed)).unwrap_or(usize::MAX);
        let (work_item, timestamp) = (item.to_string(), date_time(self.clock.now()));
        let failed = WorkflowError { work_item, error: error.to_string(), attempt, timestamp };
        self.record_error(run_id, failed).await;
        let policy = self.retry.as_ref().filter(|policy| policy.should_retry(error, attempt));
        if policy.is_some() {
            self.set_status(run_id, item, WorkItemStatus::WaitingRetry).await;
            self.add_metrics(run_id, RunMetrics { retries: 1, ..RunMetrics::default() }).await;
        }
        Ok(policy.map(|policy| policy.backoff_duration(attempt)))
    }

    async fn on_committed(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let updated = self.views.update(snapshot).await;
        self.check_view(&updated, "run", snapshot.run_id.as_str());
        updated
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
