//! `DistributedOrchestrator`.

use super::{
    Stores,
    harness::{Harness, started},
    workflows::{Act, Fan, FanWorkItem, Line, LineWorkItem, failure},
};
use crate::{conformance::DEADLINE, wait_until};
use chrono::{TimeDelta, Utc};
use jetway_core::{
    WorkQueue as _,
    distributed::{LivenessStatus, LivenessStore as _, RunMetrics, RunStatus, WorkItemStatus, WorkerStatus},
};
use jetway_state::Error;
use std::time::Duration;
use tokio::time::timeout;

const SECOND: Duration = Duration::from_secs(1);
/// How often it is looked whether a run has ended.
const POLL: Duration = Duration::from_millis(10);

/// A run that was started is listed, has its first item and its numbers, and no errors; others are not there.
pub(super) async fn a_started_run_can_be_asked_about<S: Stores>(stores: S) {
    let harness = Harness::new(&stores, &Line::new());
    let run = harness.orchestrator().start_run(&started(), 5).await.unwrap();
    let orchestrator = harness.elsewhere().await.orchestrator();
    assert_eq!(orchestrator.status(&run).await, Ok(RunStatus::Running));
    let listed = orchestrator.list_runs(Some(RunStatus::Running)).await.unwrap();
    assert_eq!((listed.len(), &listed[0].run_id, listed[0].finished_at), (1, &run, None));
    assert_eq!(orchestrator.list_runs(Some(RunStatus::Completed)).await.unwrap(), []);
    let pending = orchestrator.pending_work(&run).await.unwrap();
    assert!(matches!(pending[..], [LineWorkItem::One(_, 5)]), "{pending:?}");
    assert_eq!(orchestrator.context(&run).await.unwrap().steps.get(), 0);
    let metrics = RunMetrics { total_work_items: 1, ..RunMetrics::default() };
    assert_eq!(orchestrator.metrics(&run).await, Ok(metrics));
    assert_eq!(orchestrator.errors(&run).await, Ok(Vec::new()));
    assert_eq!(orchestrator.list_work_items(&run).await.unwrap(), []);
    assert_eq!(orchestrator.liveness().await, Ok(Vec::new()));
    let other = orchestrator.start_run(&started(), 5).await.unwrap();
    assert_ne!(run, other);
}

/// What does not exist is an error, and nobody waits for it.
pub(super) async fn a_run_that_does_not_exist_is_an_error<S: Stores>(stores: S) {
    let orchestrator = Harness::new(&stores, &Line::new()).orchestrator();
    assert_eq!(orchestrator.wait_for_completion("x", SECOND).await, Err(Error::NotStarted));
    assert_eq!(orchestrator.status("x").await, Err(Error::NotStarted));
    assert_eq!(orchestrator.metrics("x").await, Err(Error::NotStarted));
    assert_eq!(orchestrator.context("x").await.unwrap_err(), Error::NotStarted);
    for refused in [
        orchestrator.cancel("x").await,
        orchestrator.pause("x").await,
        orchestrator.resume("x").await,
        orchestrator.complete_run("x").await,
    ] {
        assert_eq!(refused, Err(Error::NotStarted));
    }
    assert_eq!(orchestrator.errors("x").await, Ok(Vec::new()));
    assert_eq!(orchestrator.pending_work("x").await, Ok(Vec::new()));
}

