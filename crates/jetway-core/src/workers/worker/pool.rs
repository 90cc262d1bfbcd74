//! A pool of workers in one process.

use super::DistributedWorker;
use crate::{Context, ContextStore, Merge, WorkQueue, Workflow, stores::WorkerHealth};
use std::{fmt, time::Duration};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Several workers, each in its own Tokio task.
///
/// [`stop`](Self::stop) lets running steps finish. Dropping a pool does the same in the background: its tasks start no
/// new step and end after the current one.
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
    abort: CancellationToken,
}

impl<W, C, Q, RIS, MS, ES, LS, WISS, CS> WorkerPool<W, C, Q, RIS, MS, ES, LS, WISS, CS>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C, WorkItem: 'static> + 'static,
    Q: WorkQueue<C, W::WorkItem>,
    CS: ContextStore<C> + Clone + 'static,
{
    /// A pool of `num_workers` workers with the ids from 0. They do not run before [`start`](Self::start).
    pub fn new(worker: DistributedWorker<W, C, Q, RIS, MS, ES, LS, WISS, CS>, num_workers: usize) -> Self {
        let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
        Self { worker, num_workers, first_id: 0, tasks: JoinSet::new(), stop, abort }
    }

    /// Sets the first worker id, so that the views distinguish these workers from those of other processes.
    #[must_use]
    pub fn with_first_id(mut self, first_id: usize) -> Self {
        self.first_id = first_id;
        self
    }

    /// Starts the workers. Does nothing while they run.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn start(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        if !self.tasks.is_empty() {
            return;
        }
        (self.stop, self.abort) = (CancellationToken::new(), CancellationToken::new());
        for worker in self.first_id..self.first_id.saturating_add(self.num_workers) {
            let work_loop = self.worker.work_loop.clone();
            let (stop, abort) = (self.stop.clone(), self.abort.clone());
            self.tasks.spawn(async move {
                while !stop.is_cancelled() {
                    work_loop.poll_or_wait(worker, &stop, &abort).await;
                }
            });
        }
    }

    /// Stops the workers after their current steps. A node that never ends makes this wait forever: see
    /// [`stop_within`](Self::stop_within).
    pub async fn stop(&mut self) {
        self.stop.cancel();
        self.join().await;
    }

    /// As [`stop`](Self::stop), but aborts steps that still run after `grace`. Nothing of an aborted step is committed,
    /// and its item goes back into the queue.
    pub async fn stop_within(&mut self, grace: Duration) {
        self.stop.cancel();
        if tokio::time::timeout(grace, self.join()).await.is_err() {
            self.abort.cancel();
            self.join().await;
        }
    }

    /// A token for code that does not own the pool: cancelling it stops the workers as [`stop`](Self::stop) does. Each
    /// [`start`](Self::start) creates a new one.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits until all workers have stopped.
    pub async fn join(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "worker task panicked");
            }
        }
    }

    /// The health of the workers of this pool, ordered by id. An error of the store is logged and gives an empty list.
    pub async fn health(&self) -> Vec<WorkerHealth> {
        let mine = |health: &WorkerHealth| {
            health.worker_id.checked_sub(self.first_id).is_some_and(|position| position < self.num_workers)
        };
        match self.worker.work_loop.heartbeat_of(self.first_id).liveness.list_health().await {
            Ok(health) => health.into_iter().filter(mine).collect(),
            Err(error) => {
                tracing::warn!(%error, "cannot read the health of workers");
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
