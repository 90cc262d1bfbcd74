//! Cancelling with clean-up, and terminating.

mod booking;
mod ended_first;

pub(super) use ended_first::w47_an_alarm_of_a_run_that_has_ended_meanwhile_is_disarmed;

use super::{BackendUnderTest, DEADLINE, TestHost};
use crate::{
    interceptor::{Intercepted, Interceptor},
    wait_until,
};
use async_trait::async_trait;
use booking::{Job, Letter, Log, Pay, Undo, Write, engine};
use jetway_engine::{
    Engine, EngineConfig, SweepReport, Sweeper,
    api::RetryQuery,
    backend::{Alarm, Api, Backend, BackendError, BackendErrorKind, Ticket},
};
use jetway_state::{
    Fingerprint, RunKey,
    run::{
        CancelReason, Status,
        control::{Control, ControlResult},
    },
};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

/// How long a cancel takes at most.
const SOON: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(600);
/// How often the row of the table wants it.
const RUNS: usize = 500;

fn config() -> EngineConfig {
    EngineConfig { stale_after: Duration::ZERO, ..EngineConfig::default() }
}

async fn host(backend: &Arc<dyn Backend>, log: &Log, config: EngineConfig) -> TestHost {
    let mut host = TestHost::of(engine(backend, log, config));
    host.work(64).await;
    host
}

async fn at_work(tested: &BackendUnderTest) -> (TestHost, Log) {
    let log = Log::new(tested);
    (host(&tested.backend, &log, config()).await, log)
}

async fn book(host: &TestHost, id: &str, sleep: u64, pay: Pay, undo: Undo) -> RunKey {
    host.start("booking", id, &Job { sleep, pay, undo }).await
}

async fn tell(host: &TestHost, run: &RunKey, control: Control) -> ControlResult {
    host.engine.control(run, control).await.expect("it can be told").expect("it is there")
}

async fn asleep(host: &TestHost, run: &RunKey) {
    wait_until("the run sleeps", DEADLINE, async || {
        host.status(run).await.pending.iter().any(|pending| pending.sleeping == 1)
    })
    .await;
}

/// The result of a run that is cancelled, and the reason in it.
async fn cancelled(host: &TestHost, run: &RunKey) -> (Value, String) {
    let result = host.result(run).await;
    assert_eq!(result["status"], "cancelled", "{result:#}");
    let reason = result["cancel"]["reason"].as_str().expect("a reason").to_owned();
    (result, reason)
}

pub(super) async fn w37_a_run_that_waits_is_cleaned_up_at_once(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    for (id, sleep, pay, done) in [
        ("sleeps", 600_000, Pay::Succeeds, ["reserve", "refund", "release", "letter"].as_slice()),
        ("backs-off", 0, Pay::Busy, ["reserve", "pay", "refund", "release", "letter"].as_slice()),
    ] {
        let run = book(&host, id, sleep, pay, Undo::Once).await;
        asleep(&host, &run).await;
        let before = log.clock.now();
        let told = tell(&host, &run, Control::Cancel).await;
        assert_eq!(told, ControlResult { status: Status::Cancelling, changed: true });
        let (result, reason) = cancelled(&host, &run).await;
        let took = log.clock.now().since(before);
        assert!(took < SOON, "{id}: {took:?}");
        assert_eq!((reason.as_str(), &result["cancel"]["not_run"]), ("requested", &Value::Null));
        assert_eq!(log.of(&run)[..done.len() - 1], done[..done.len() - 1], "{id}");
        // The letter is a run of its own.
        assert_eq!(
            log.all().iter().filter(|(_, what, _)| what == "letter").count(),
            if id == "sleeps" { 1 } else { 2 }
        );
        assert_eq!(log.of(&run).iter().filter(|what| *what == "pay").count(), usize::from(id != "sleeps"));
    }
}

pub(super) async fn w46_a_step_that_succeeds_after_the_cancel_counts(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    let run = book(&host, "r", 0, Pay::Succeeds, Undo::Once).await;
    log.wait_for(&run, "pay").await;
    let before = log.clock.now();
    assert_eq!(tell(&host, &run, Control::Cancel).await.status, Status::Cancelling);
    let (result, _) = cancelled(&host, &run).await;
    let took = log.time_of("asked").since(before);
    assert!(took < SOON, "the node was asked to stop after {took:?}");
    assert_eq!(
        (&result["steps"], log.of(&run)),
        (&2.into(), ["reserve", "pay", "asked"].map(str::to_owned).to_vec())
    );
}

