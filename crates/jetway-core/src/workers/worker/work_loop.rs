//! Step after step of a worker.

use super::{
    heartbeat::{HealthTable, Heartbeat},
    step::WorkerStep,
};
use crate::{
    Context, ContextStore, Merge, StepCallbacks, WorkQueue, Workflow,
    nodes::retry::RetryPolicy,
    panics::guarded,
    stores::{WorkerStatus, views::Views},
};
use jetway_state::Error;
use std::{
    marker::PhantomData,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// The longest that a worker stays away from stores that fail.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What the workers of one kind have in common.
pub(super) struct WorkLoop<W, C, Q, CS>
where
    C: Context,
    W: Workflow<C>,
{
    pub(super) workflow: W,
    pub(super) retry: Option<RetryPolicy>,
    /// How long an attempt at a node may take.
    pub(super) limit: Option<Duration>,
    pub(super) idle: Duration,
    /// The idle time differs from turn to turn by up to half of this, either way.
    pub(super) jitter: Duration,
    queue: Q,
    contexts: CS,
    views: Views<W::WorkItem>,
    wards: HealthTable,
    context: PhantomData<fn() -> C>,
}

/// What came of looking for work once.
pub(super) struct Once<O> {
    pub(super) result: Result<Option<(String, O)>, Error>,
    /// Whether a work item was found, and no store failed: then there may be more.
    pub(super) busy: bool,
}

impl<W, C, Q, CS> WorkLoop<W, C, Q, CS>
where
    C: Context,
    W: Workflow<C>,
{
    pub(super) fn new(workflow: W, queue: Q, contexts: CS, views: Views<W::WorkItem>) -> Self {
        let (idle, jitter) = (Duration::from_millis(100), Duration::from_millis(50));
        let wards = HealthTable::default();
        Self {
            workflow,
            retry: None,
            limit: None,
            idle,
            jitter,
            queue,
            contexts,
            views,
            wards,
            context: PhantomData,
        }
    }

    pub(super) fn heartbeat_of(&self, worker: usize) -> Heartbeat {
        Heartbeat { worker, wards: self.wards.clone(), liveness: Arc::clone(&self.views.liveness) }
    }
}

impl<W, C, Q, CS> WorkLoop<W, C, Q, CS>
where
    C: Context + Merge + Default + 'static,
    W: Workflow<C, WorkItem: 'static>,
    Q: WorkQueue<C, W::WorkItem>,
    CS: ContextStore<C>,
{
    /// Executes one item, where one waits, and gives signs of life meanwhile.
    pub(super) async fn once(&self, worker: usize, give_up: &CancellationToken) -> Once<W::Output> {
        let pulse = self.heartbeat_of(worker);
        pulse.beat_when_due().await;
        let (views, rules) = (self.views.clone(), (self.retry.clone(), self.limit));
        let recorded = self.contexts.keeps_snapshots();
        let step = Arc::new(WorkerStep::new(views, pulse.clone(), rules, recorded, give_up.clone()));
        let callbacks: Arc<dyn StepCallbacks<C, W>> = Arc::clone(&step) as _;
        let stepping = self.workflow.step_distributed(&self.contexts, &self.queue, worker, callbacks);
        let stepping = guarded(async { Ok(stepping.await) });
        let stepped = tokio::select! {
            biased;
            stepped = stepping => stepped,
            () = pulse.beat_on() => Err(Error::Cancelled),
        };
        let result = stepped.and_then(|stepped| stepped.map_err(|error| error.error));
        let (taken, failed) = (step.taken.load(Relaxed), step.failed.load(Relaxed));
        if result.is_err() && !failed {
            pulse.error();
        }
        if taken {
            pulse
                .tell(|health| {
                    health.status = WorkerStatus::Idle;
                    health.current_work_item = None;
                    health.current_work_item_run_id = None;
                })
                .await;
        }
        Once { busy: taken && (result.is_ok() || failed), result }
    }

    /// Executes one item, or waits: until there may be one, or until `stop`.
    pub(super) async fn turn(&self, worker: usize, stop: &CancellationToken, give_up: &CancellationToken) {
        for failures in 0_u32.. {
            let once = self.once(worker, give_up).await;
            let pause = match once.result {
                _ if once.busy => return,
                Ok(_) => self.idle,
                Err(ref error) => {
                    tracing::warn!(worker, %error, "a worker cannot work");
                    self.idle.saturating_mul(2 << failures.min(10)).min(LONGEST_PAUSE.max(self.idle))
                }
            };
            let spread = self.jitter.mul_f64(rand::random());
            let pause = (pause + spread).saturating_sub(self.jitter / 2);
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            if once.result.is_ok() {
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
            queue: self.queue.clone(),
            contexts: self.contexts.clone(),
            views: self.views.clone(),
            wards: self.wards.clone(),
            context: PhantomData,
        }
    }
}
