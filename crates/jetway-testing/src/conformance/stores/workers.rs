//! `DistributedWorker`.

use super::{
    Stores,
    faulty::FaultyQueue,
    harness::{Harness, retrying, started},
    workflows::{Act, Joined, JoinedWorkItem, Line, LineWorkItem, busy},
};
use crate::{conformance::DEADLINE, wait_until};
use jetway_core::{
    Transition, WorkQueue as _,
    distributed::{
        DistributedWorker, ErrorStore as _, LivenessStore as _, MetricsStore as _, RunInfoStore as _,
        RunMetrics, RunStatus, WorkItemStateStore as _, WorkItemStatus, WorkerBuilder, WorkerHealth,
        WorkerStatus,
    },
    nodes::retry::{RetryError, RetryPolicy},
};
use jetway_state::{Error, run::Status};
use std::time::Duration;
use tokio::time::Instant;

/// While it runs an item a worker tells which one, and that it is well; the item is in progress. Then all is done.
pub(super) async fn a_worker_tells_what_it_does<S: Stores>(stores: S) {
    let (held, begun, go_on) = Act::held("one");
    let harness = Harness::new(&stores, &Line { one: held, ..Line::new() });
    let run = harness.orchestrator().start_run(&started(), 5).await.unwrap();
    let worker = harness.worker();
    let step = tokio::spawn(async move { worker.run_once(7).await });
    begun.notified().await;
    let (liveness, items) = (stores.another().await.liveness(), stores.items::<LineWorkItem>());
    let health = liveness.get_health(7).await.unwrap().unwrap();
    assert_eq!((health.worker_id, health.status), (7, WorkerStatus::InProgress));
    assert_eq!(health.current_work_item.as_deref(), Some("One(5)"));
    assert_eq!(health.current_work_item_run_id.as_deref(), Some(run.as_str()));
    assert!(liveness.get_heartbeat(7).await.unwrap().is_some());
    let begun = items.get_all(&run).await.unwrap();
    assert_eq!((begun.len(), begun[0].status, begun[0].attempts), (1, WorkItemStatus::InProgress, 1));
    go_on.notify_one();
    assert_eq!(step.await.unwrap(), Ok(None));
    let health = liveness.get_health(7).await.unwrap().unwrap();
    assert_eq!((health.status, health.error_count, health.current_work_item), (WorkerStatus::Idle, 0, None));
    let done = items.get_all(&run).await.unwrap();
    assert_eq!((done.len(), done[0].status, done[0].attempts), (1, WorkItemStatus::Completed, 1));
}

/// Signs of life go on while a step does.
pub(super) async fn signs_of_life_go_on_during_a_long_step<S: Stores>(stores: S) {
    let (held, begun, go_on) = Act::held("one");
    let harness = Harness::new(&stores, &Line { one: held, ..Line::new() });
    harness.start("r", 1).await;
    let worker = harness.worker();
    let step = tokio::spawn(async move { worker.run_once(8).await });
    begun.notified().await;
    let liveness = stores.another().await.liveness();
    for _ in 0..2 {
        let last = liveness.get_heartbeat(8).await.unwrap();
        assert!(last.is_some());
        wait_until("a later sign of life", DEADLINE, async || {
            liveness.get_heartbeat(8).await.unwrap() > last
        })
        .await;
    }
    assert!(!step.is_finished());
    go_on.notify_one();
    assert_eq!(step.await.unwrap(), Ok(None));
}

/// Each step is counted, and the last one lists the run with its output and its end.
pub(super) async fn the_last_step_lists_the_end<S: Stores>(stores: S) {
    let harness = Harness::new(&stores, &Line::new());
    let run = harness.orchestrator().start_run(&started(), 1).await.unwrap();
    let (worker, metrics, runs) = (harness.worker(), stores.metrics(), stores.runs());
    let of = |total_work_items, completed| RunMetrics { total_work_items, completed, failed: 0, retries: 0 };
    for done in [1, 2] {
        assert_eq!(worker.run_once(0).await, Ok(None));
        assert_eq!(metrics.get_metrics(&run).await.unwrap(), Some(of(done + 1, done)));
        let listed = runs.get_run(&run).await.unwrap().unwrap();
        assert_eq!((listed.status, listed.output, listed.finished_at), (RunStatus::Running, None, None));
    }
    assert_eq!(worker.run_once(0).await, Ok(Some((run.clone(), 4))));
    assert_eq!(metrics.get_metrics(&run).await.unwrap(), Some(of(3, 3)));
    let listed = runs.get_run(&run).await.unwrap().unwrap();
    assert_eq!((listed.status, &listed.output), (RunStatus::Completed, &Some(4.into())));
    assert!(listed.finished_at.is_some_and(|at| at >= listed.started_at), "{listed:?}");
    assert_eq!(stores.errors().get_errors(&run).await.unwrap(), []);
}