/// A run ends with its last branch, its output is the first one, and what was executed stays known.
pub(super) async fn the_end_is_that_of_all_branches<S: Stores>(stores: S) {
    let harness = Harness::new(&stores, &Fan::new());
    let (orchestrator, worker) = (harness.orchestrator(), harness.worker());
    let run = orchestrator.start_run(&started(), 3).await.unwrap();
    for (step, output) in [None, Some(0), Some(1)].into_iter().enumerate() {
        let own = output.map(|output| (run.clone(), output));
        assert_eq!(worker.run_once(0).await, Ok(own), "step {step}");
        assert_eq!(orchestrator.status(&run).await, Ok(RunStatus::Running));
        assert_eq!(orchestrator.metrics(&run).await.unwrap().total_work_items, 4);
    }
    assert_eq!(worker.run_once(0).await, Ok(Some((run.clone(), 2))));
    let end = orchestrator.wait_for_completion(&run, SECOND).await.unwrap();
    assert_eq!(
        (end.status, end.output, end.finished_at.is_some()),
        (RunStatus::Completed, Some(0.into()), true)
    );
    let items = orchestrator.list_work_items(&run).await.unwrap();
    assert!(
        items.len() == 4 && items.iter().all(|item| item.status == WorkItemStatus::Completed),
        "{items:?}"
    );
}

/// A cancelled run never goes on: a step under way is thrown away, its items are gone, and late ones do nothing.
pub(super) async fn a_cancelled_run_never_goes_on<S: Stores>(stores: S) {
    let (held, begun, go_on) = Act::held("open");
    let harness = Harness::new(&stores, &Fan { open: held, ..Fan::new() });
    let (orchestrator, worker) = (harness.orchestrator(), harness.worker());
    let run = orchestrator.start_run(&started(), 3).await.unwrap();
    let step = tokio::spawn(async move { worker.run_once(0).await });
    begun.notified().await;
    orchestrator.cancel(&run).await.unwrap();
    go_on.notify_one();
    assert_eq!(step.await.unwrap(), Ok(None));
    assert_eq!(orchestrator.pending_work(&run).await.unwrap(), []);
    harness.queue().enqueue(&run, FanWorkItem::Branch("start-1".to_owned(), 1)).await.unwrap();
    wait_until("the late item is gone", DEADLINE, async || {
        assert_eq!(harness.worker().run_once(0).await, Ok(None));
        harness.pending(&run).await.is_empty()
    })
    .await;
    assert_eq!((harness.workflow.open.inputs().len(), harness.workflow.branch.inputs()), (1, vec![]));
    assert_eq!(orchestrator.context(&run).await.unwrap().steps.get(), 0);
    let end = orchestrator.wait_for_completion(&run, SECOND).await.unwrap();
    assert_eq!((end.status, end.output, end.finished_at.is_some()), (RunStatus::Cancelled, None, true));
    assert_eq!(orchestrator.list_runs(Some(RunStatus::Cancelled)).await.unwrap()[0].run_id, run);
    orchestrator.cancel(&run).await.unwrap();
}

/// A paused run waits, with its items in the queue; one that is resumed goes on where it was, and nothing that is done
/// is executed again. Whoever waits for its end waits through the pause.
pub(super) async fn a_paused_run_waits_and_goes_on_where_it_was<S: Stores>(stores: S) {
    let harness = Harness::new(&stores, &Fan::new());
    let (orchestrator, worker) = (harness.orchestrator(), harness.worker());
    let run = orchestrator.start_run(&started(), 2).await.unwrap();
    worker.run_once(0).await.unwrap();
    orchestrator.pause(&run).await.unwrap();
    orchestrator.pause(&run).await.unwrap();
    assert_eq!(orchestrator.list_runs(Some(RunStatus::Paused)).await.unwrap().len(), 1);
    for _ in 0..4 {
        assert_eq!(worker.run_once(0).await, Ok(None));
    }
    assert_eq!((harness.workflow.branch.inputs().len(), harness.pending(&run).await.len()), (0, 2));
    assert_eq!(orchestrator.list_work_items(&run).await.unwrap().len(), 1, "waiting is no attempt");
    let waiting = orchestrator.wait_for_completion(&run, POLL);
    let resumed = async {
        assert_eq!(orchestrator.status(&run).await, Ok(RunStatus::Paused));
        orchestrator.resume(&run).await.unwrap();
        orchestrator.resume(&run).await.unwrap();
        harness.work_off(&worker, &run).await;
    };
    let (end, ()) = timeout(DEADLINE, async { tokio::join!(waiting, resumed) }).await.unwrap();
    assert_eq!(end.unwrap().status, RunStatus::Completed);
    assert_eq!((harness.workflow.open.inputs(), harness.workflow.branch.inputs().len()), (vec![2], 2));
}