pub(super) async fn w46_no_cancelled_run_is_completed(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    let pay = |nth: usize| if nth.is_multiple_of(2) { Pay::Succeeds } else { Pay::Takes(100) };
    let runs = (0..RUNS).map(|nth| {
        let (host, log) = (&host, &log);
        async move {
            let run = book(host, &format!("r{nth}"), 0, pay(nth), Undo::Once).await;
            log.wait_for(&run, "pay").await;
            let told = tell(host, &run, Control::Cancel).await;
            // A step that takes a time of its own may have ended before.
            let expected = if told.changed { "cancelled" } else { "completed" };
            assert_eq!(host.result(&run).await["status"], expected, "{run}: {told:?}");
            usize::from(told.changed)
        }
    });
    let changed: usize = futures::future::join_all(runs).await.into_iter().sum();
    assert!(changed > RUNS / 2, "{changed}");
    // What was paid is not refunded: those steps are finished.
    let refunds = log.all().iter().filter(|(_, what, _)| what == "refund").count();
    assert_eq!(refunds, 0);
}

pub(super) async fn w46_a_step_that_fails_after_the_cancel_is_cleaned_up(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    let run = book(&host, "r", 0, Pay::Fails, Undo::Once).await;
    log.wait_for(&run, "pay").await;
    tell(&host, &run, Control::Cancel).await;
    let (result, _) = cancelled(&host, &run).await;
    // It is not tried again, and its error does not count.
    assert_eq!(log.of(&run), ["reserve", "pay", "asked", "refund", "release"]);
    assert_eq!((&result["steps"], &result["error"]), (&4.into(), &Value::Null));
}

pub(super) async fn w47_a_clean_up_runs_to_its_end_once(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    let run = book(&host, "r", 600_000, Pay::Succeeds, Undo::Again).await;
    asleep(&host, &run).await;
    tell(&host, &run, Control::Cancel).await;
    log.wait_for(&run, "refund").await;
    let again = ControlResult { status: Status::Cancelling, changed: false };
    assert_eq!(tell(&host, &run, Control::Cancel).await, again, "it is being cancelled already");
    let paused = Api::control(&*host.engine, Control::Pause, "booking", "r").await.expect_err("it cannot");
    assert_eq!((paused.code, paused.message.contains("being cancelled")), (409, true), "{paused}");
    let status = host.status(&run).await;
    assert_eq!(status.run.cancel.as_ref().map(|cancel| cancel.reason), Some(CancelReason::Requested));
    assert!(status.waiting_for.is_some_and(|why| why.starts_with("its clean-up, which ends at ")));
    // The host is lost, and another one comes.
    drop(host);
    let host = self::host(&tested.backend, &log, config()).await;
    let (result, reason) = cancelled(&host, &run).await;
    assert_eq!(reason, "requested");
    let done = log.of(&run);
    assert_eq!(done.iter().filter(|what| *what == "release").count(), 1, "{done:?}");
    assert!(done.iter().filter(|what| *what == "refund").count() >= 2, "{done:?}");
    assert_eq!((&result["handled_failures"], &result["error"]), (&Value::Null, &Value::Null));
    assert_eq!(log.all().iter().filter(|(_, what, _)| what == "letter").count(), 1);
    assert_eq!(tell(&host, &run, Control::Cancel).await.status, Status::Cancelled);
}

pub(super) async fn a_clean_up_that_fails_is_told(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    let run = book(&host, "r", 600_000, Pay::Succeeds, Undo::Fails).await;
    asleep(&host, &run).await;
    tell(&host, &run, Control::Cancel).await;
    let (result, _) = cancelled(&host, &run).await;
    assert_eq!((&result["error"]["node"], log.of(&run).len()), (&"refund".into(), 2), "{result:#}");
}

