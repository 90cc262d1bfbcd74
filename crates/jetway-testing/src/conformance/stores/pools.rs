//! `WorkerPool`.

use super::{
    Stores,
    harness::{Harness, started},
    workflows::{Act, Fan, FanWorkItem, busy},
};
use crate::conformance::DEADLINE;
use jetway_core::{
    Transition,
    distributed::{LivenessStore as _, RunMetrics, RunStatus, WorkerPool},
};
use jetway_state::run::Status;
use std::time::Duration;
use tokio::time::timeout;

/// How often it is looked whether a run has ended.
const POLL: Duration = Duration::from_millis(10);

/// The workers of a pool have the ids from the first one on, and tell how they are.
pub(super) async fn a_pool_s_workers_have_their_ids<S: Stores>(stores: S) {
    let harness = Harness::new(&stores, &Fan::new());
    let mut pool = WorkerPool::new(harness.worker(), 3);
    let orchestrator = harness.orchestrator();
    let run = orchestrator.start_run(&started(), 20).await.unwrap();
    pool.start();
    pool.start();
    let ended = orchestrator.wait_for_completion(&run, POLL);
    assert_eq!(timeout(DEADLINE, ended).await.unwrap().unwrap().status, RunStatus::Completed);
    timeout(DEADLINE, pool.stop()).await.unwrap();
    let ids = |health: Vec<_>| -> Vec<_> {
        health.into_iter().map(|health: jetway_core::distributed::WorkerHealth| health.worker_id).collect()
    };
    assert_eq!(ids(pool.health().await), [0, 1, 2]);
    stores.liveness().update_health(9, Default::default()).await.unwrap();
    let others = WorkerPool::new(harness.worker(), 2).with_first_id(2);
    assert_eq!(ids(others.health().await), [2]);
}

/// A pool that stops finishes the step under way, takes no other, and can be started again.
pub(super) async fn a_pool_that_stops_finishes_the_step_under_way<S: Stores>(stores: S) {
    let (held, begun, go_on) = Act::held("open");
    let harness = Harness::new(&stores, &Fan { open: held, ..Fan::new() });
    harness.start("r", 2).await;
    let mut pool = WorkerPool::new(harness.worker(), 1);
    pool.start();
    begun.notified().await;
    let (stopping, ()) = tokio::join!(timeout(DEADLINE, pool.stop()), async { go_on.notify_one() });
    stopping.unwrap();
    let pending = harness.pending("r").await;
    assert!(matches!(pending[..], [FanWorkItem::Branch(_, 2)]), "{pending:?}");
    assert_eq!((harness.snapshot("r").await.steps, harness.workflow.branch.inputs().len()), (1, 0));
    pool.start();
    let orchestrator = harness.orchestrator();
    let ended = orchestrator.wait_for_completion("r", POLL);
    assert_eq!(timeout(DEADLINE, ended).await.unwrap().unwrap().output, Some(2.into()));
    timeout(DEADLINE, pool.stop()).await.unwrap();
}

/// A pool stops too when its token is cancelled, and can be waited for.
pub(super) async fn a_pool_can_be_waited_for<S: Stores>(stores: S) {
    let harness = Harness::new(&stores, &Fan::new());
    let mut pool = WorkerPool::new(harness.worker(), 2);
    pool.start();
    let token = pool.stop_token();
    assert!(timeout(Duration::from_millis(50), pool.join()).await.is_err(), "nobody has stopped it");
    token.cancel();
    timeout(DEADLINE, pool.join()).await.unwrap();
    harness.start("r", 1).await;
    assert_eq!(harness.pending("r").await.len(), 1);
}

/// A step that does not end in time is given back whole: nothing of it is committed, and another worker has it.
pub(super) async fn a_step_that_does_not_end_in_time_is_given_back<S: Stores>(stores: S) {
    let (held, begun, _never) = Act::held("open");
    let harness = Harness::new(&stores, &Fan { open: held, ..Fan::new() });
    harness.start("r", 2).await;
    let mut pool = WorkerPool::new(harness.worker(), 1);
    pool.start();
    begun.notified().await;
    timeout(DEADLINE, pool.stop_within(Duration::from_millis(10))).await.unwrap();
    assert_eq!((harness.snapshot("r").await.steps, harness.pending("r").await.len()), (0, 1));
    let elsewhere = Harness::new(&stores.another().await, &Fan::new());
    elsewhere.work_off(&elsewhere.worker(), "r").await;
    assert_eq!(elsewhere.snapshot("r").await.status, Status::Completed);
    assert_eq!(elsewhere.context("r").await.steps.get(), 3);
}

/// Two pools in two processes, so to speak, execute one run with retries exactly.
pub(super) async fn two_pools_execute_a_run_with_retries_exactly<S: Stores>(stores: S) {
    const BRANCHES: u64 = 30;
    let shaky = Act::doing("branch", |number, attempt| {
        let fails = attempt == 1 && number % 3 == 0;
        std::future::ready(if fails { busy("branch") } else { Ok(Transition::Next(number)) })
    });
    let one = Harness::new(&stores, &Fan::of(shaky));
    let two = one.elsewhere().await;
    let orchestrator = one.orchestrator();
    let mut pools = [WorkerPool::new(one.worker(), 2), WorkerPool::new(two.worker(), 2).with_first_id(2)];
    pools.iter_mut().for_each(WorkerPool::start);
    let run = orchestrator.start_run(&started(), BRANCHES).await.unwrap();
    let ended = timeout(DEADLINE, orchestrator.wait_for_completion(&run, POLL)).await.unwrap().unwrap();
    assert_eq!(ended.status, RunStatus::Completed);
    for pool in &mut pools {
        timeout(DEADLINE, pool.stop()).await.unwrap();
    }
    // A commit that lost its race is applied again: nothing is executed twice but what failed.
    assert_eq!(one.workflow.branch.inputs().len(), 40);
    assert_eq!(orchestrator.context(&run).await.unwrap().steps.get(), 31);
    let errors = orchestrator.errors(&run).await.unwrap();
    assert!(errors.len() == 10 && errors.iter().all(|error| error.attempt == 1), "{errors:?}");
    let metrics = RunMetrics { total_work_items: 31, completed: 31, failed: 0, retries: 10 };
    assert_eq!(orchestrator.metrics(&run).await, Ok(metrics));
    let listed = orchestrator.list_runs(Some(RunStatus::Completed)).await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|info| (info.run_id, info.output)).collect();
    assert_eq!(listed, [(run.clone(), ended.output)]);
    assert_eq!(orchestrator.list_workers().await.unwrap(), [0, 1, 2, 3]);
    assert_eq!(orchestrator.pending_work(&run).await.unwrap(), []);
}