/// An attempt that failed waits in the queue under the same id, and whoever comes makes the next one.
pub(super) async fn a_failed_attempt_waits_in_the_queue<S: Stores>(stores: S) {
    let line = Line { one: Act::failing("one", 1), ..Line::new() };
    let harness = Harness::new(&stores, &line);
    let run = harness.orchestrator().start_run(&started(), 1).await.unwrap();
    let before = harness.pending(&run).await;
    assert_eq!(harness.worker().run_once(0).await, busy("one"));
    assert_eq!(harness.pending(&run).await, before);
    assert_eq!(harness.orchestrator().status(&run).await, Ok(RunStatus::Running));
    let items = stores.items::<LineWorkItem>();
    assert_eq!(items.get_status(&run, &before[0]).await.unwrap(), WorkItemStatus::WaitingRetry);
    let retried = RunMetrics { retries: 1, ..RunMetrics::default() };
    assert_eq!(stores.metrics().get_metrics(&run).await.unwrap(), Some(retried));
    // The first worker is gone with its process, so to speak.
    let elsewhere = harness.elsewhere().await;
    elsewhere.work_off(&elsewhere.worker(), &run).await;
    assert_eq!(line.one.calls(), [(1, 1), (1, 2)]);
    assert_eq!(items.get_attempts(&run, &before[0]).await.unwrap(), 2);
    assert_eq!(items.get_status(&run, &before[0]).await.unwrap(), WorkItemStatus::Completed);
    let errors = elsewhere.stores.errors().get_errors(&run).await.unwrap();
    assert_eq!((errors.len(), errors[0].attempt, errors[0].work_item.as_str()), (1, 1, "One(1)"));
    assert!(errors[0].error.contains("one is busy"), "{errors:?}");
    let metrics = RunMetrics { total_work_items: 3, completed: 3, failed: 0, retries: 1 };
    assert_eq!(stores.metrics().get_metrics(&run).await.unwrap(), Some(metrics));
}

/// Retries have an end: then the item has failed for good, and its run with it.
pub(super) async fn retries_have_an_end<S: Stores>(stores: S) {
    let line = Line { two: Act::failing("two", 9), ..Line::new() };
    let harness = Harness::new(&stores, &line);
    let run = harness.orchestrator().start_run(&started(), 1).await.unwrap();
    harness.work_off(&harness.worker_with(retrying(2)), &run).await;
    assert_eq!(line.two.calls(), [(2, 1), (2, 2)]);
    let items = stores.items::<LineWorkItem>().get_all(&run).await.unwrap();
    let mut statuses: Vec<_> = items.iter().map(|item| (item.work_item.to_string(), item.status)).collect();
    statuses.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [("One(1)", WorkItemStatus::Completed), ("Two(2)", WorkItemStatus::PermanentlyFailed)];
    assert_eq!(statuses, expected.map(|(item, status)| (item.to_owned(), status)));
    let listed = stores.runs().get_run(&run).await.unwrap().unwrap();
    assert_eq!((listed.status, listed.output, listed.finished_at.is_some()), (RunStatus::Failed, None, true));
    let attempts: Vec<_> =
        stores.errors().get_errors(&run).await.unwrap().iter().map(|e| e.attempt).collect();
    assert_eq!(attempts, [1, 2]);
    let metrics = RunMetrics { total_work_items: 2, completed: 1, failed: 1, retries: 1 };
    assert_eq!(stores.metrics().get_metrics(&run).await.unwrap(), Some(metrics));
    let health = stores.liveness().get_health(0).await.unwrap().unwrap();
    assert_eq!((health.error_count, health.status), (2, WorkerStatus::Idle));
}

