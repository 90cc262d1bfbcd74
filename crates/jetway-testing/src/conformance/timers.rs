//! Runs that wait for time.

use super::{BackendUnderTest, DEADLINE, TestHost, host::request, late_ack::Unacked};
use crate::{
    interceptor::{Intercepted, Interceptor},
    wait_until,
};
use async_trait::async_trait;
use jetway_core::{Delay, Failure, Transition, clock::Clock};
use jetway_engine::{
    Engine, EngineConfig, Sweeper,
    backend::{Alarm, Api, Backend, BackendError, StartRequest, Ticket},
};
use jetway_macros::{node, workflow};
use jetway_state::{
    RunKey, Timestamp,
    run::{Snapshot, StartTime, Status, control::Control},
    view::WaitKind,
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

/// When nodes ran, by the clock of the backend.
#[derive(Debug, Clone)]
pub(super) struct Log {
    clock: Arc<dyn Clock>,
    woken: Arc<Mutex<Vec<(u64, Timestamp)>>>,
    inside: Arc<AtomicU32>,
    most: Arc<AtomicU32>,
}

impl Log {
    pub(super) fn new(backend: &Arc<dyn Backend>) -> Self {
        Self { clock: backend.clock(), woken: Arc::default(), inside: Arc::default(), most: Arc::default() }
    }

    pub(super) fn woken(&self) -> Vec<(u64, Timestamp)> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

node! {
    struct Naps {};
    input = Vec<u64>; output = u64;
    |_ctx, naps| { Ok(Transition::NextAll(naps)) }
}

node! {
    /// Waits for so many milliseconds.
    struct Nap {};
    input = u64; output = u64;
    |_ctx, millis| { Ok(Transition::NextAfter(Duration::from_millis(millis), millis)) }
}

node! {
    /// Waits until that many milliseconds since 1970.
    struct Until {};
    input = u64; output = u64;
    |_ctx, millis| { Ok(Transition::NextAt(UNIX_EPOCH + Duration::from_millis(millis), millis)) }
}

node! {
    struct Wake { log: Log };
    input = u64; output = u64;
    |_ctx, millis| {
        self.log.most.fetch_max(self.log.inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        self.log.woken.lock().unwrap_or_else(PoisonError::into_inner).push((millis, self.log.clock.now()));
        tokio::task::yield_now().await;
        self.log.inside.fetch_sub(1, Ordering::SeqCst);
        Ok(Transition::Next(millis))
    }
}

node! {
    struct Rescue {};
    input = Failure<u64>; output = u64;
    |_ctx, failure| { Ok(Transition::Next(u64::from(failure.message.starts_with("time out of range")))) }
}

node! {
    struct All {};
    input = Vec<u64>; output = Vec<u64>;
    |_ctx, naps| { Ok(Transition::Next(naps)) }
}

workflow! {
    struct Nights { naps: Naps, nap: Nap, wake: Wake, rescue: Rescue, #[gather] all: All }
    name = "nights";
    start = naps;
    edges { naps => [nap]; nap => [wake]; nap on_failure => [rescue]; rescue => [all]; wake => [all]; all => []; }
}

workflow! {
    struct OneBed { naps: Naps, nap: Nap, #[at_most = 1] wake: Wake, #[gather] all: All }
    name = "one-bed";
    start = naps;
    edges { naps => [nap]; nap => [wake]; wake => [all]; all => []; }
}

workflow! {
    /// The value of a terminal node is passed on later too.
    struct LastNap { pause: Delay<u64>, until: Until, nap: Nap }
    name = "last-nap";
    start = pause;
    edges { pause => [until]; until => [nap]; nap => []; }
}

pub(super) fn host(backend: &Arc<dyn Backend>, log: &Log) -> TestHost {
    let wake = || Wake { log: log.clone() };
    let engine = Engine::builder(Arc::clone(backend))
        .config(EngineConfig { stale_after: Duration::ZERO, ..EngineConfig::default() })
        .workflow(Nights { naps: Naps {}, nap: Nap {}, wake: wake(), rescue: Rescue {}, all: All {} })
        .workflow(OneBed { naps: Naps {}, nap: Nap {}, wake: wake(), all: All {} })
        .workflow(LastNap { pause: Delay::new(Duration::from_millis(20)), until: Until {}, nap: Nap {} })
        .build();
    TestHost::of(engine.expect("the workflows are sound"))
}

pub(super) async fn at_work(tested: &BackendUnderTest) -> (TestHost, Log) {
    let log = Log::new(&tested.backend);
    let mut host = host(&tested.backend, &log);
    host.work(64).await;
    (host, log)
}

pub(super) async fn asleep(host: &TestHost, run: &RunKey, items: usize) {
    wait_until("the items sleep", DEADLINE, async || {
        host.status(run).await.pending.iter().map(|pending| pending.sleeping).sum::<usize>() == items
    })
    .await;
}

/// No node ran before its time, counted from the start of the run, and each ran once.
fn check(log: &Log, started: Timestamp, naps: &[u64]) {
    check_times(log, started, naps, true);
}

fn check_times(log: &Log, started: Timestamp, naps: &[u64], is_once: bool) {
    let woken = log.woken();
    let mut millis: Vec<_> = woken.iter().map(|(millis, _)| *millis).collect();
    let mut wanted = naps.to_vec();
    millis.sort_unstable();
    wanted.sort_unstable();
    if is_once {
        assert_eq!(millis, wanted);
    } else {
        let (millis, wanted): (BTreeSet<_>, BTreeSet<_>) =
            (millis.into_iter().collect(), wanted.into_iter().collect());
        assert_eq!(millis, wanted);
    }
    for (millis, at) in woken {
        let slept = at.since(started);
        assert!(slept >= Duration::from_millis(millis), "{millis} ms were {slept:?}");
        assert!(slept < Duration::from_millis(millis) + DEADLINE / 4, "{millis} ms were {slept:?}");
    }
}

pub(super) async fn w24_short_and_long_waits_are_never_early(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    for (run, naps) in
        [("one", vec![700]), ("short", vec![1]), ("zero", vec![0]), ("many", vec![900, 50, 0, 450, 450])]
    {
        log.woken.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let started = tested.backend.clock().now();
        let run = host.start("nights", run, &naps).await;
        assert_eq!(host.output::<Vec<u64>>(&run).await, naps);
        check(&log, started, &naps);
    }
}

pub(super) async fn w23_a_run_says_until_when_it_waits(tested: BackendUnderTest) {
    const CENTURY: u64 = 100 * 365 * 24 * 3600 * 1000;
    let (host, log) = at_work(&tested).await;
    let run = host.start("nights", "r", &[CENTURY]).await;
    asleep(&host, &run, 1).await;
    let status = host.status(&run).await;
    let due = status.pending[0].due.as_deref().and_then(Timestamp::parse).expect("it has a due time");
    assert!(due.since(tested.backend.clock().now()) > Duration::from_millis(CENTURY - 60_000));
    let waiting_for = status.waiting_for.expect("it waits");
    assert_eq!(waiting_for, format!("a timer, due at {due}, for node \"wake\""));
    let [wait] = &status.waits[..] else { panic!("{:?}", status.waits) };
    assert_eq!((wait.kind, wait.items, wait.until.as_deref()), (WaitKind::Timer, 1, Some(&*due.to_string())));
    let range = host.start("nights", "range", &[u64::MAX]).await;
    assert_eq!(host.output::<Vec<u64>>(&range).await, [1], "its step failed, and was handled");
    // Whatever else happens to it meanwhile, it sleeps.
    host.engine.sweep(&mut Sweeper::default()).await.expect("it sweeps");
    assert_eq!((host.status(&run).await.run.status, log.woken()), (Status::Running, vec![]));
    let cancelled = Api::control(&*host.engine, Control::Cancel, "nights", "r").await.expect("it is there");
    assert_eq!(cancelled.status, Status::Cancelled);
}

/// Notes when alarms are to ring.
#[derive(Debug)]
struct NotedAlarms {
    inner: Arc<dyn Backend>,
    times: Arc<Mutex<BTreeSet<Timestamp>>>,
}

#[async_trait]
impl Interceptor for NotedAlarms {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    async fn arm(&self, alarm: Alarm) -> Result<(), BackendError> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).insert(alarm.due);
        self.inner.arm(alarm).await
    }
}

/// An alarm that is armed again takes the place of the one before, since it rings at the same time.
pub(super) async fn w23_a_long_wait_has_one_alarm(tested: BackendUnderTest) {
    let (log, times) = (Log::new(&tested.backend), Arc::default());
    let noted = NotedAlarms { inner: Arc::clone(&tested.backend), times: Arc::clone(&times) };
    let noted: Arc<dyn Backend> = Arc::new(Intercepted(noted));
    let mut host = host(&noted, &log);
    host.work(8).await;
    let due = log.clock.now().after(Duration::from_secs(400 * 24 * 3600));
    let start = StartRequest { start_time: StartTime::At(due), ..request("nights", "r", &[1]) };
    for _ in 0..3 {
        let run = host.engine.start(start.clone()).await.expect("it is started");
        asleep(&host, &run, 1).await;
        let (mut sweeper, now) = (Sweeper::default(), log.clock.now());
        wait_until("the run was written before now", DEADLINE, async || log.clock.now() > now).await;
        sweeper.suspect_loss(now, now);
        host.engine.sweep(&mut sweeper).await.expect("it sweeps");
    }
    let times = times.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(times.len(), 1, "{times:?}");
    Api::control(&*host.engine, Control::Cancel, "nights", "r").await.expect("it is there");
}

pub(super) async fn w27_a_paused_run_wakes_when_it_is_resumed(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    let (started, naps) = (tested.backend.clock().now(), [300, 301, 3_000]);
    let run = host.start("nights", "r", &naps).await;
    asleep(&host, &run, 3).await;
    Api::control(&*host.engine, Control::Pause, "nights", "r").await.expect("it is there");
    let due = started.after(Duration::from_millis(1500));
    wait_until("two of them are due", DEADLINE, async || tested.backend.clock().now() > due).await;
    assert_eq!(log.woken(), []);
    Api::control(&*host.engine, Control::Resume, "nights", "r").await.expect("it is there");
    assert_eq!(host.output::<Vec<u64>>(&run).await, naps);
    check(&log, started, &naps);
}

pub(super) async fn a_waiting_item_takes_no_slot_of_its_node(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    let (started, naps) = (tested.backend.clock().now(), [3_000, 400, 400, 0, 800]);
    let run = host.start("one-bed", "r", &naps).await;
    assert_eq!(host.output::<Vec<u64>>(&run).await, naps);
    // An item whose ticket of its time meets that of its slot may be executed twice. It is committed once.
    check_times(&log, started, &naps, false);
    assert_eq!(host.status(&run).await.run.steps, 12);
}

pub(super) async fn an_output_is_passed_on_later(tested: BackendUnderTest) {
    let (host, _log) = at_work(&tested).await;
    let run = host.start("last-nap", "r", &600).await;
    let result = host.result(&run).await;
    assert_eq!((&result["status"], &result["output"]), (&json!("completed"), &json!(600)));
    let [start, end] = ["started_at", "finished_at"]
        .map(|field| result[field].as_str().and_then(Timestamp::parse).expect("a time"));
    assert!(end.since(start) >= Duration::from_millis(620), "{result:#}");
}

/// Loses every alarm.
#[derive(Debug)]
struct NoAlarms(Arc<dyn Backend>);

#[async_trait]
impl Interceptor for NoAlarms {
    fn inner(&self) -> &dyn Backend {
        &*self.0
    }

    async fn arm(&self, _alarm: Alarm) -> Result<(), BackendError> {
        Ok(())
    }
}

pub(super) async fn w26_a_lost_alarm_is_found_by_the_sweep(tested: BackendUnderTest) {
    let log = Log::new(&tested.backend);
    let deaf: Arc<dyn Backend> = Arc::new(Intercepted(NoAlarms(Arc::clone(&tested.backend))));
    let mut host = host(&deaf, &log);
    host.work(8).await;
    let (started, naps) = (tested.backend.clock().now(), [600, 601]);
    let run = host.engine.start(request("nights", "r", &naps)).await.expect("it is started");
    asleep(&host, &run, 2).await;
    let mut sweeper = Sweeper::default();
    host.engine.sweep(&mut sweeper).await.expect("it sweeps");
    assert_eq!(log.woken(), []);
    wait_until("the sweep finds what is due", DEADLINE, async || {
        host.engine.sweep(&mut sweeper).await.expect("it sweeps");
        log.woken().len() == 2
    })
    .await;
    assert_eq!(host.output::<Vec<u64>>(&run).await, naps);
    check(&log, started, &naps);
}

/// Somebody has published a ticket for an item that sleeps. Its holder sees that it is not due, and acks it when it is.
pub(super) async fn w24_an_early_ticket_does_not_take_the_place_of_a_later_one(tested: BackendUnderTest) {
    let log = Log::new(&tested.backend);
    let mut host = host(&tested.backend, &log);
    let (started, naps) = (tested.backend.clock().now(), [900, 900]);
    let run = host.engine.start(request("nights", "r", &naps)).await.expect("it is started");
    let first = host.ticket("nights").await;
    let (copy, build) = (first.ticket.clone(), first.fingerprint);
    host.work_off(first).await;
    for _ in naps {
        host.work_off(host.ticket("nights").await).await;
    }
    let stored =
        tested.backend.load(&run, Default::default()).await.expect("it can be read").expect("it is there");
    let (snapshot, _) = Snapshot::open(&stored.bytes).expect("it is a snapshot");
    let alarm = snapshot.alarm(snapshot.updated_at).expect("it has one").ticket.item;
    let item = snapshot.waits.keys().find(|item| **item != alarm).expect("two items sleep").clone();
    let early = Ticket { item, node: "wake".to_owned(), revision: stored.revision, ..copy };
    tested.backend.publish(vec![(early, build)]).await.expect("it is published");
    let early = Unacked::of(&host, host.ticket("nights").await).await;
    host.work(8).await;
    wait_until("the other item wakes", DEADLINE, async || !log.woken().is_empty()).await;
    early.ack().await;
    assert_eq!(host.output::<Vec<u64>>(&run).await, naps);
    // After the ack it is looked at again. If its own alarm rings in that moment, it may be executed twice; it is committed once.
    check_times(&log, started, &naps, false);
}

/// A run whose alarms are lost goes on by one sweep in doubt, which begins after a time.
async fn goes_on_by_one_sweep(tested: &BackendUnderTest, naps: [u64; 2], after: Duration) {
    let (log, clock) = (Log::new(&tested.backend), tested.backend.clock());
    let deaf: Arc<dyn Backend> = Arc::new(Intercepted(NoAlarms(Arc::clone(&tested.backend))));
    let mut lost = host(&deaf, &log);
    lost.work(8).await;
    let started = clock.now();
    let run = lost.engine.start(request("nights", "r", &naps)).await.expect("it is started");
    asleep(&lost, &run, 2).await;
    drop(lost);
    let mut host = host(&tested.backend, &log);
    host.work(8).await;
    // The sweep looks at what was written before it began, to the millisecond.
    let sweep_after = clock.now().after(after);
    wait_until("it is time to sweep", DEADLINE, async || clock.now() > sweep_after).await;
    let (mut sweeper, now) = (Sweeper::default(), clock.now());
    sweeper.suspect_loss(now, now);
    host.engine.sweep(&mut sweeper).await.expect("it sweeps");
    // Nobody sweeps from now on.
    assert_eq!(host.output::<Vec<u64>>(&run).await, naps);
    check(&log, started, &naps);
}

pub(super) async fn w26_alarms_are_armed_again_in_doubt(tested: BackendUnderTest) {
    // Long enough for the sweep to come before they are over.
    goes_on_by_one_sweep(&tested, [4_000, 4_500], Duration::ZERO).await;
}

/// The sweep does not leave what became due to alarms that may be lost.
pub(super) async fn w26_what_is_due_just_now_is_found_in_doubt(tested: BackendUnderTest) {
    goes_on_by_one_sweep(&tested, [1_000, 1_100], Duration::from_millis(1_100)).await;
}
