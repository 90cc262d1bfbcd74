//! Runs with a deadline.

use super::{BackendUnderTest, DEADLINE, TestHost, host::request};
use crate::{
    interceptor::{Intercepted, Interceptor},
    wait_until,
};
use async_trait::async_trait;
use jetway_core::{ChildRun, Transition, step};
use jetway_engine::{
    Engine, EngineConfig, Sweeper,
    backend::{Alarm, Api, Backend, BackendError, StartRequest},
};
use jetway_macros::{node, workflow};
use jetway_state::{
    RunKey, Timestamp,
    run::{RunDeadline, StartTime, Status, control::Control},
    view::WaitKind,
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

/// The deadline of the runs of this suite.
const LIMIT: Duration = Duration::from_millis(900);
/// How long after its deadline a run ends at the latest.
const LATE: Duration = Duration::from_secs(3);
const LONG: u64 = 600_000;

node! {
    /// Sleeps so many milliseconds.
    struct Nap {};
    input = u64; output = u64;
    |_ctx, millis| { Ok(Transition::NextAfter(Duration::from_millis(millis), millis)) }
}

node! {
    /// Runs until it is asked to stop, and counts that.
    struct Work { stopped: Arc<AtomicU32> };
    input = u64; output = u64;
    |_ctx, millis| {
        let token = step().map(|step| step.cancel_token().clone()).unwrap_or_default();
        tokio::select! {
            () = token.cancelled() => { self.stopped.fetch_add(1, SeqCst); }
            () = tokio::time::sleep(Duration::from_millis(millis)) => {}
        }
        Ok(Transition::Next(millis))
    }
}

node! { struct Wake {}; input = u64; output = u64; |_ctx, millis| { Ok(Transition::Next(millis)) } }
node! { struct Undo {}; input = u64; output = u64; |_ctx, millis| { Ok(Transition::NextAfter(Duration::from_millis(100), millis)) } }
node! { struct Tell { told: Arc<AtomicU32> }; input = u64; output = u64; |_ctx, millis| { self.told.fetch_add(1, SeqCst); Ok(Transition::Next(millis)) } }

workflow! {
    /// A run sleeps.
    struct Sleeper { nap: Nap, wake: Wake }
    name = "sleeper";
    start = nap;
    deadline = "900 ms";
    edges { nap => [wake]; wake => []; }
}

workflow! {
    /// A step is under way.
    struct Worker { work: Work }
    name = "busy";
    start = work;
    deadline = LIMIT;
    edges { work => []; }
}

workflow! {
    /// A run with a clean-up that sleeps.
    struct Careful { nap: Nap, wake: Wake, undo: Undo, tell: Tell }
    name = "careful";
    start = nap;
    deadline = "900 ms";
    edges { nap => [wake]; wake => []; wake on_cancel => [undo]; undo => [tell]; tell => []; }
}

workflow! {
    /// A run that waits for another one, which has no deadline.
    struct Guardian { child: ChildRun<(), Endless> }
    name = "guardian";
    start = child;
    deadline = "900 ms";
    edges { child => []; }
}

workflow! { struct Endless { nap: Nap, wake: Wake } name = "endless"; start = nap; edges { nap => [wake]; wake => []; } }

/// What nodes did.
#[derive(Debug, Clone, Default)]
struct Counts {
    stopped: Arc<AtomicU32>,
    told: Arc<AtomicU32>,
}

fn host(backend: &Arc<dyn Backend>, counts: &Counts) -> TestHost {
    let endless = Endless { nap: Nap {}, wake: Wake {} };
    let engine = Engine::builder(Arc::clone(backend))
        .config(EngineConfig { stale_after: Duration::ZERO, ..EngineConfig::default() })
        .workflow(Sleeper { nap: Nap {}, wake: Wake {} })
        .workflow(Worker { work: Work { stopped: Arc::clone(&counts.stopped) } })
        .workflow(Careful {
            nap: Nap {},
            wake: Wake {},
            undo: Undo {},
            tell: Tell { told: Arc::clone(&counts.told) },
        })
        .workflow(Guardian { child: ChildRun::new(endless.clone()) })
        .workflow(endless)
        .build();
    TestHost::of(engine.expect("the workflows are sound"))
}

async fn at_work(backend: &Arc<dyn Backend>, counts: &Counts) -> TestHost {
    let mut host = host(backend, counts);
    host.work(64).await;
    host
}

async fn sleeps(host: &TestHost, run: &RunKey) {
    wait_until("the run sleeps", DEADLINE, async || {
        host.status(run).await.pending.iter().any(|pending| pending.sleeping == 1)
    })
    .await;
}

/// The result of a run that failed at its deadline, which is `limit` after `start`.
async fn failed_at(tested: &BackendUnderTest, host: &TestHost, run: &RunKey, deadline: Timestamp) -> Value {
    let result = host.result(run).await;
    let late = tested.backend.clock().now().since(deadline);
    assert_eq!(
        (&result["status"], &result["error"]["kind"]),
        (&"failed".into(), &"deadline".into()),
        "{result:#}"
    );
    let message = result["error"]["message"].as_str().expect("a message");
    assert!(message.starts_with(&format!("the run was not done at its deadline, {deadline}: ")), "{message}");
    let ended = Timestamp::parse(result["finished_at"].as_str().expect("a time")).expect("RFC 3339");
    assert!(ended >= deadline && late <= LATE, "it ended at {ended}, and its deadline was {deadline}");
    result
}

/// The deadline of a run, as its status says.
async fn deadline_of(host: &TestHost, run: &RunKey) -> Timestamp {
    let deadline = host.status(run).await.deadline.expect("it has one");
    Timestamp::parse(&deadline).expect("RFC 3339")
}

fn started(start: &str) -> Timestamp {
    Timestamp::parse(start).expect("RFC 3339")
}

pub(super) async fn w52_a_run_fails_at_its_deadline(tested: BackendUnderTest) {
    let counts = Counts::default();
    let host = at_work(&tested.backend, &counts).await;
    let asleep = host.start("sleeper", "asleep", &LONG).await;
    let busy = host.start("busy", "busy", &LONG).await;
    let done = host.start("sleeper", "done", &10_u64).await;
    assert_eq!(host.output::<u64>(&done).await, 10);
    sleeps(&host, &asleep).await;
    let status = host.status(&asleep).await;
    let deadline = deadline_of(&host, &asleep).await;
    assert_eq!(deadline, started(&status.run.started_at).after(LIMIT));
    let kinds: Vec<_> = status.waits.iter().map(|wait| (wait.kind, wait.until.clone())).collect();
    assert_eq!(kinds.last(), Some(&(WaitKind::Deadline, Some(deadline.to_string()))), "{kinds:?}");
    assert_eq!((kinds.len(), kinds[0].0), (2, WaitKind::Timer));
    let of_busy = deadline_of(&host, &busy).await;
    let result = failed_at(&tested, &host, &asleep, deadline).await;
    assert_eq!((&result["cancel"], &result["steps"]), (&Value::Null, &1.into()));
    failed_at(&tested, &host, &busy, of_busy).await;
    // Its node is cancelled, and its ticket is acked.
    wait_until("no item has a ticket", DEADLINE, async || {
        tested.backend.items_with_tickets(&busy, None).await.expect("tickets can be listed").is_empty()
    })
    .await;
    assert!(counts.stopped.load(SeqCst) <= 1);
}

pub(super) async fn w52_a_deadline_takes_the_clean_up(tested: BackendUnderTest) {
    let counts = Counts::default();
    let host = at_work(&tested.backend, &counts).await;
    let run = host.start("careful", "r", &LONG).await;
    sleeps(&host, &run).await;
    let deadline = deadline_of(&host, &run).await;
    let result = failed_at(&tested, &host, &run, deadline).await;
    assert_eq!(result["cancel"]["reason"], "deadline", "{result:#}");
    assert_eq!(counts.told.load(SeqCst), 1);
    // What a person cancels stays cancelled, also if the clean-up goes on at the deadline.
    let cancelled = host.start("careful", "cancelled", &LONG).await;
    sleeps(&host, &cancelled).await;
    host.engine.control(&cancelled, Control::Cancel).await.expect("it can be told").expect("it is there");
    let result = host.result(&cancelled).await;
    assert_eq!((&result["status"], &result["cancel"]["reason"]), (&"cancelled".into(), &"requested".into()));
}

pub(super) async fn w27_a_pause_does_not_count_for_the_deadline(tested: BackendUnderTest) {
    let (counts, clock) = (Counts::default(), tested.backend.clock());
    let host = at_work(&tested.backend, &counts).await;
    let run = host.start("sleeper", "r", &LONG).await;
    sleeps(&host, &run).await;
    let tell = async |control| {
        host.engine.control(&run, control).await.expect("it can be told").expect("it is there");
    };
    let before = deadline_of(&host, &run).await;
    let paused = clock.now();
    tell(Control::Pause).await;
    // The alarm of the deadline rings meanwhile.
    clock.sleep_until(before.after(Duration::from_secs(1))).await;
    assert_eq!(host.status(&run).await.run.status, Status::Paused);
    let resumed = clock.now();
    tell(Control::Resume).await;
    let deadline = deadline_of(&host, &run).await;
    assert!(
        deadline >= before.after(resumed.since(paused).saturating_sub(LIMIT)),
        "{before} became {deadline}"
    );
    failed_at(&tested, &host, &run, deadline).await;
}

pub(super) async fn a_start_sets_the_deadline(tested: BackendUnderTest) {
    let host = at_work(&tested.backend, &Counts::default()).await;
    let start =
        |id: &str, workflow: &str, deadline| StartRequest { deadline, ..request(workflow, id, &LONG) };
    let longer = RunDeadline::After(Duration::from_secs(3600));
    let run = host.engine.start(start("longer", "sleeper", longer)).await.expect("it is started");
    let status = host.status(&run).await;
    let hour = started(&status.run.started_at).after(Duration::from_secs(3600));
    assert_eq!(deadline_of(&host, &run).await, hour);
    assert_eq!(host.status(&host.start("endless", "none", &LONG).await).await.deadline, None);
    // It counts from the time of the start.
    let later = tested.backend.clock().now().after(Duration::from_secs(1));
    let request = start("later", "endless", RunDeadline::parse("500ms"));
    let request = StartRequest { start_time: StartTime::At(later), ..request };
    let run = host.engine.start(request).await.expect("it is started");
    let deadline = deadline_of(&host, &run).await;
    assert_eq!(deadline, later.after(Duration::from_millis(500)));
    failed_at(&tested, &host, &run, deadline).await;
    for (bad, sentence) in [
        (
            RunDeadline::parse("soon"),
            "invalid deadline \"soon\": use the time that the run may take, such as",
        ),
        (RunDeadline::parse("0s"), "a deadline of zero"),
        (RunDeadline::After(Duration::MAX), "out of range"),
    ] {
        let refused = Api::start(&*host.engine, start("bad", "endless", bad), None).await;
        let refused = refused.expect_err("it is refused");
        assert!(refused.code == 400 && refused.message.contains(sentence), "{refused}");
    }
    Api::status(&*host.engine, "endless", "bad").await.expect_err("no such run");
}

pub(super) async fn a_deadline_ends_the_children(tested: BackendUnderTest) {
    let host = at_work(&tested.backend, &Counts::default()).await;
    let run = host.start("guardian", "r", &LONG).await;
    let child = host.child_of(&run).await;
    let deadline = deadline_of(&host, &run).await;
    failed_at(&tested, &host, &run, deadline).await;
    assert_eq!(host.status(&child).await.run.status, Status::Cancelled);
}

/// Loses alarms, or everything that a host does after a commit.
#[derive(Debug)]
struct Losing {
    backend: Arc<dyn Backend>,
    loses: Arc<AtomicBool>,
}

#[async_trait]
impl Interceptor for Losing {
    fn inner(&self) -> &dyn Backend {
        &*self.backend
    }

    async fn arm(&self, alarm: Alarm) -> Result<(), BackendError> {
        match self.loses.load(SeqCst) {
            true => Ok(()),
            false => self.backend.arm(alarm).await,
        }
    }
}

pub(super) async fn w26_a_lost_deadline_is_found_by_the_sweep(tested: BackendUnderTest) {
    let losing = Losing { backend: Arc::clone(&tested.backend), loses: Arc::new(AtomicBool::new(true)) };
    let backend: Arc<dyn Backend> = Arc::new(Intercepted(losing));
    let counts = Counts::default();
    let host = at_work(&backend, &counts).await;
    let runs = [host.start("sleeper", "r", &LONG).await, host.start("careful", "r", &LONG).await];
    let mut sweeper = Sweeper::default();
    for run in &runs {
        let deadline = deadline_of(&host, run).await;
        wait_until("the sweep ends the run", DEADLINE, async || {
            host.engine.sweep(&mut sweeper).await.expect("it can be swept");
            host.status(run).await.run.status != Status::Running
        })
        .await;
        // The clean-up sleeps, and its alarm is lost as well.
        wait_until("the sweep ends the run", DEADLINE, async || {
            host.engine.sweep(&mut sweeper).await.expect("it can be swept");
            host.status(run).await.run.status == Status::Failed
        })
        .await;
        let result = host.result(run).await;
        assert_eq!(result["error"]["kind"], json!("deadline"), "{deadline}: {result:#}");
    }
}