/// A worker that is made by hand has no policy: the first failure is final. One from the builder tries what a node
/// failed with again, and a cancellation not.
pub(super) async fn a_worker_s_policy_is_the_builder_s_or_none<S: Stores>(stores: S) {
    let line = Line { one: Act::failing("one", 1), ..Line::new() };
    let harness = Harness::new(&stores, &line);
    harness.start("by-hand", 1).await;
    let by_hand = DistributedWorker::new(
        line.clone(),
        harness.queue(),
        harness.contexts(),
        stores.runs(),
        stores.metrics(),
        stores.errors(),
        stores.liveness(),
        stores.items::<LineWorkItem>(),
    );
    assert_eq!(by_hand.run_once(0).await, busy("one"));
    assert_eq!(harness.snapshot("by-hand").await.status, Status::Failed);
    harness.start("built", 1).await;
    assert_eq!(harness.builder().build().unwrap().run_once(0).await, busy("one"));
    assert_eq!(
        (harness.snapshot("built").await.status, harness.pending("built").await.len()),
        (Status::Running, 1)
    );
    harness.queue().purge_run("built").await.unwrap();
    let cancelled = Line { one: Act::new("one", |_| Err(Error::Cancelled)), ..Line::new() };
    let harness = Harness::new(&stores, &cancelled);
    harness.start("cancelled", 1).await;
    assert_eq!(harness.builder().build().unwrap().run_once(0).await, Err(Error::Cancelled));
    assert_eq!(harness.snapshot("cancelled").await.status, Status::Failed);
}

/// A worker whose future is dropped in the middle of a step leaves nothing behind: the item comes back, and whoever
/// comes next executes it.
pub(super) async fn a_dropped_worker_s_item_comes_back<S: Stores>(stores: S) {
    let (held, begun, _never) = Act::held("one");
    let harness = Harness::new(&stores, &Line { one: held, ..Line::new() });
    harness.start("r", 1).await;
    let worker = harness.worker();
    tokio::select! {
        _ = worker.run_once(0) => panic!("the node does not end"),
        () = begun.notified() => {}
    }
    assert_eq!((harness.snapshot("r").await.steps, harness.pending("r").await.len()), (0, 1));
    let next = Harness::new(&stores, &Line::new());
    next.work_off(&next.worker(), "r").await;
    assert_eq!((next.snapshot("r").await.status, next.workflow.one.inputs()), (Status::Completed, vec![1]));
    assert_eq!(next.context("r").await.steps.get(), 3);
}

/// A worker rests for the idle time where there is nothing to do, and longer and longer where the queue fails; what comes
/// then is executed.
pub(super) async fn a_worker_rests_where_there_is_nothing_to_do<S: Stores>(stores: S) {
    const IDLE: Duration = Duration::from_millis(60);
    let harness = Harness::new(&stores, &Line::new());
    let queue = FaultyQueue::new(harness.queue());
    let builder = WorkerBuilder::new()
        .workflow(harness.workflow.clone())
        .queue(queue.clone())
        .context_store(harness.contexts())
        .run_info_store(stores.runs())
        .metrics_store(stores.metrics())
        .error_store(stores.errors())
        .liveness_store(stores.liveness())
        .work_item_state_store(stores.items());
    let worker = builder.idle_sleep_duration(IDLE).idle_sleep_jitter(Duration::ZERO).build().unwrap();
    let asked_again = async |times: u32| {
        let (began, before) = (Instant::now(), queue.asked());
        wait_until("the queue is asked again", DEADLINE, async || queue.asked() >= before + times).await;
        began.elapsed()
    };
    let watching = async {
        asked_again(1).await;
        let idle = asked_again(4).await;
        assert!(idle >= 3 * IDLE, "{idle:?} for four looks at an empty queue");
        queue.fall_silent(3);
        // The next one fails at once; after it come twice, four times and eight times the idle time.
        asked_again(1).await;
        let failing = asked_again(3).await;
        assert!(failing >= 13 * IDLE, "{failing:?} for three looks at a queue that fails");
        harness.start("r", 1).await;
        wait_until("the run ends", DEADLINE, async || harness.snapshot("r").await.status.is_terminal()).await;
        // The last step is over when the queue is asked again.
        asked_again(1).await;
    };
    tokio::select! {
        never = worker.run_forever(0) => match never {},
        () = watching => {}
    }
    let health = stores.liveness().get_health(0).await.unwrap().unwrap();
    assert_eq!((health.error_count, health.status), (3, WorkerStatus::Idle));
}

