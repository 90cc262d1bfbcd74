//! Several workers in one process.

use super::DistributedWorker;
use crate::{Context, ContextStore, Merge, WorkQueue, Workflow, stores::WorkerHealth};
use std::{fmt, time::Duration};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Several workers, each in a task of its own.
///
/// Stopping cuts no step in half. A pool that is dropped takes up no more work, and its tasks end with the steps that
/// are under way.
pub struct WorkerPool<W, C, Q, RIS, MS, ES, LS, WISS, CS>
where
    C: Context,
    W: Workflow<C>,
{
    worker: DistributedWorker<W, C, Q, RIS, MS, ES, LS, WISS, CS>,
    num_workers: usize,
    first_id: usize,
    pub(super) tasks: JoinSet<()>,
    stop: CancellationToken,
    give_up: CancellationToken,
}

impl<W, C, Q, RIS, MS, ES, LS, WISS, CS> WorkerPool<W, C, Q, RIS, MS, ES, LS, WISS, CS>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C, WorkItem: 'static> + 'static,
    Q: WorkQueue<C, W::WorkItem>,
    CS: ContextStore<C> + Clone + 'static,
{
    /// A pool of that many workers with the ids from 0 on. Nothing runs before [`start`](Self::start).
    pub fn new(worker: DistributedWorker<W, C, Q, RIS, MS, ES, LS, WISS, CS>, num_workers: usize) -> Self {
        let (stop, give_up) = (CancellationToken::new(), CancellationToken::new());
        Self { worker, num_workers, first_id: 0, tasks: JoinSet::new(), stop, give_up }
    }

    /// Counts the ids of the workers from `first_id` on, to tell them from those of other processes in the views.
    #[must_use]
    pub fn with_first_id(mut self, first_id: usize) -> Self {
        self.first_id = first_id;
        self
    }

    /// Starts the workers. Does nothing while they run. To be called within a tokio runtime.
    pub fn start(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        if !self.tasks.is_empty() {
            return;
        }
        (self.stop, self.give_up) = (CancellationToken::new(), CancellationToken::new());
        for worker in self.first_id..self.first_id.saturating_add(self.num_workers) {
            let turns = self.worker.work_loop.clone();
            let (stop, give_up) = (self.stop.clone(), self.give_up.clone());
            self.tasks.spawn(async move {
                while !stop.is_cancelled() {
                    turns.turn(worker, &stop, &give_up).await;
                }
            });
        }
    }

    /// Lets every worker finish the step that it is in, and stops them. A node that never ends keeps this waiting, see
    /// [`stop_within`](Self::stop_within).
    pub async fn stop(&mut self) {
        self.stop.cancel();
        self.join().await;
    }

    /// [`stop`](Self::stop), where a step that is not done after `grace` is given up: nothing of it is committed, and
    /// its item goes back into the queue.
    pub async fn stop_within(&mut self, grace: Duration) {
        self.stop.cancel();
        if tokio::time::timeout(grace, self.join()).await.is_err() {
            self.give_up.cancel();
            self.join().await;
        }
    }

    /// Stops the workers as [`stop`](Self::stop) does when it is cancelled, for a task that does not hold the pool.
    /// [`start`](Self::start) makes a new one.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits until every worker has stopped.
    pub async fn join(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the task of a worker ended in a panic");
            }
        }
    }

    /// How the workers of this pool are, by their ids. Empty where the store does not answer, which is logged.
    pub async fn health(&self) -> Vec<WorkerHealth> {
        let mine = |health: &WorkerHealth| {
            health.worker_id.checked_sub(self.first_id).is_some_and(|position| position < self.num_workers)
        };
        match self.worker.work_loop.heartbeat_of(self.first_id).liveness.list_health().await {
            Ok(health) => health.into_iter().filter(mine).collect(),
            Err(error) => {
                tracing::warn!(%error, "the health of the workers could not be read");
                Vec::new()
            }
        }
    }
}

impl<W, C, Q, RIS, MS, ES, LS, WISS, CS> Drop for WorkerPool<W, C, Q, RIS, MS, ES, LS, WISS, CS>
where
    C: Context,
    W: Workflow<C>,
{
    fn drop(&mut self) {
        self.stop.cancel();
        self.tasks.detach_all();
    }
}

impl<W, C, Q, RIS, MS, ES, LS, WISS, CS> fmt::Debug for WorkerPool<W, C, Q, RIS, MS, ES, LS, WISS, CS>
where
    C: Context,
    W: Workflow<C>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPool")
            .field("worker", &self.worker)
            .field("num_workers", &self.num_workers)
            .field("running", &self.tasks.len())
            .finish_non_exhaustive()
    }
}
