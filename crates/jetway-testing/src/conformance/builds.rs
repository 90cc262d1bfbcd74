//! Two builds of one workflow, and values that a build cannot read.

mod workflows;

use super::{
    BackendUnderTest, DEADLINE, TestHost,
    host::request,
    workflows::{Family, Offspring, Probe},
};
use crate::{
    interceptor::{Intercepted, Interceptor},
    wait_until,
};
use async_trait::async_trait;
use jetway_core::Workflow;
use jetway_engine::{
    Engine, EngineConfig, Sweeper,
    backend::{Backend, BackendError, DeadLetter, SnapshotWrite},
};
use jetway_state::{
    Fingerprint, RunKey, Seen, codec,
    run::{Limits, Snapshot, Status, StatusView, UnreadablePart},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use workflows::{Fickle, FirstBuild, NextBuild, OtherContext, Reads};

/// A backend that keeps the dead letters of the hosts of a test.
#[derive(Debug)]
struct Letters {
    inner: Arc<dyn Backend>,
    letters: Mutex<Vec<DeadLetter>>,
    /// Creates this run, of somebody else, when the first child is started.
    takes_child_id: Mutex<bool>,
}

impl Letters {
    fn of(tested: &BackendUnderTest) -> Arc<Intercepted<Self>> {
        let (inner, letters) = (Arc::clone(&tested.backend), Mutex::default());
        Arc::new(Intercepted(Self { inner, letters, takes_child_id: Mutex::default() }))
    }

    fn all(&self) -> Vec<DeadLetter> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Interceptor for Letters {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    async fn commit(&self, write: SnapshotWrite) -> Result<u64, BackendError> {
        let is_child = write.awaited && write.expected == 0;
        let takes = {
            let mut takes = self.takes_child_id.lock().unwrap_or_else(PoisonError::into_inner);
            is_child && std::mem::take(&mut *takes)
        };
        if takes {
            let engine = engine(&self.inner, |engine| engine.workflow(Offspring::new(&Probe::open())));
            let run = request("offspring", write.run.run_id.as_str(), &77);
            engine.start(run).await.map_err(|error| panic!("it takes the id: {error}"))?;
        }
        self.inner.commit(write).await
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), BackendError> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).push(letter.clone());
        self.inner.dead_letter(letter).await
    }
}

fn engine(
    backend: &Arc<dyn Backend>,
    workflows: impl FnOnce(jetway_engine::EngineBuilder) -> jetway_engine::EngineBuilder,
) -> Engine {
    // One step for each ticket, so that another host gets the next one.
    let config = EngineConfig { steps_per_ticket: 1, stale_after: Duration::ZERO, ..EngineConfig::default() };
    let engine = Engine::builder(Arc::clone(backend)).config(config).host("a-host");
    workflows(engine).build().expect("the workflows are sound")
}

/// A host of one workflow.
fn host_of<C, W>(backend: &Arc<Intercepted<Letters>>, workflow: W) -> TestHost
where
    C: jetway_core::Context + jetway_core::Merge + 'static,
    W: Workflow<C> + 'static,
{
    let backend: Arc<dyn Backend> = Arc::clone(backend) as _;
    TestHost::of(engine(&backend, |engine| engine.workflow(workflow)))
}

/// The status of a run that has a marker of a build.
async fn parked(host: &TestHost, run: &RunKey) -> StatusView {
    wait_until("the run says that it waits for a build", DEADLINE, async || {
        let status = host.status(run).await;
        (!status.waiting_for_build.is_empty()).then_some(status)
    })
    .await
}

/// How many tickets these sweeps publish.
async fn swept(host: &TestHost, sweeps: usize) -> u64 {
    let (mut republished, clock) = (0, host.engine.clock());
    // What was written in this millisecond is not stale yet.
    let written = clock.now();
    wait_until("the clock goes on", DEADLINE, async || clock.now() > written).await;
    for _ in 0..sweeps {
        // A new one each time looks at every run.
        republished += host.engine.sweep(&mut Sweeper::default()).await.expect("it sweeps").republished;
    }
    republished
}

/// Starts a run of the old build, and commits its first step.
async fn first_step(old: &TestHost) -> RunKey {
    let run = old.start("builds", "r", &1).await;
    old.work_off(old.ticket("builds").await).await;
    assert_eq!(old.status(&run).await.run.steps, 1);
    run
}

async fn no_ticket(tested: &BackendUnderTest, run: &RunKey) {
    wait_until("the run has no ticket", DEADLINE, async || {
        tested.backend.items_with_tickets(run, None).await.expect("it can be asked").is_empty()
    })
    .await;
}

