//! Run ids that are used again: nothing of an earlier run acts on the later one.

use super::{
    Stores,
    faulty::LostCheckpoints,
    harness::{Harness, started},
    recording_callbacks::RecordingCallbacks,
    workflows::{Act, Ctx, Line, LineWorkItem, busy},
};
use jetway_core::{
    CheckpointStore as _, Transition, WorkQueue as _, Workflow,
    distributed::{ContextStore as _, RunInfo, RunInfoStore as _, RunMetrics, RunStatus, WorkItemStatus},
    step,
};
use jetway_state::{Error, RunId, run::Snapshot};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Starts another run of `Line` under a run id that was used, as if the record of the earlier run had expired. Returns the
/// record of that one.
async fn start_again<S: Stores>(harness: &Harness<S, Line>, run_id: &str, input: u64) -> Snapshot {
    const ELSEWHERE: &str = "elsewhere";
    let contexts = harness.contexts();
    harness.start(ELSEWHERE, input).await;
    harness.queue().purge_run(ELSEWHERE).await.unwrap();
    let other = Snapshot { run_id: RunId::new(run_id).unwrap(), ..harness.snapshot(ELSEWHERE).await };
    let (earlier, revision) = contexts.snapshot(run_id).await.unwrap().expect("the earlier run has a record");
    assert_ne!(earlier.incarnation, other.incarnation);
    assert!(contexts.swap_snapshot(run_id, revision, &other).await.unwrap());
    // A start that finds its record queues the first item.
    harness.start(run_id, input).await;
    earlier
}

/// A line whose first node waits in the run with the input 1, and then gives this answer.
fn held(answer: fn(u64) -> Result<Transition<u64>, Error>) -> (Line, Arc<Notify>, Arc<Notify>) {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let both = (Arc::clone(&begun), Arc::clone(&go_on));
    let one = Act::doing("one", move |input, _attempt| {
        let (begun, go_on) = both.clone();
        async move {
            if input == 1 {
                begun.notify_one();
                go_on.notified().await;
                return answer(input);
            }
            Ok(Transition::Next(input + 1))
        }
    });
    (Line { one, ..Line::new() }, begun, go_on)
}

const LATER_RUN: [&str; 6] = [
    "One(2) starts",
    "One(2) is done",
    "Two(3) starts",
    "Two(3) is done",
    "Three(4) starts",
    "Three(4) outputs 5",
];

/// An item of an earlier run that is still in the queue is neither executed nor told, and does not stand for one of the later
/// run.
pub(super) async fn h3_items_of_an_earlier_run_are_not_taken<S: Stores>(stores: S) {
    let (harness, callbacks) = (Harness::new(&stores, &Line::new()), RecordingCallbacks::new());
    harness.start("r", 1).await;
    start_again(&harness, "r", 2).await;
    let listed = harness.orchestrator().pending_work("r").await.unwrap();
    assert!(matches!(listed[..], [LineWorkItem::One(_, 2)]), "{listed:?}");
    assert_eq!(harness.drive("r", &callbacks).await, Ok(5));
    assert_eq!(callbacks.lines(), LATER_RUN);
    assert_eq!(harness.workflow.one.inputs(), [2]);
}

/// An attempt of an earlier run that ends after its run id was used again is discarded, and its lease holds nothing of the
/// later run.
pub(super) async fn h3_an_attempt_of_an_earlier_run_is_discarded<S: Stores>(stores: S) {
    let (line, begun, go_on) = held(|input| Ok(Transition::Next(input + 70)));
    let (harness, callbacks) = (Harness::new(&stores, &line), RecordingCallbacks::new());
    harness.start("r", 1).await;
    let (elsewhere, silent) = (harness.elsewhere().await, RecordingCallbacks::new());
    let attempt = tokio::spawn(async move { elsewhere.step(&silent).await });
    begun.notified().await;
    start_again(&harness, "r", 2).await;
    go_on.notify_one();
    assert_eq!(attempt.await.unwrap().unwrap(), None);
    assert_eq!(harness.drive("r", &callbacks).await, Ok(5));
    assert_eq!(callbacks.lines(), LATER_RUN);
    assert_eq!(harness.workflow.two.inputs(), [3]);
    assert_eq!(harness.context("r").await.trail().await, ["one 2", "two 3", "three 4"]);
    assert_eq!((harness.snapshot("r").await.steps, harness.pending("r").await), (3, vec![]));
}