/// A sign of life may be given by hand.
pub(super) async fn a_heartbeat_is_a_sign_of_life<S: Stores>(stores: S) {
    let harness = Harness::new(&stores, &Line::new());
    let (worker, liveness) = (harness.worker(), stores.another().await.liveness());
    assert_eq!(liveness.get_heartbeat(5).await.unwrap(), None);
    worker.heartbeat(5).await;
    let first = liveness.get_heartbeat(5).await.unwrap().unwrap();
    assert_eq!(liveness.list_workers().await.unwrap(), [5]);
    let health = liveness.get_health(5).await.unwrap().unwrap();
    assert_eq!((health.worker_id, health.status, health.error_count), (5, WorkerStatus::Idle, 0));
    assert_eq!(health.last_heartbeat, first);
    wait_until("a later sign of life", DEADLINE, async || {
        worker.heartbeat(5).await;
        liveness.get_heartbeat(5).await.unwrap() > Some(first)
    })
    .await;
}

/// A worker that is made by hand is given a policy later.
pub(super) async fn a_policy_is_set_later<S: Stores>(stores: S) {
    let line = Line { one: Act::failing("one", 9), ..Line::new() };
    let harness = Harness::new(&stores, &line);
    harness.start("r", 1).await;
    let mut by_hand = DistributedWorker::new(
        line.clone(),
        harness.queue(),
        harness.contexts(),
        stores.runs(),
        stores.metrics(),
        stores.errors(),
        stores.liveness(),
        stores.items::<LineWorkItem>(),
    );
    by_hand.set_retry_policy(retrying(2));
    assert_eq!(by_hand.run_once(0).await, busy("one"));
    assert_eq!((harness.snapshot("r").await.status, harness.pending("r").await.len()), (Status::Running, 1));
    harness.work_off(&by_hand, "r").await;
    assert_eq!(
        (harness.snapshot("r").await.status, line.one.calls()),
        (Status::Failed, vec![(1, 1), (1, 2)])
    );
}

/// An item that held is completed, like one that went on.
pub(super) async fn an_item_that_held_is_completed<S: Stores>(stores: S) {
    let harness = Harness::new(&stores, &Joined::new(2));
    harness.start("r", 2).await;
    harness.work_off(&harness.worker(), "r").await;
    let items = stores.items::<JoinedWorkItem>().get_all("r").await.unwrap();
    let mut fared: Vec<_> =
        items.iter().map(|item| (item.work_item.to_string(), item.status, item.attempts)).collect();
    fared.sort_by(|a, b| a.0.cmp(&b.0));
    let done = |item: &str| (item.to_owned(), WorkItemStatus::Completed, 1);
    assert_eq!(fared, [done("Collect(0)"), done("Collect(1)"), done("Open(2)")]);
    let metrics = RunMetrics { total_work_items: 3, completed: 3, failed: 0, retries: 0 };
    assert_eq!(stores.metrics().get_metrics("r").await.unwrap(), Some(metrics));
}

/// What is stored of a worker that was lost keeps no one from working.
pub(super) async fn what_is_stored_of_a_lost_worker_keeps_no_one_from_working<S: Stores>(stores: S) {
    let status = WorkerStatus::InProgress;
    let lost = WorkerHealth { worker_id: 0, status, ..WorkerHealth::default() };
    stores.liveness().update_health(0, lost).await.unwrap();
    let harness = Harness::new(&stores, &Line::new());
    harness.start("r", 1).await;
    assert_eq!(harness.worker().run_once(0).await, Ok(None));
    assert_eq!(harness.workflow.one.inputs(), [1]);
}

/// A worker that runs for ever takes up what comes, run after run, failures or not, until its future is dropped.
pub(super) async fn a_worker_runs_for_ever<S: Stores>(stores: S) {
    let line = Line {
        two: Act::new("two", |n| if n == 3 { busy("two") } else { Ok(Transition::Next(n)) }),
        ..Line::new()
    };
    let harness = Harness::new(&stores, &line);
    let policy = RetryPolicy { retry_error: RetryError::Timeout, ..retrying(1) };
    let worker = harness.worker_with(policy);
    let working = async { match worker.run_forever(3).await {} };
    let watching = async {
        for (run, input, status) in
            [("r1", 1, Status::Completed), ("r2", 2, Status::Failed), ("r3", 3, Status::Completed)]
        {
            harness.start(run, input).await;
            wait_until("the run ends", DEADLINE, async || harness.snapshot(run).await.status == status).await;
        }
    };
    tokio::select! {
        () = working => {}
        () = watching => {}
    }
    assert_eq!(stores.liveness().list_workers().await.unwrap(), [3]);
    harness.start("r4", 1).await;
    assert_eq!(harness.pending("r4").await.len(), 1);
}