/// Lets the host of the fitting build find the run.
async fn finish(mut old: TestHost, run: &RunKey) -> u64 {
    wait_until("the sweep finds the run", DEADLINE, async || swept(&old, 1).await == 1).await;
    old.work(8).await;
    let output = old.output::<u64>(run).await;
    assert!(old.status(run).await.waiting_for_build.is_empty());
    output
}

pub(super) async fn u7_an_item_of_another_build_waits_for_it(tested: BackendUnderTest) {
    let letters = Letters::of(&tested);
    let probe = Probe::open();
    let old = host_of(&letters, FirstBuild::new(&probe));
    let run = first_step(&old).await;
    let mut new = host_of(&letters, NextBuild::new());
    new.work(8).await;
    let status = parked(&new, &run).await;
    let waits = &status.waiting_for_build[0];
    assert_eq!((waits.node.as_str(), waits.items, waits.part), ("second", 1, UnreadablePart::Input));
    assert!(waits.expected.as_ref().is_some_and(|expected| expected.ends_with("String")), "{waits:?}");
    assert_eq!(waits.host, "a-host");
    let build = |host: &TestHost| {
        host.engine.workflows().get("builds").expect("it is served").fingerprint().to_string()
    };
    assert_eq!((&waits.written_by, &waits.unreadable_by), (&build(&old), &build(&new)));
    assert!(status.waiting_for.is_some_and(|why| why.contains(&build(&old)) && why.contains("second")));
    no_ticket(&tested, &run).await;
    // Neither a sweep nor another host of this build says more.
    let other = host_of(&letters, NextBuild::new());
    assert_eq!((swept(&new, 5).await, swept(&other, 5).await), (0, 0));
    no_ticket(&tested, &run).await;
    let found = letters.0.all();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].reason.contains("second") && found[0].reason.contains(&build(&old)), "{found:?}");
    drop(new);
    assert_eq!((finish(old, &run).await, probe.executed()), (3, 2));
    assert_eq!(letters.0.all().len(), 1);
}

pub(super) async fn u7_a_context_of_another_build_waits_for_it(tested: BackendUnderTest) {
    let letters = Letters::of(&tested);
    let old = host_of(&letters, FirstBuild::new(&Probe::open()));
    let run = first_step(&old).await;
    let mut new = host_of(&letters, OtherContext::new());
    new.work(8).await;
    let waits = parked(&new, &run).await.waiting_for_build.remove(0);
    assert_eq!((waits.node.as_str(), waits.part), ("second", UnreadablePart::Context));
    assert!(waits.expected.is_some_and(|context| context.ends_with("Wider")), "no type");
    no_ticket(&tested, &run).await;
    assert_eq!(swept(&new, 5).await, 0);
    assert_eq!(letters.0.all().len(), 1);
    drop(new);
    assert_eq!(finish(old, &run).await, 3);
}

pub(super) async fn u7_a_build_that_has_learned_to_read_goes_on(tested: BackendUnderTest) {
    // The fingerprint is the same, as where a field got a default.
    let letters = Letters::of(&tested);
    let value = fickle();
    let run = host_of(&letters, Reads::new()).start("reads", "r", &value).await;
    let mut host = host_of(&letters, Reads::new());
    write_again(&tested, &run, Fingerprint(1), |_| {}).await;
    value.fail(u32::MAX);
    host.work(8).await;
    parked(&host, &run).await;
    no_ticket(&tested, &run).await;
    assert_eq!(swept(&host, 3).await, 0);
    value.fail(0);
    assert_eq!(swept(&host, 1).await, 1);
    assert_eq!(host.output::<String>(&run).await, value.0);
}

pub(super) async fn u7_builds_side_by_side_leave_no_trace(tested: BackendUnderTest) {
    let letters = Letters::of(&tested);
    let mut old = host_of(&letters, FirstBuild::new(&Probe::open()));
    let run = first_step(&old).await;
    let new = host_of(&letters, NextBuild::new());
    // The host of the other build is the first to get the ticket, and gives it back.
    new.work_off(new.ticket("builds").await).await;
    old.work(8).await;
    assert_eq!(old.output::<u64>(&run).await, 3);
    assert_eq!(letters.0.all(), []);
}