/// A step under way when its run is paused is committed, and what follows it waits.
pub(super) async fn a_step_under_way_is_committed_by_a_paused_run<S: Stores>(stores: S) {
    let (held, begun, go_on) = Act::held("one");
    let harness = Harness::new(&stores, &Line { one: held, ..Line::new() });
    let (orchestrator, worker) = (harness.orchestrator(), harness.worker());
    let run = orchestrator.start_run(&started(), 1).await.unwrap();
    let step = tokio::spawn(async move { worker.run_once(0).await });
    begun.notified().await;
    orchestrator.pause(&run).await.unwrap();
    go_on.notify_one();
    assert_eq!(step.await.unwrap(), Ok(None));
    let pending = harness.pending(&run).await;
    assert!(matches!(pending[..], [LineWorkItem::Two(..)]), "{pending:?}");
    assert_eq!(harness.worker().run_once(0).await, Ok(None));
    assert_eq!((harness.snapshot(&run).await.steps, harness.workflow.two.inputs()), (1, vec![]));
}

/// An end is final: commands to a run that has ended say so, and change nothing. A failed run is not opened again.
pub(super) async fn an_end_is_final<S: Stores>(stores: S) {
    let run_of = async |line: &Line| {
        let harness = Harness::new(&stores, line);
        let run = harness.orchestrator().start_run(&started(), 1).await.unwrap();
        harness.work_off(&harness.worker(), &run).await;
        run
    };
    let completed = run_of(&Line::new()).await;
    let failed = run_of(&Line { one: Act::new("one", |_| Err(Error::Timeout(SECOND))), ..Line::new() }).await;
    let orchestrator = Harness::new(&stores, &Line::new()).orchestrator();
    for run in [&completed, &failed] {
        let before = orchestrator.wait_for_completion(run, SECOND).await.unwrap();
        assert_eq!(orchestrator.cancel(run).await, Err(Error::AlreadyCompleted));
        assert_eq!(orchestrator.pause(run).await, Err(Error::AlreadyCompleted));
        assert_eq!(orchestrator.wait_for_completion(run, SECOND).await.unwrap(), before);
    }
    orchestrator.complete_run(&completed).await.unwrap();
    let words = |refused: Result<(), Error>| refused.unwrap_err().to_string();
    assert!(words(orchestrator.resume(&completed).await).contains("run already completed"));
    assert!(words(orchestrator.resume(&failed).await).contains("start a new run"));
    assert_eq!(orchestrator.complete_run(&failed).await, Err(Error::AlreadyCompleted));
    let cancelled = orchestrator.start_run(&started(), 1).await.unwrap();
    orchestrator.cancel(&cancelled).await.unwrap();
    assert_eq!(orchestrator.resume(&cancelled).await, Err(Error::AlreadyCompleted));
}

/// A run that is completed by hand keeps the outputs that there are, and goes no further.
pub(super) async fn a_run_that_is_completed_by_hand_goes_no_further<S: Stores>(stores: S) {
    let harness = Harness::new(&stores, &Fan::new());
    let (orchestrator, worker) = (harness.orchestrator(), harness.worker());
    let run = orchestrator.start_run(&started(), 3).await.unwrap();
    worker.run_once(0).await.unwrap();
    worker.run_once(0).await.unwrap();
    orchestrator.complete_run(&run).await.unwrap();
    assert_eq!(orchestrator.pending_work(&run).await.unwrap(), []);
    assert_eq!(worker.run_once(0).await, Ok(None));
    let end = orchestrator.wait_for_completion(&run, SECOND).await.unwrap();
    assert_eq!(
        (end.status, end.output, end.finished_at.is_some()),
        (RunStatus::Completed, Some(0.into()), true)
    );
    assert_eq!(harness.workflow.branch.inputs(), [0]);
}

