//! The loop of a worker: executes one step after the other, and waits while there is no work.

use super::{
    heartbeat::{HealthTable, Heartbeat},
    step::WorkerStep,
};
use crate::{
    Context, ContextStore, Merge, StepCallbacks, WorkQueue, Workflow,
    clock::{Clock, SystemClock},
    nodes::retry::RetryPolicy,
    panics::guarded,
    stores::{WorkerStatus, views::Views},
};
use backon::{BackoffBuilder, ExponentialBuilder};
use jetway_state::Error;
use std::{
    marker::PhantomData,
    sync::{Arc, OnceLock, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// The longest delay of a worker whose stores fail.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// The workflow, the stores and the settings that the workers of one process share.
pub(super) struct WorkLoop<W, C, Q, CS>
where
    C: Context,
    W: Workflow<C>,
{
    pub(super) workflow: W,
    pub(super) retry: Option<RetryPolicy>,
    /// The time limit of one attempt at a node.
    pub(super) limit: Option<Duration>,
    /// The delay after which a worker without work polls the queue again.
    pub(super) idle: Duration,
    /// The idle delay varies at random by up to half of this, in both directions.
    pub(super) jitter: Duration,
    pub(super) clock: Arc<dyn Clock>,
    queue: Q,
    contexts: CS,
    views: Views<W::WorkItem>,
    health: HealthTable,
    context: PhantomData<fn() -> C>,
}

/// The result of polling the queue once.
pub(super) struct Polled<O> {
    pub(super) result: Result<Option<(String, O)>, Error>,
    /// An item was executed and no store failed, so there may be more work now.
    pub(super) busy: bool,
}

impl<W, C, Q, CS> WorkLoop<W, C, Q, CS>
where
    C: Context,
    W: Workflow<C>,
{
    pub(super) fn new(workflow: W, queue: Q, contexts: CS, views: Views<W::WorkItem>) -> Self {
        Self {
            workflow,
            retry: None,
            limit: None,
            idle: Duration::from_millis(100),
            jitter: Duration::from_millis(50),
            clock: views.liveness.clock().unwrap_or_else(|| Arc::new(SystemClock)),
            queue,
            contexts,
            views,
            health: HealthTable::default(),
            context: PhantomData,
        }
    }

    pub(super) fn heartbeat_of(&self, worker: usize) -> Heartbeat {
        Heartbeat {
            worker,
            table: self.health.clone(),
            liveness: Arc::clone(&self.views.liveness),
            clock: Arc::clone(&self.clock),
        }
    }
}

impl<W, C, Q, CS> WorkLoop<W, C, Q, CS>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C, WorkItem: 'static>,
    Q: WorkQueue<C, W::WorkItem>,
    CS: ContextStore<C>,
{
    /// Executes one item, if the queue has one, and sends heartbeats meanwhile.
    pub(super) async fn poll_once(&self, worker: usize, abort: &CancellationToken) -> Polled<W::Output> {
        let heartbeat = self.heartbeat_of(worker);
        heartbeat.send_if_due().await;
        let step = Arc::new(WorkerStep {
            views: self.views.clone(),
            heartbeat: heartbeat.clone(),
            retry: self.retry.clone(),
            limit: self.limit,
            clock: Arc::clone(&self.clock),
            keeps_snapshots: self.contexts.keeps_snapshots(),
            abort: abort.clone(),
            leased: false.into(),
            failed: false.into(),
            attempt: 1.into(),
            incarnation: OnceLock::new(),
        });
        let callbacks: Arc<dyn StepCallbacks<C, W>> = Arc::clone(&step) as _;
        let execution = self.workflow.step_distributed(&self.contexts, &self.queue, worker, callbacks);
        let execution = guarded(async { Ok(execution.await) });
        let executed = tokio::select! {
            biased;
            executed = execution => executed,
            () = heartbeat.keep_sending() => Err(Error::Cancelled),
        };
        let result = executed.and_then(|executed| executed.map_err(|error| error.error));
        let (leased, failed) = (step.leased.load(Relaxed), step.failed.load(Relaxed));
        if result.is_err() && !failed {
            heartbeat.count_error();
        }
        if leased {
            heartbeat
                .update(|health| {
                    health.status = WorkerStatus::Idle;
                    health.current_work_item = None;
                    health.current_work_item_run_id = None;
                })
                .await;
        }
        Polled { busy: leased && (result.is_ok() || failed), result }
    }

    /// Executes one item. Where there is none, or where a store fails, it waits until the next poll is due or `stop` is
    /// cancelled. Consecutive failures of stores lengthen the delay.
    pub(super) async fn poll_or_wait(
        &self,
        worker: usize,
        stop: &CancellationToken,
        abort: &CancellationToken,
    ) {
        let mut backoff = ExponentialBuilder::default()
            .with_min_delay(self.idle.saturating_mul(2))
            .with_max_delay(MAX_BACKOFF.max(self.idle))
            .without_max_times()
            .build();
        loop {
            let polled = self.poll_once(worker, abort).await;
            let delay = match polled.result {
                _ if polled.busy => return,
                Ok(_) => self.idle,
                Err(ref error) => {
                    tracing::warn!(worker, %error, "worker step failed");
                    backoff.next().unwrap_or(MAX_BACKOFF)
                }
            };
            let spread = self.jitter.mul_f64(rand::random());
            let delay = (delay + spread).saturating_sub(self.jitter / 2);
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(delay) => {}
            }
            if polled.result.is_ok() {
                return;
            }
        }
    }
}

impl<W, C, Q, CS> Clone for WorkLoop<W, C, Q, CS>
where
    C: Context,
    W: Workflow<C>,
    Q: Clone,
    CS: Clone,
{
    fn clone(&self) -> Self {
        Self {
            workflow: self.workflow.clone(),
            retry: self.retry.clone(),
            limit: self.limit,
            idle: self.idle,
            jitter: self.jitter,
            clock: Arc::clone(&self.clock),
            queue: self.queue.clone(),
            contexts: self.contexts.clone(),
            views: self.views.clone(),
            health: self.health.clone(),
            context: PhantomData,
        }
    }
}