pub(super) async fn w47_a_person_retries_a_step_of_a_clean_up(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    let run = book(&host, "r", 600_000, Pay::Succeeds, Undo::WhenAsked).await;
    asleep(&host, &run).await;
    tell(&host, &run, Control::Cancel).await;
    wait_until("its clean-up waits for a person", DEADLINE, async || {
        let left = tested.backend.items_with_tickets(&run, None).await.expect("tickets can be listed");
        host.status(&run).await.waiting_for_person.len() == 1 && left.is_empty()
    })
    .await;
    let retried = Api::retry(&*host.engine, "booking", "r", RetryQuery { item: None }).await;
    assert_eq!(retried.expect("it waits").status, Status::Cancelling);
    // No sweep looks for items without tickets here.
    cancelled(&host, &run).await;
    assert_eq!(log.of(&run).last().map(String::as_str), Some("release"));
}

pub(super) async fn w47_a_run_that_is_terminated_ends_at_once(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    let (running, cancelling, paused) = (
        book(&host, "running", 0, Pay::Succeeds, Undo::Once).await,
        book(&host, "cancelling", 600_000, Pay::Succeeds, Undo::Sleeps).await,
        book(&host, "paused", 600_000, Pay::Succeeds, Undo::Once).await,
    );
    log.wait_for(&running, "pay").await;
    asleep(&host, &paused).await;
    asleep(&host, &cancelling).await;
    tell(&host, &paused, Control::Pause).await;
    tell(&host, &cancelling, Control::Cancel).await;
    log.wait_for(&cancelling, "refund").await;
    for run in [&running, &cancelling, &paused] {
        let told = tell(&host, run, Control::Terminate).await;
        assert_eq!(told, ControlResult { status: Status::Cancelled, changed: true });
        let (_, reason) = cancelled(&host, run).await;
        assert_eq!(reason, "terminated");
        assert!(!log.of(run).contains(&"release".to_owned()));
        let again = ControlResult { status: Status::Cancelled, changed: false };
        assert_eq!(tell(&host, run, Control::Terminate).await, again);
    }
}

pub(super) async fn w47_past_its_limit_a_clean_up_ends(tested: BackendUnderTest) {
    let log = Log::new(&tested);
    let limit = Duration::from_millis(700);
    let host = host(&tested.backend, &log, EngineConfig { clean_up_limit: limit, ..config() }).await;
    let run = book(&host, "r", 600_000, Pay::Succeeds, Undo::Sleeps).await;
    asleep(&host, &run).await;
    let before = log.clock.now();
    tell(&host, &run, Control::Cancel).await;
    let (result, reason) = cancelled(&host, &run).await;
    assert!(log.clock.now().since(before) >= limit);
    assert_eq!(
        (reason.as_str(), &result["cancel"]["not_run"]),
        ("cleanup_timeout", &serde_json::json!(["release"]))
    );
    assert_eq!(log.of(&run), ["reserve", "refund"]);
}

pub(super) async fn branches_are_cleaned_up_as_their_node_allows(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    let run = host.start("tour", "r", &5_u32).await;
    log.wait_for(&run, "pay").await;
    tell(&host, &run, Control::Cancel).await;
    cancelled(&host, &run).await;
    let done = log.of(&run);
    let count = |what: &str| done.iter().filter(|done| *done == what).count();
    assert_eq!((count("pay"), count("asked"), count("refund")), (1, 1, 4), "{done:?}");
}

pub(super) async fn a_run_that_is_paused_is_cleaned_up(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    let run = book(&host, "r", 0, Pay::Takes(50), Undo::Once).await;
    tell(&host, &run, Control::Pause).await;
    // Whatever has run, its successor is parked now, or the run has ended.
    wait_until("no item has a ticket", DEADLINE, async || {
        let left = tested.backend.items_with_tickets(&run, None).await.expect("tickets can be listed");
        left.is_empty()
    })
    .await;
    if host.status(&run).await.run.status == Status::Paused {
        assert_eq!(tell(&host, &run, Control::Cancel).await.status, Status::Cancelling);
        cancelled(&host, &run).await;
        assert!(log.of(&run).contains(&"release".to_owned()), "{:?}", log.of(&run));
    }
}