/// A value that no other case uses.
fn fickle() -> Fickle {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Fickle(format!("value-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Writes the record of a run again, for a build.
async fn write_again(
    tested: &BackendUnderTest,
    run: &RunKey,
    build: Fingerprint,
    change: impl FnOnce(&mut Snapshot),
) {
    let (mut snapshot, revision) = snapshot_of(tested, run).await;
    change(&mut snapshot);
    let bytes = snapshot.seal(build).expect("it can be encoded");
    let write = SnapshotWrite {
        run: run.clone(),
        incarnation: snapshot.incarnation,
        chain: snapshot.chain,
        commit: snapshot.commit,
        expected: revision,
        status: snapshot.status,
        may_expire: true,
        awaited: false,
        bytes,
        chunks: Vec::new(),
    };
    tested.backend.commit(write).await.expect("it is written");
}

async fn snapshot_of(tested: &BackendUnderTest, run: &RunKey) -> (Snapshot, u64) {
    let stored = tested.backend.load(run, Seen::default()).await.expect("it can be read");
    let stored = stored.expect("the run is there");
    (stored.open().expect("it is a snapshot").0, stored.revision)
}

pub(super) async fn h6_an_item_that_its_own_build_cannot_read_fails(tested: BackendUnderTest) {
    let letters = Letters::of(&tested);
    let mut host = host_of(&letters, Reads::new());
    let (once, always) = (fickle(), fickle());
    let handled = host.start("reads", "once", &once).await;
    let failed = host.start("reads", "always", &always).await;
    once.fail(1);
    always.fail(u32::MAX);
    host.work(8).await;
    assert_eq!(host.output::<String>(&handled).await, format!("instead of {}", once.0));
    assert_eq!(host.status(&handled).await.latest_handled_failures[0].kind, "codec");
    let result = host.result(&failed).await;
    assert_eq!((&result["status"], &result["error"]["kind"]), (&"failed".into(), &"codec".into()));
    assert_eq!(result["error"]["node"], "take");
    assert_eq!(letters.0.all(), []);
}

pub(super) async fn h6_a_context_that_its_own_build_cannot_read_fails(tested: BackendUnderTest) {
    let letters = Letters::of(&tested);
    let mut host = host_of(&letters, Reads::new());
    let run = host.start("reads", "r", &fickle()).await;
    let value = fickle();
    let context = codec::encode(&BTreeMap::from([("value", &value)]), "the context");
    let build = host.engine.workflows().get("reads").expect("it is served").fingerprint();
    write_again(&tested, &run, build, |snapshot| snapshot.context = context.expect("it can be encoded"))
        .await;
    value.fail(1);
    // A host that has not cached the run.
    drop(host);
    host = host_of(&letters, Reads::new());
    host.work(8).await;
    assert!(host.output::<String>(&run).await.starts_with("instead of "));
    assert_eq!(letters.0.all(), []);
}

pub(super) async fn h6_a_lost_chunk_fails_its_step(tested: BackendUnderTest) {
    let letters = Letters::of(&tested);
    let backend: Arc<dyn Backend> = Arc::clone(&letters) as _;
    let config = EngineConfig {
        limits: Limits { inline: 0, group: 0, ..Limits::default() },
        ..EngineConfig::default()
    };
    let engine = Engine::builder(Arc::clone(&backend)).config(config).workflow(Reads::new()).build();
    let mut host = TestHost::of(engine.expect("the workflows are sound"));
    let run = host.start("reads", "r", &fickle()).await;
    let (snapshot, _) = snapshot_of(&tested, &run).await;
    assert!(snapshot.chunked);
    tested.backend.drop_all_chunks(&run, snapshot.incarnation).await.expect("they are gone");
    host.work(8).await;
    let result = host.result(&run).await;
    assert_eq!((&result["status"], &result["error"]["kind"]), (&"failed".into(), &"corrupt".into()));
    assert_eq!(result["error"]["node"], "take");
    assert_eq!(letters.0.all(), []);
}

pub(super) async fn h6_a_child_whose_id_is_taken_fails_its_step(tested: BackendUnderTest) {
    let letters = Letters::of(&tested);
    *letters.0.takes_child_id.lock().unwrap_or_else(PoisonError::into_inner) = true;
    let backend: Arc<dyn Backend> = Arc::clone(&letters) as _;
    let probe = Probe::open();
    let mut host = TestHost::of(engine(&backend, |engine| {
        engine.workflow(Family::new(&probe)).workflow(Offspring::new(&probe))
    }));
    let run = host.start("family", "r", &vec![5_u64]).await;
    host.work(8).await;
    // The fallback of the child's node.
    assert_eq!(host.output::<Vec<u64>>(&run).await, [1005]);
    let handled = host.status(&run).await.latest_handled_failures.remove(0);
    assert!(handled.message.contains("cannot start child run"), "{handled:?}");
    assert_eq!(letters.0.all(), []);
    // And whoever took the id has the run.
    let page = tested.backend.runs(&Default::default()).await.expect("runs are listed");
    let taken = page.runs.into_iter().find(|stored| stored.run.workflow.as_str() == "offspring");
    let taken = taken.expect("it is there").run;
    wait_until("it ends as if nothing had been", DEADLINE, async || {
        host.status(&taken).await.run.status == Status::Completed
    })
    .await;
}
