//! Pools of workers and an orchestrator, with every store on the server.

use super::{connect, runs::Ctx};
use crate::support::{DEADLINE, config};
use jetway_core::{
    Error, Transition, WorkflowCtx,
    distributed::{
        DistributedWorker, MetricsStore as _, OrchestratorBuilder, RunMetrics, RunStatus, WorkerBuilder,
        WorkerPool,
    },
    retry::{BackoffStrategy, RetryError, RetryPolicy},
};
use jetway_macros::{node, workflow};
use jetway_nats::{
    NatsContextStore, NatsErrorStore, NatsLivenessStore, NatsMetricsStore, NatsRunInfoStore, NatsStores,
    NatsWorkItemStateStore, NatsWorkQueue,
};
use std::time::Duration;
use tokio::time::timeout;

node! {
    /// One branch for each number.
    struct Scatter {};
    context = Ctx; input = i64; output = i64;
    |ctx, branches| {
        ctx.steps.increment();
        Ok(Transition::NextAll((0..branches).collect()))
    }
}

node! {
    /// Fails at the first attempt at every third number.
    struct Shaky {};
    context = Ctx; input = i64; output = i64;
    |ctx, number| {
        ctx.steps.increment();
        ctx.sum.add(number);
        let first = jetway_core::step().is_some_and(|step| step.attempt() == 1);
        if first && number % 3 == 0 {
            return Err(Error::Generic(format!("{number} does not work yet")));
        }
        Ok(Transition::Next(number))
    }
}

workflow! {
    struct ShakyFan { scatter: Scatter, add: Shaky }
    name = "shaky";
    context = Ctx;
    start = scatter;
    edges { scatter => [add]; add => {}; }
}

fn workflow() -> ShakyFan {
    ShakyFan { scatter: Scatter {}, add: Shaky {} }
}

type Worker = DistributedWorker<
    ShakyFan,
    Ctx,
    NatsWorkQueue<ShakyFanWorkItem>,
    NatsRunInfoStore,
    NatsMetricsStore,
    NatsErrorStore,
    NatsLivenessStore,
    NatsWorkItemStateStore<ShakyFanWorkItem>,
    NatsContextStore<Ctx>,
>;

fn worker(stores: &NatsStores) -> Worker {
    let soon = Duration::from_millis(20);
    WorkerBuilder::new()
        .workflow(workflow())
        .queue(stores.work_queue())
        .context_store(stores.context_store())
        .run_info_store(stores.run_info_store())
        .metrics_store(stores.metrics_store())
        .error_store(stores.error_store())
        .liveness_store(stores.liveness_store())
        .work_item_state_store(stores.work_item_state_store())
        .retry_policy(RetryPolicy::new(3, soon, soon, BackoffStrategy::Linear, RetryError::Generic))
        .build()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pools_execute_runs_with_retries_exactly() {
    const BRANCHES: i64 = 30;
    let config = config("pools").await;
    let (one, two) = (connect(&config).await, connect(&config).await);
    let orchestrator = OrchestratorBuilder::new()
        .workflow(workflow())
        .queue(one.work_queue())
        .context_store(one.context_store())
        .run_info_store(one.run_info_store())
        .metrics_store(one.metrics_store())
        .error_store(one.error_store())
        .liveness_store(one.liveness_store())
        .work_item_state_store(one.work_item_state_store())
        .build()
        .unwrap();
    let mut pools = [WorkerPool::new(worker(&one), 2), WorkerPool::new(worker(&two), 2).with_first_id(2)];
    pools.iter_mut().for_each(WorkerPool::start);
    let run = orchestrator.start_run(&WorkflowCtx::new(Ctx::default()), BRANCHES).await.unwrap();
    let ended = orchestrator.wait_for_completion(&run, Duration::from_millis(20));
    let ended = timeout(DEADLINE, ended).await.unwrap().unwrap();
    assert_eq!(ended.status, RunStatus::Completed);
    for pool in &mut pools {
        timeout(DEADLINE, pool.stop()).await.unwrap();
    }
    let ctx = orchestrator.context(&run).await.unwrap();
    assert_eq!((ctx.steps.get(), ctx.sum.get()), (BRANCHES + 1, (0..BRANCHES).sum::<i64>()));
    let errors = orchestrator.errors(&run).await.unwrap();
    assert_eq!(errors.len(), 10, "{errors:?}");
    let metrics = two.metrics_store().get_metrics(&run).await.unwrap();
    assert_eq!(metrics, Some(RunMetrics { total_work_items: 31, completed: 31, failed: 0, retries: 10 }));
    let listed = orchestrator.list_runs(Some(RunStatus::Completed)).await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|info| (info.run_id, info.output)).collect();
    assert_eq!(listed, [(run.clone(), ended.output)]);
    assert_eq!(orchestrator.list_workers().await.unwrap(), [0, 1, 2, 3]);
    assert_eq!(orchestrator.pending_work(&run).await.unwrap(), []);
}