/// The errors, retries, attempts and states of an earlier run are not those of the later one, also where they come late.
pub(super) async fn h1_views_of_an_earlier_run_are_kept_apart<S: Stores>(stores: S) {
    let (line, begun, go_on) = held(|_| busy("one"));
    let harness = Harness::new(&stores, &line);
    let (worker, orchestrator) = (harness.worker(), harness.orchestrator());
    harness.start("r", 1).await;
    go_on.notify_one();
    assert_eq!(worker.run_once(0).await, Err(busy::<()>("one").unwrap_err()));
    assert_eq!(orchestrator.errors("r").await.unwrap().len(), 1);
    assert_eq!(orchestrator.metrics("r").await.unwrap().retries, 1);
    // The second attempt begins when it is due, and ends in the time of the later run.
    begun.notified().await;
    let other = harness.elsewhere().await.worker();
    let late = tokio::spawn(async move {
        loop {
            if let Err(error) = other.run_once(1).await {
                return error;
            }
        }
    });
    begun.notified().await;
    start_again(&harness, "r", 2).await;
    let nothing = RunMetrics { total_work_items: 1, ..RunMetrics::default() };
    for _ in 0..2 {
        assert_eq!(orchestrator.errors("r").await, Ok(Vec::new()));
        assert_eq!(orchestrator.metrics("r").await, Ok(nothing));
        assert_eq!(orchestrator.list_work_items("r").await, Ok(Vec::new()));
        go_on.notify_one();
        tokio::task::yield_now().await;
    }
    assert_eq!(late.await.unwrap(), busy::<()>("one").unwrap_err());
    harness.work_off(&worker, "r").await;
    assert_eq!(orchestrator.errors("r").await, Ok(Vec::new()));
    let done = RunMetrics { total_work_items: 3, completed: 3, failed: 0, retries: 0 };
    assert_eq!(orchestrator.metrics("r").await, Ok(done));
    let items = orchestrator.list_work_items("r").await.unwrap();
    let fresh = |status, attempts| status == WorkItemStatus::Completed && attempts == 1;
    assert!(items.len() == 3 && items.iter().all(|item| fresh(item.status, item.attempts)), "{items:?}");
}

/// The list of runs shows the later run from its first step on, with its own output at its end, and no late end of the earlier
/// one.
pub(super) async fn h1_the_list_of_runs_shows_the_later_run<S: Stores>(stores: S) {
    let harness = Harness::new(&stores, &Line::new());
    let (worker, runs) = (harness.worker(), stores.runs());
    let listed = async || {
        let run = runs.get_run("r").await.unwrap().expect("the run is listed");
        (run.status, run.output)
    };
    harness.start("r", 1).await;
    harness.work_off(&worker, "r").await;
    assert_eq!(listed().await, (RunStatus::Completed, Some(4.into())));
    let earlier = start_again(&harness, "r", 2).await;
    worker.run_once(0).await.unwrap();
    assert_eq!(listed().await, (RunStatus::Running, None));
    harness.work_off(&worker, "r").await;
    assert_eq!(listed().await, (RunStatus::Completed, Some(5.into())));
    let late = RunInfo::try_from(&earlier).unwrap();
    let late = RunInfo { started_at: late.started_at - chrono::TimeDelta::seconds(1), ..late };
    assert!(!runs.list_run_of(late, earlier.incarnation).await.unwrap());
    assert_eq!(listed().await, (RunStatus::Completed, Some(5.into())));
}

/// A later run with the same input gives other services other idempotency keys.
pub(super) async fn h3_a_later_run_has_other_idempotency_keys<S: Stores>(stores: S) {
    let keys: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&keys);
    let one = Act::doing("one", move |input, _attempt| {
        seen.lock().unwrap().extend(step().map(|step| step.idempotency_key()));
        std::future::ready(Ok(Transition::Next(input)))
    });
    let harness = Harness::new(&stores, &Line { one, ..Line::new() });
    harness.start("r", 1).await;
    harness.drive("r", &RecordingCallbacks::new()).await.unwrap();
    start_again(&harness, "r", 1).await;
    harness.drive("r", &RecordingCallbacks::new()).await.unwrap();
    let keys = keys.lock().unwrap();
    assert!(keys.len() == 2 && keys[0] != keys[1], "{keys:?}");
}

/// A process that still runs an earlier run does not overwrite the checkpoint of the later one.
pub(super) async fn h3_a_later_run_keeps_its_checkpoint<S: Stores>(stores: S) {
    let (line, begun, go_on) = held(|input| Ok(Transition::Next(input)));
    let store = stores.checkpoints::<Ctx, LineWorkItem>();
    let (earlier, at) = (line.clone(), store.clone());
    let earlier = tokio::spawn(async move { earlier.run_with_checkpoint(&started(), 1, &at, "r").await });
    begun.notified().await;
    // The checkpoint of another run, before its first step, takes the place.
    line.run_with_checkpoint(&started(), 2, &LostCheckpoints::after(&store, 1), "other").await.unwrap_err();
    let other = store.load("other").await.unwrap().expect("it is saved before the first step");
    store.save("r", &other).await.unwrap();
    go_on.notify_one();
    let discarded = earlier.await.unwrap().unwrap_err();
    assert!(discarded.to_string().contains("in use by another run"), "{discarded}");
    assert_eq!(line.resume(&store, "r").await, Ok(5));
}