/// The failure that ended a run is among its errors, with the item and the attempt.
pub(super) async fn a_failed_run_says_why<S: Stores>(stores: S) {
    let harness =
        Harness::new(&stores, &Line { two: Act::new("two", |_| Err(failure("no route"))), ..Line::new() });
    let orchestrator = harness.orchestrator();
    let run = orchestrator.start_run(&started(), 1).await.unwrap();
    harness.work_off(&harness.worker(), &run).await;
    let end = orchestrator.wait_for_completion(&run, SECOND).await.unwrap();
    assert_eq!((end.status, end.output), (RunStatus::Failed, None));
    let errors = orchestrator.errors(&run).await.unwrap();
    let said: Vec<_> = errors.iter().map(|e| (e.work_item.as_str(), e.error.as_str(), e.attempt)).collect();
    let expected = [1, 2, 3].map(|attempt| ("Two(2)", "Generic error: no route", attempt));
    assert_eq!(said, expected);
}

/// A worker is alive while its last sign of life is younger than the threshold, stale while it is younger than three
/// times that, and dead otherwise and where there was none.
pub(super) async fn workers_are_alive_stale_or_dead<S: Stores>(stores: S) {
    let liveness = stores.liveness();
    for (worker, seconds_ago) in [(0, -3600), (1, 1), (2, 150), (3, 600)] {
        liveness.update_heartbeat(worker, Utc::now() - TimeDelta::seconds(seconds_ago)).await.unwrap();
    }
    let orchestrator = Harness::new(&stores, &Line::new()).orchestrator();
    let checked = orchestrator.check_worker_liveness(&[0, 1, 2, 3, 4], 100 * SECOND).await;
    use LivenessStatus::{Alive, Dead, Stale};
    assert_eq!(checked, [(0, Alive), (1, Alive), (2, Stale), (3, Dead), (4, Dead)]);
    assert_eq!(orchestrator.list_workers().await.unwrap(), [0, 1, 2, 3]);
}

/// A worker that is at work is listed with its item, and is alive; when it is done it is listed as idle.
pub(super) async fn a_live_worker_is_listed_with_its_health<S: Stores>(stores: S) {
    let (held, begun, go_on) = Act::held("one");
    let harness = Harness::new(&stores, &Line { one: held, ..Line::new() });
    let orchestrator = harness.elsewhere().await.orchestrator();
    assert_eq!(orchestrator.list_worker_health().await.unwrap(), []);
    let run = orchestrator.start_run(&started(), 5).await.unwrap();
    let worker = harness.worker();
    let step = tokio::spawn(async move { worker.run_once(7).await });
    begun.notified().await;
    let listed = orchestrator.list_worker_health().await.unwrap();
    let said: Vec<_> = listed.iter().map(|health| (health.worker_id, health.status)).collect();
    assert_eq!(said, [(7, WorkerStatus::InProgress)]);
    assert_eq!(listed[0].current_work_item.as_deref(), Some("One(5)"));
    assert_eq!(listed[0].current_work_item_run_id.as_deref(), Some(run.as_str()));
    let checked = orchestrator.check_worker_liveness(&[7], DEADLINE).await;
    assert_eq!(checked, [(7, LivenessStatus::Alive)]);
    go_on.notify_one();
    assert_eq!(step.await.unwrap(), Ok(None));
    let listed = orchestrator.list_worker_health().await.unwrap();
    let said: Vec<_> = listed.iter().map(|health| (health.worker_id, health.status)).collect();
    assert_eq!(said, [(7, WorkerStatus::Idle)]);
    assert_eq!(listed[0].current_work_item, None);
}
