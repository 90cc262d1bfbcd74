//! Queries about runs and workers.

use super::DistributedOrchestrator;
use crate::{
    Context, Merge, WorkItem as _, Workflow,
    stores::{
        ContextStore, LivenessStatus, LivenessStoreError, RunInfo, RunMetrics, RunStatus, WorkItemState,
        WorkItemStateStoreError, WorkQueue, WorkerHealth, WorkflowError, types::date_time,
    },
    workflow::over_stores::pending_item,
};
use jetway_state::{
    Error,
    run::{RunError, Snapshot},
};
use std::time::Duration;

impl<W, C, Q, RIS, MS, ES, LS, WIS, CS> DistributedOrchestrator<W, C, Q, RIS, MS, ES, LS, WIS, CS>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C, WorkItem: 'static>,
    Q: WorkQueue<C, W::WorkItem>,
    CS: ContextStore<C>,
{
    /// The status of a run.
    ///
    /// # Errors
    /// [`Error::NotStarted`] where there is no such run, or the error of a store.
    pub async fn status(&self, run_id: &str) -> Result<RunStatus, Error> {
        Ok(self.info(run_id).await?.status)
    }

    /// The runs with this status, or all runs. The list may lag behind [`status`](Self::status).
    ///
    /// # Errors
    /// The error of the store.
    pub async fn list_runs(&self, filter: Option<RunStatus>) -> Result<Vec<RunInfo>, Error> {
        Ok(self.views.runs.list_runs(filter).await?)
    }

    /// Waits until a run has ended, and returns it with its output. Reads its status every `poll`, at most once a
    /// millisecond. A paused run has not ended: put a timeout around this where nobody may resume it.
    ///
    /// # Errors
    /// [`Error::NotStarted`] where there is no such run, or it has expired. The error of a store.
    pub async fn wait_for_completion(&self, run_id: &str, poll: Duration) -> Result<RunInfo, Error> {
        loop {
            let run = self.info(run_id).await?;
            if run.status.is_terminal() {
                return Ok(run);
            }
            tokio::time::sleep(poll.max(Duration::from_millis(1))).await;
        }
    }

    /// The failed attempts of a run, including those that were retried. The failure that ended the run is included even
    /// where the error store does not have it. That of a run which ended without an output has an empty `work_item`: no
    /// item of it failed.
    ///
    /// # Errors
    /// The error of a store.
    pub async fn errors(&self, run_id: &str) -> Result<Vec<WorkflowError>, Error> {
        let snapshot = self.known_snapshot(run_id).await?;
        let mut errors = match &snapshot {
            Some(snapshot) => self.views.errors.get_errors_of(run_id, snapshot.incarnation).await?,
            None => self.views.errors.get_errors(run_id).await?,
        };
        if let Some(snapshot) = snapshot
            && let Some(last) = &snapshot.error
        {
            let work_item = self.failed_item(&snapshot, last).await?;
            let is_last = |known: &WorkflowError| {
                known.work_item == work_item && RunError::bounded(known.error.clone()) == last.message
            };
            if !errors.iter().any(is_last) {
                let timestamp = snapshot.finished_at.map(date_time).unwrap_or_default();
                let attempt = usize::try_from(last.attempt).unwrap_or(usize::MAX);
                errors.push(WorkflowError { work_item, error: last.message.clone(), attempt, timestamp });
            }
        }
        Ok(errors)
    }

    /// The item whose failure ended the run, in its `Display` form; its node where the store of states does not have it.
    async fn failed_item(&self, snapshot: &Snapshot, last: &RunError) -> Result<String, Error> {
        let Some(id) = last.item.as_ref().filter(|_| last.kind != Error::NoOutput.kind()) else {
            return Ok(String::new());
        };
        let known = self.views.items.get_all(snapshot.run_id.as_str()).await?;
        let id = id.in_incarnation(&snapshot.incarnation);
        let item =
            known.into_iter().map(|state| state.work_item).find(|item| item.instance_id() == id.as_str());
        Ok(item.map_or_else(|| last.node.clone().unwrap_or_default(), |item| item.to_string()))
    }

    /// The context of a run after its last committed step.
    ///
    /// # Errors
    /// [`Error::NotStarted`] where there is no such run, or the error of the store.
    pub async fn context(&self, run_id: &str) -> Result<C, Error> {
        self.contexts.get(run_id).await?.ok_or(Error::NotStarted)
    }

    /// The metrics of a run. They come from its snapshot where there is one; retries come from the metrics store.
    ///
    /// # Errors
    /// [`Error::NotStarted`] where there is no such run, or the error of a store.
    pub async fn metrics(&self, run_id: &str) -> Result<RunMetrics, Error> {
        let metrics = &self.views.metrics;
        match self.snapshot(run_id).await? {
            Some((snapshot, _)) => {
                let kept = metrics.get_metrics_of(run_id, snapshot.incarnation).await?;
                Ok(kept.unwrap_or_default().at_least(RunMetrics::from(&snapshot)))
            }
            None => metrics.get_metrics(run_id).await?.ok_or(Error::NotStarted),
        }
    }

    /// The work items of a run that are in the queue, including leased ones. For their status see
    /// [`list_work_items`](Self::list_work_items).
    ///
    /// # Errors
    /// The error of the queue.
    pub async fn pending_work(&self, run_id: &str) -> Result<Vec<W::WorkItem>, Error> {
        let mut pending = self.queue.pending_work(run_id).await?;
        if let Some(snapshot) = self.known_snapshot(run_id).await? {
            pending.retain(|item| pending_item::may_belong_to(&snapshot, item));
        }
        Ok(pending)
    }

    /// The work items of a run that workers have started, with their status and attempts.
    ///
    /// # Errors
    /// The error of the store.
    pub async fn list_work_items(
        &self,
        run_id: &str,
    ) -> Result<Vec<WorkItemState<W::WorkItem>>, WorkItemStateStoreError> {
        let mut items = self.views.items.get_all(run_id).await?;
        let snapshot = self.known_snapshot(run_id).await;
        if let Some(snapshot) = snapshot.map_err(|error| WorkItemStateStoreError::Io(error.to_string()))? {
            items.retain(|state| pending_item::may_belong_to(&snapshot, &state.work_item));
        }
        Ok(items)
    }

    /// The snapshot of a run; `None` where there is none, or where the context store keeps no snapshots.
    async fn known_snapshot(&self, run_id: &str) -> Result<Option<Snapshot>, Error> {
        match self.snapshot(run_id).await {
            Err(Error::NotStarted) => Ok(None),
            found => Ok(found?.map(|(snapshot, _)| snapshot)),
        }
    }

    /// The health of all workers. The same as [`list_worker_health`](Self::list_worker_health).
    ///
    /// # Errors
    /// The error of the store.
    pub async fn liveness(&self) -> Result<Vec<WorkerHealth>, Error> {
        Ok(self.list_worker_health().await?)
    }

    /// The ids of all workers that have ever sent a heartbeat.
    ///
    /// # Errors
    /// The error of the store.
    pub async fn list_workers(&self) -> Result<Vec<usize>, LivenessStoreError> {
        self.views.liveness.list_workers().await
    }

    /// The health of all workers.
    ///
    /// # Errors
    /// The error of the store.
    pub async fn list_worker_health(&self) -> Result<Vec<WorkerHealth>, LivenessStoreError> {
        self.views.liveness.list_health().await
    }

    /// The liveness of these workers, by the age of their last heartbeat: alive below `threshold`, stale below three
    /// times `threshold`, dead otherwise. A worker without a heartbeat is dead, and so is one whose heartbeat cannot be
    /// read, which is logged. A worker sends a heartbeat at least once a second, so `threshold` should be longer.
    ///
    /// A heartbeat in the future, from a clock that is ahead, counts as new.
    pub async fn check_worker_liveness(
        &self,
        worker_ids: &[usize],
        threshold: Duration,
    ) -> Vec<(usize, LivenessStatus)> {
        let mut checked = Vec::with_capacity(worker_ids.len());
        for worker in worker_ids {
            let last = self.views.liveness.get_heartbeat(*worker).await.unwrap_or_else(|error| {
                tracing::warn!(worker, %error, "cannot read the heartbeat of a worker");
                None
            });
            let age = last.map(|last| (self.now() - last).to_std().unwrap_or_default());
            checked.push((*worker, liveness(age, threshold)));
        }
        checked
    }
}

fn liveness(age: Option<Duration>, threshold: Duration) -> LivenessStatus {
    match age {
        Some(age) if age < threshold => LivenessStatus::Alive,
        Some(age) if age < threshold.saturating_mul(3) => LivenessStatus::Stale,
        Some(_) | None => LivenessStatus::Dead,
    }
}
