//! What is asked about runs and workers.

use super::DistributedOrchestrator;
use crate::{
    Context, Merge, Workflow,
    stores::{
        ContextStore, LivenessStatus, LivenessStoreError, RunInfo, RunMetrics, RunStatus, WorkItemState,
        WorkItemStateStoreError, WorkQueue, WorkerHealth, WorkflowError,
    },
};
use chrono::Utc;
use jetway_state::Error;
use std::time::Duration;

impl<W, C, Q, RIS, MS, ES, LS, WIS, CS> DistributedOrchestrator<W, C, Q, RIS, MS, ES, LS, WIS, CS>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C, WorkItem: 'static>,
    Q: WorkQueue<C, W::WorkItem>,
    CS: ContextStore<C>,
{
    /// Where a run stands.
    ///
    /// # Errors
    /// [`Error::NotStarted`] where there is no such run, and what the stores failed with.
    pub async fn status(&self, run_id: &str) -> Result<RunStatus, Error> {
        Ok(self.info(run_id).await?.status)
    }

    /// The runs that are listed with this status, or all of them. The list may lag behind [`status`](Self::status).
    ///
    /// # Errors
    /// What the store failed with.
    pub async fn list_runs(&self, filter: Option<RunStatus>) -> Result<Vec<RunInfo>, Error> {
        Ok(self.views.runs.list_runs(filter).await?)
    }

    /// Waits until a run has ended, looking again every `poll`. A paused run is waited for; put a time limit around
    /// this where nobody may resume it. What is returned has the output.
    ///
    /// # Errors
    /// [`Error::NotStarted`] where there is no such run, or none any more, and what the stores failed with.
    pub async fn wait_for_completion(&self, run_id: &str, poll: Duration) -> Result<RunInfo, Error> {
        loop {
            let run = self.info(run_id).await?;
            if run.status.is_terminal() {
                return Ok(run);
            }
            tokio::time::sleep(poll.max(Duration::from_millis(1))).await;
        }
    }

    /// The failed attempts of a run, those that were tried again included. The failure that ended the run is among
    /// them also where it could not be recorded.
    ///
    /// # Errors
    /// What the stores failed with.
    pub async fn errors(&self, run_id: &str) -> Result<Vec<WorkflowError>, Error> {
        let mut errors = self.views.errors.get_errors(run_id).await?;
        let record = match self.record(run_id).await {
            Err(Error::NotStarted) => None,
            record => record?,
        };
        if let Some((snapshot, _)) = record
            && let Some(last) = &snapshot.error
            && !errors.iter().any(|known| known.error == last.message)
        {
            let timestamp = RunInfo::from(&snapshot).finished_at.unwrap_or_default();
            let work_item = last.node.clone().unwrap_or_default();
            let attempt = usize::try_from(last.attempt).unwrap_or(usize::MAX);
            errors.push(WorkflowError { work_item, error: last.message.clone(), attempt, timestamp });
        }
        Ok(errors)
    }

    /// The context of a run as the last committed step left it.
    ///
    /// # Errors
    /// [`Error::NotStarted`] where there is no such run, and what the store failed with.
    pub async fn context(&self, run_id: &str) -> Result<C, Error> {
        self.contexts.get(run_id).await?.ok_or(Error::NotStarted)
    }

    /// The numbers of a run. They are those of its record, where there is one; retries come from the store.
    ///
    /// # Errors
    /// [`Error::NotStarted`] where there is no such run, and what the stores failed with.
    pub async fn metrics(&self, run_id: &str) -> Result<RunMetrics, Error> {
        let kept = self.views.metrics.get_metrics(run_id).await?;
        match self.record(run_id).await? {
            Some((snapshot, _)) => Ok(kept.unwrap_or_default().at_least(RunMetrics::from(&snapshot))),
            None => kept.ok_or(Error::NotStarted),
        }
    }

    /// The work items of a run that are in the queue, those that workers hold included. See
    /// [`list_work_items`](Self::list_work_items) for which are in progress.
    ///
    /// # Errors
    /// What the queue failed with.
    pub async fn pending_work(&self, run_id: &str) -> Result<Vec<W::WorkItem>, Error> {
        Ok(self.queue.pending_work(run_id).await?)
    }

    /// The work items of a run that workers ever began, and how they fare.
    ///
    /// # Errors
    /// What the store failed with.
    pub async fn list_work_items(
        &self,
        run_id: &str,
    ) -> Result<Vec<WorkItemState<W::WorkItem>>, WorkItemStateStoreError> {
        self.views.items.get_all(run_id).await
    }

    /// How the workers are.
    ///
    /// # Errors
    /// What the store failed with.
    pub async fn liveness(&self) -> Result<Vec<WorkerHealth>, Error> {
        Ok(self.list_worker_health().await?)
    }

    /// The workers that ever gave a sign of life.
    ///
    /// # Errors
    /// What the store failed with.
    pub async fn list_workers(&self) -> Result<Vec<usize>, LivenessStoreError> {
        self.views.liveness.list_workers().await
    }

    /// How the workers are.
    ///
    /// # Errors
    /// What the store failed with.
    pub async fn list_worker_health(&self) -> Result<Vec<WorkerHealth>, LivenessStoreError> {
        self.views.liveness.list_health().await
    }

    /// Whether these workers still give signs of life: alive where the last one is younger than `threshold`, stale
    /// where it is younger than three times that, dead otherwise, where there is none, and where the store does not
    /// answer, which is logged. A worker gives one every second at least, so a threshold should be longer.
    ///
    /// A sign that a clock ahead of this one dated into the future is recent.
    pub async fn check_worker_liveness(
        &self,
        worker_ids: &[usize],
        threshold: Duration,
    ) -> Vec<(usize, LivenessStatus)> {
        let mut checked = Vec::with_capacity(worker_ids.len());
        for worker in worker_ids {
            let last = self.views.liveness.get_heartbeat(*worker).await.unwrap_or_else(|error| {
                tracing::warn!(worker, %error, "the signs of life of a worker could not be read");
                None
            });
            let age = last.map(|last| (Utc::now() - last).to_std().unwrap_or_default());
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
