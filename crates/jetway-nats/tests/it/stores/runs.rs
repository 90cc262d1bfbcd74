//! Complete runs, stepped by several workers.

use super::connect;
use crate::support::{DEADLINE, config, config_for};
use async_trait::async_trait;
use jetway_core::{
    Counter, Transition, Workflow, WorkflowCtx,
    distributed::{ContextStore as _, ItemProcessedOutcome, StepCallbacks, WorkQueue},
};
use jetway_macros::{Merge, node, workflow};
use jetway_nats::{NatsConfig, NatsStores};
use jetway_state::{Error, run::Status};
use jetway_testing::{NatsServer, wait_until};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

/// The sums of all branches of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Merge)]
pub(super) struct Ctx {
    pub(super) steps: Counter,
    pub(super) sum: Counter,
}

node! {
    pub(super) struct Scatter {};
    context = Ctx; input = i64; output = i64;
    |ctx, branches| {
        ctx.steps.increment();
        Ok(Transition::NextAll((0..branches).collect()))
    }
}

node! {
    pub(super) struct Add {};
    context = Ctx; input = i64; output = i64;
    |ctx, number| {
        ctx.steps.increment();
        ctx.sum.add(number);
        Ok(Transition::Next(number))
    }
}

workflow! {
    /// A fan-out whose branches add to one context.
    pub(super) struct Fan { pub(super) scatter: Scatter, pub(super) add: Add }
    name = "fan";
    context = Ctx;
    start = scatter;
    edges { scatter => [add]; add => {}; }
}

impl Fan {
    pub(super) fn new() -> Self {
        Self { scatter: Scatter {}, add: Add {} }
    }
}

/// Counts executed items.
#[derive(Default)]
struct Counting(AtomicU64);

#[async_trait]
impl StepCallbacks<Ctx, Fan> for Counting {
    async fn on_started(&self, _run_id: String, _item: FanWorkItem) -> Result<(), Error> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn on_item_processed(
        &self,
        _run_id: String,
        _item: FanWorkItem,
        _outcome: ItemProcessedOutcome,
    ) -> Result<(), Error> {
        Ok(())
    }
}

/// Workers that step runs until they are stopped. They repeat failed steps, since the server is restarted.
struct Workers {
    tasks: JoinSet<()>,
    stop: CancellationToken,
    steps: Arc<Counting>,
}

impl Workers {
    fn start(stores: &[NatsStores]) -> Self {
        let (stop, steps) = (CancellationToken::new(), Arc::new(Counting::default()));
        let mut tasks = JoinSet::new();
        for (worker, stores) in stores.iter().enumerate() {
            let stores = stores.clone().waiting_for(Duration::from_millis(300));
            let (contexts, queue) = (stores.context_store::<Ctx>(), stores.work_queue());
            let (stop, callbacks) = (stop.clone(), Arc::clone(&steps));
            tasks.spawn(async move {
                while !stop.is_cancelled() {
                    let callbacks: Arc<dyn StepCallbacks<Ctx, Fan>> = callbacks.clone();
                    let stepped = Fan::new().step_distributed(&contexts, &queue, worker, callbacks).await;
                    if let Err(error) = stepped {
                        tracing::debug!(worker, %error, "a step failed");
                    }
                }
            });
        }
        Self { tasks, stop, steps }
    }

    fn steps(&self) -> u64 {
        self.steps.0.load(Ordering::SeqCst)
    }

    async fn finish(mut self) {
        self.stop.cancel();
        while let Some(worker) = timeout(DEADLINE, self.tasks.join_next()).await.unwrap() {
            worker.unwrap();
        }
    }
}

async fn start(stores: &NatsStores, run_id: &str, branches: i64) {
    let ctx = WorkflowCtx::new(Ctx::default());
    let (contexts, queue) = (stores.context_store(), stores.work_queue());
    Fan::new().start_distributed(&ctx, branches, &contexts, &queue, run_id).await.unwrap();
}

/// Waits for the end of a run, and checks that every branch counted once.
async fn exact(stores: &NatsStores, run_id: &str, branches: i64) {
    let contexts = stores.context_store::<Ctx>();
    let snapshot = wait_until("the run ends", DEADLINE * 2, async || {
        let (snapshot, _) = contexts.snapshot(run_id).await.ok().flatten()?;
        snapshot.status.is_terminal().then_some(snapshot)
    })
    .await;
    assert_eq!(snapshot.status, Status::Completed);
    let ctx = contexts.get(run_id).await.unwrap().unwrap();
    assert_eq!((ctx.steps.get(), ctx.sum.get()), (branches + 1, (0..branches).sum::<i64>()));
    wait_until("the queue is empty", DEADLINE, async || {
        let pending = WorkQueue::<Ctx, FanWorkItem>::pending_work(&stores.work_queue(), run_id).await;
        pending.is_ok_and(|items| items.is_empty())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_continues_after_a_worker_is_lost() {
    let config = NatsConfig { ack_wait: Duration::from_secs(1), ..config("lost").await };
    let (lost, other) = (connect(&config).await, connect(&config).await);
    start(&lost, "r1", 10).await;
    let queue = lost.work_queue();
    let held = WorkQueue::<Ctx, FanWorkItem>::lease(&queue).await.unwrap().unwrap();
    assert_eq!(held.run_id, "r1");
    let workers = Workers::start(std::slice::from_ref(&other));
    // No other worker can start, since the first item is leased.
    let contexts = other.context_store::<Ctx>();
    assert_eq!(contexts.snapshot("r1").await.unwrap().unwrap().0.steps, 0);
    assert_eq!(workers.steps(), 0);
    drop((lost, queue));
    exact(&other, "r1", 10).await;
    workers.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_survive_a_server_that_is_killed() {
    const BRANCHES: i64 = 150;
    let mut server = NatsServer::start().await.unwrap();
    let config = NatsConfig { ack_wait: Duration::from_secs(2), ..config_for(&server, "killed") };
    let both = [connect(&config).await, connect(&config).await];
    let workers = Workers::start(&[both[0].clone(), both[1].clone(), both[0].clone(), both[1].clone()]);
    for run in ["r1", "r2"] {
        start(&both[0], run, BRANCHES).await;
    }
    for _ in 0..2 {
        let before = workers.steps();
        wait_until("steps go on", DEADLINE, async || workers.steps() > before + 20).await;
        server.kill().await.unwrap();
        server.restart().await.unwrap();
    }
    for run in ["r1", "r2"] {
        exact(&both[1], run, BRANCHES).await;
    }
    workers.finish().await;
}