pub(super) async fn a_host_that_does_not_know_the_workflow_cancels(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    let run = book(&host, "r", 600_000, Pay::Succeeds, Undo::Once).await;
    asleep(&host, &run).await;
    let other =
        Engine::builder(Arc::clone(&tested.backend)).workflow(Letter { write: Write { log: log.clone() } });
    let other = TestHost::of(other.build().expect("the workflow is sound"));
    assert_eq!(tell(&other, &run, Control::Cancel).await.status, Status::Cancelling);
    cancelled(&host, &run).await;
    assert_eq!(log.of(&run), ["reserve", "refund", "release"]);
}

pub(super) async fn a_run_without_clean_up_is_cancelled_at_once(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    let run = host.start("plain", "r", &Job { sleep: 0, pay: Pay::Takes(600_000), undo: Undo::Once }).await;
    log.wait_for(&run, "pay").await;
    let told = tell(&host, &run, Control::Cancel).await;
    assert_eq!(told, ControlResult { status: Status::Cancelled, changed: true });
    assert_eq!(cancelled(&host, &run).await.1, "requested");
    // Its node is dropped, and its ticket is finished.
    let before = log.clock.now();
    wait_until("no item has a ticket", DEADLINE, async || {
        tested.backend.items_with_tickets(&run, None).await.expect("tickets can be listed").is_empty()
    })
    .await;
    let took = log.clock.now().since(before);
    assert!(took < SOON, "{took:?}");
}

/// Loses the host after a commit: nothing more is published, and no alarm is armed, while it is set.
#[derive(Debug)]
struct Dying {
    backend: Arc<dyn Backend>,
    dies: Arc<AtomicBool>,
}

impl Dying {
    fn gone(&self) -> Result<(), BackendError> {
        match self.dies.load(SeqCst) {
            true => Err(BackendError::new(BackendErrorKind::Closed, "the host is lost")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Interceptor for Dying {
    fn inner(&self) -> &dyn Backend {
        &*self.backend
    }

    async fn publish(&self, tickets: Vec<(Ticket, Fingerprint)>) -> Result<(), BackendError> {
        self.gone()?;
        self.backend.publish(tickets).await
    }

    async fn arm(&self, alarm: Alarm) -> Result<(), BackendError> {
        self.gone()?;
        self.backend.arm(alarm).await
    }
}

/// A run whose cancel was committed by a host that was lost then.
async fn half_cancelled(tested: &BackendUnderTest) -> (Log, RunKey) {
    let log = Log::new(tested);
    let dies = Arc::new(AtomicBool::new(false));
    let dying = Dying { backend: Arc::clone(&tested.backend), dies: Arc::clone(&dies) };
    let backend: Arc<dyn Backend> = Arc::new(Intercepted(dying));
    let host = host(&backend, &log, config()).await;
    let run = book(&host, "r", 600_000, Pay::Succeeds, Undo::Once).await;
    asleep(&host, &run).await;
    // A ticket whose ack is lost would be delivered again, and bring the run back by itself.
    wait_until("the run has no ticket", DEADLINE, async || {
        tested.backend.items_with_tickets(&run, None).await.expect("it can be asked").is_empty()
    })
    .await;
    dies.store(true, SeqCst);
    host.engine.control(&run, Control::Cancel).await.expect_err("the host is lost");
    assert_eq!(host.status(&run).await.run.status, Status::Cancelling);
    (log, run)
}

pub(super) async fn a_cancel_that_is_repeated_completes_a_lost_one(tested: BackendUnderTest) {
    let (log, run) = half_cancelled(&tested).await;
    let host = host(&tested.backend, &log, config()).await;
    let told = tell(&host, &run, Control::Cancel).await;
    assert_eq!(told, ControlResult { status: Status::Cancelling, changed: false });
    cancelled(&host, &run).await;
    assert_eq!(log.of(&run), ["reserve", "refund", "release"]);
}

pub(super) async fn a_cancel_that_was_lost_is_found_by_the_sweep(tested: BackendUnderTest) {
    let (log, run) = half_cancelled(&tested).await;
    let host = host(&tested.backend, &log, config()).await;
    let mut sweeper = Sweeper::default();
    wait_until("the sweep finds the run", DEADLINE, async || {
        let SweepReport { republished, .. } = host.engine.sweep(&mut sweeper).await.expect("it can be swept");
        republished == 1
    })
    .await;
    cancelled(&host, &run).await;
    assert_eq!(log.of(&run), ["reserve", "refund", "release"]);
}
