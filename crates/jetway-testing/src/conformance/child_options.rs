//! Child runs with options: policies, time limits, detached runs, and many runs of one step.

use super::{BackendUnderTest, DEADLINE, Probe, TestHost, snapshots::key};
use crate::wait_until;
use jetway_core::{ChildRun, ChildRuns, DetachedRun, Transition};
use jetway_engine::{
    Control, ControlResult, Engine, EngineConfig, Sweeper,
    backend::{Backend, SnapshotWrite},
};
use jetway_macros::{node, workflow};
use jetway_state::{
    Error, Graph, Incarnation, ItemId, RunKey, Seen, codec,
    run::{
        AttemptReport, ChildStart, EncodedEmission, EncodedOutcome, EncodedOutput, OnParentCancel, Snapshot,
        Status, apply,
    },
    value,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// Long enough for whatever must not happen by itself.
const LONG: Duration = Duration::from_secs(600);

node! {
    /// Passes the probe, and fails on a word.
    struct Do { probe: Probe };
    input = String; output = String;
    |_ctx, word| {
        self.probe.pass().await;
        match word.as_str() {
            "bad" => Err(Error::Generic("a bad word".to_owned())),
            "large" => Ok(Transition::Next("x".repeat(30_000))),
            word => Ok(Transition::Next(word.to_uppercase())),
        }
    }
}

workflow! {
    /// What the child runs do.
    struct Task { act: Do }
    name = "task";
    start = act;
    edges { act => []; }
}

workflow! {
    /// Waits for a child run.
    struct Keeper { child: ChildRun<(), Task> }
    name = "keeper";
    start = child;
    edges { child => []; }
}

workflow! {
    /// Waits for many child runs.
    struct Batch { all: ChildRuns<(), Task> }
    name = "batch";
    start = all;
    edges { all => []; }
}

workflow! {
    /// Starts a child run and ends.
    struct Detach { start: DetachedRun<(), Task> }
    name = "detach";
    start = start;
    edges { start => []; }
}

node! { struct Nap {}; input = String; output = String; |_ctx, word| { Ok(Transition::NextAfter(LONG, word)) } }
node! { struct Work {}; input = String; output = String; |_ctx, word| { Ok(Transition::Next(word)) } }
node! { struct Doze {}; input = String; output = String; |_ctx, word| { Ok(Transition::NextAfter(Duration::from_millis(300), word)) } }

workflow! {
    /// Its clean-up sleeps and waits for a child run.
    struct Cleaned { nap: Nap, work: Work, doze: Doze, child: ChildRun<(), Task> }
    name = "cleaned";
    start = nap;
    edges { nap => [work]; work => []; work on_cancel => [doze]; doze => [child]; child => []; }
}

/// How the workflows of a host start their child runs.
#[derive(Default)]
struct Options {
    policy: OnParentCancel,
    timeout: Option<Duration>,
    fail_fast: bool,
}

fn engine(backend: &Arc<dyn Backend>, probe: &Probe, options: &Options) -> Engine {
    let child = || {
        let child = ChildRun::new(task(probe)).on_parent_cancel(options.policy);
        match options.timeout {
            Some(timeout) => child.timeout(timeout),
            None => child,
        }
    };
    let all = child().start_many(3);
    let detached = child().named(|word| format!("word-{word}")).detached();
    Engine::builder(Arc::clone(backend))
        .config(EngineConfig { stale_after: Duration::ZERO, ..EngineConfig::default() })
        .workflow(task(probe))
        .workflow(Keeper { child: child() })
        .workflow(Batch { all: if options.fail_fast { all.fail_fast() } else { all } })
        .workflow(Detach { start: detached })
        .workflow(Cleaned { nap: Nap {}, work: Work {}, doze: Doze {}, child: child() })
        .build()
        .expect("the workflows are sound")
}

fn task(probe: &Probe) -> Task {
    Task { act: Do { probe: probe.clone() } }
}

async fn at_work(tested: &BackendUnderTest, probe: &Probe, options: Options) -> TestHost {
    let mut host = TestHost::of(engine(&tested.backend, probe, &options));
    host.work(64).await;
    host
}

fn parsed(run: &str) -> RunKey {
    let (workflow, run_id) = run.split_once('/').expect("it is a key of a run");
    key(workflow, run_id)
}

async fn exists(host: &TestHost, run: &RunKey) -> bool {
    host.engine.backend().load(run, Seen::default()).await.expect("it can be read").is_some()
}

async fn record(host: &TestHost, run: &RunKey) -> (Snapshot, u64) {
    let stored = host.engine.backend().load(run, Seen::default()).await.expect("it can be read");
    let stored = stored.expect("it is there");
    (stored.open().expect("it opens").0, stored.revision)
}

/// Writes a record as somebody else would.
pub(super) async fn write(host: &TestHost, snapshot: &Snapshot, expected: u64) {
    let build = host.engine.workflows().get(snapshot.workflow.as_str()).expect("it is served").fingerprint();
    let write = SnapshotWrite {
        run: snapshot.key(),
        incarnation: snapshot.incarnation,
        chain: snapshot.chain,
        commit: snapshot.commit,
        expected,
        status: snapshot.status,
        may_expire: snapshot.may_expire(),
        awaited: snapshot.parent.is_some(),
        bytes: snapshot.seal(build).expect("it is written"),
        chunks: Vec::new(),
    };
    host.engine.backend().commit(write).await.expect("it is stored");
}

async fn tell(host: &TestHost, run: &RunKey, control: Control) -> ControlResult {
    host.engine.control(run, control).await.expect("it can be told").expect("it is there")
}

async fn asleep(host: &TestHost, run: &RunKey) {
    wait_until("it sleeps", DEADLINE, async || {
        host.status(run).await.pending.iter().any(|pending| pending.sleeping > 0)
    })
    .await;
}

/// Whether the record of a run has nothing left to be done to its child runs.
async fn is_settled(host: &TestHost, run: &RunKey) -> bool {
    record(host, run).await.0.may_expire()
}

pub(super) async fn a_child_run_follows_the_policy_when_its_parent_is_cancelled(tested: BackendUnderTest) {
    for (policy, child_status) in
        [(OnParentCancel::Cancel, "cancelled"), (OnParentCancel::Abandon, "completed")]
    {
        let probe = Probe::closed();
        let host = at_work(&tested, &probe, Options { policy, ..Options::default() }).await;
        let run = host.start("keeper", &format!("{policy:?}"), &"a").await;
        let child = host.child_of(&run).await;
        assert_eq!(tell(&host, &run, Control::Cancel).await.status, Status::Cancelled);
        wait_until("nothing is left to be done", DEADLINE, async || is_settled(&host, &run).await).await;
        probe.let_through(10);
        assert_eq!(host.result(&child).await["status"], child_status, "{policy:?}");
        assert_eq!(host.result(&run).await["status"], "cancelled");
    }
}

pub(super) async fn a_cancelled_parent_waits_for_its_child(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let wait = || Options { policy: OnParentCancel::Wait, ..Options::default() };
    let host = at_work(&tested, &probe, wait()).await;
    let run = host.start("keeper", "r", &"a").await;
    let child = host.child_of(&run).await;
    assert_eq!(tell(&host, &run, Control::Cancel).await.status, Status::Cancelling);
    let status = host.status(&run).await;
    assert_eq!((status.run.status, status.children.len()), (Status::Cancelling, 1));
    probe.let_through(10);
    assert_eq!(host.result(&run).await["status"], "cancelled");
    assert_eq!(host.result(&child).await["status"], "completed");
    // Terminate ends the parent at once, and its child goes on.
    drop(host);
    let probe = Probe::closed();
    let host = at_work(&tested, &probe, wait()).await;
    let run = host.start("keeper", "s", &"a").await;
    let child = host.child_of(&run).await;
    tell(&host, &run, Control::Cancel).await;
    assert_eq!(tell(&host, &run, Control::Terminate).await.status, Status::Cancelled);
    probe.let_through(10);
    assert_eq!(host.result(&child).await["status"], "completed");
}

pub(super) async fn a_child_run_that_is_late_is_cancelled(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let timeout = Some(Duration::from_millis(400));
    // It is cancelled whatever its policy for a cancelled parent says.
    let options = Options { timeout, policy: OnParentCancel::Abandon, ..Options::default() };
    let host = at_work(&tested, &probe, options).await;
    let run = host.start("keeper", "r", &"a").await;
    let child = host.child_of(&run).await;
    let result = host.result(&run).await;
    assert_eq!(
        (&result["status"], &result["error"]["kind"]),
        (&"failed".into(), &"timeout".into()),
        "{result:#}"
    );
    assert_eq!(host.result(&child).await["status"], "cancelled");
    let batch = host.start("batch", "b", &["a", "b"]).await;
    let results = host.output::<Vec<Result<String, String>>>(&batch).await;
    let late =
        |result: &Result<String, String>| result.as_ref().is_err_and(|reason| reason.contains("400ms"));
    assert!(results.len() == 2 && results.iter().all(late), "{results:?}");
    wait_until("nothing is left to be done", DEADLINE, async || is_settled(&host, &batch).await).await;
}

pub(super) async fn a_child_run_that_ends_in_time_is_no_timeout(tested: BackendUnderTest) {
    let options = Options { timeout: Some(LONG), ..Options::default() };
    let host = at_work(&tested, &Probe::open(), options).await;
    let run = host.start("keeper", "r", &"a").await;
    assert_eq!(host.output::<String>(&run).await, "A");
    assert!(is_settled(&host, &run).await);
}

pub(super) async fn a_detached_run_goes_on_alone(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let host = at_work(&tested, &probe, Options::default()).await;
    let run = host.start("detach", "r", &"a").await;
    assert_eq!(host.output::<RunKey>(&run).await, key("task", "word-a"));
    let parent = record(&host, &run).await.0;
    assert!(parent.may_expire(), "it is started before the result is published");
    assert_eq!(host.status(&key("task", "word-a")).await.trace_id, host.status(&run).await.trace_id);
    probe.let_through(10);
    assert_eq!(host.output::<String>(&key("task", "word-a")).await, "A");
    // A run with this id and input is joined; one with another input fails the step.
    let again = host.start("detach", "s", &"a").await;
    assert_eq!(host.output::<RunKey>(&again).await, key("task", "word-a"));
    host.start("task", "word-b", &"c").await;
    let refused = host.result(&host.start("detach", "t", &"b").await).await;
    assert_eq!(refused["status"], "failed");
    let message = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("task/word-b exists"), "{refused:#}");
}

/// The record of a run whose last step starts a child run, as its host leaves it that is lost after the commit.
async fn left_by_a_lost_host(host: &TestHost, run: &RunKey, child: &RunKey) {
    let (snapshot, revision) = record(host, run).await;
    let task = host.engine.workflows().get("task").expect("it is served");
    let start = ChildStart {
        run: child.clone(),
        input: task.run_input(b"\"a\"", codec::Encoding::Json).expect("it is an input"),
        build: task.fingerprint(),
        has_clean_up: false,
        limit: None,
    };
    let output = Some(EncodedOutput::new(child).expect("it is an output"));
    let emission = EncodedEmission { output, starts: vec![start], ..EncodedEmission::default() };
    let report = AttemptReport {
        incarnation: snapshot.incarnation,
        item: ItemId::start(),
        node: "start".to_owned(),
        ticket_item: ItemId::start(),
        number: 1,
        timestamp: snapshot.updated_at,
        span: None,
        produced: EncodedOutcome::Next(emission),
        context: Some(value::write_opaque(&(), &"the context").expect("it is a context")),
    };
    let commit = snapshot.commit;
    let ended = apply(snapshot, report, commit, &Graph::opaque("detach")).expect("it is applied").snapshot;
    assert_eq!((ended.status, ended.may_expire()), (Status::Completed, false));
    write(host, &ended, revision).await;
}

pub(super) async fn w49_a_detached_child_of_a_run_that_has_ended_is_started(tested: BackendUnderTest) {
    let host = TestHost::of(engine(&tested.backend, &Probe::open(), &Options::default()));
    let (swept, redelivered) =
        (host.start("detach", "swept", &"a").await, host.start("detach", "again", &"a").await);
    let (one, two) = (key("task", "one"), key("task", "two"));
    left_by_a_lost_host(&host, &swept, &one).await;
    left_by_a_lost_host(&host, &redelivered, &two).await;
    // Its ticket is delivered again.
    for _ in 0..2 {
        let mut delivery = host.ticket("detach").await;
        match delivery.ticket.run() == redelivered {
            true => {
                delivery.delivered = 2;
                host.work_off(delivery).await;
            }
            false => delivery.lease.ack().await.expect("it is lost"),
        }
    }
    assert!(exists(&host, &two).await && is_settled(&host, &redelivered).await);
    let mut sweeper = Sweeper::default();
    wait_until("the sweep starts it", DEADLINE, async || {
        host.engine.sweep(&mut sweeper).await.expect("it sweeps");
        exists(&host, &one).await && is_settled(&host, &swept).await
    })
    .await;
    for run in [&swept, &redelivered] {
        assert_eq!(host.result(run).await["status"], "completed");
    }
    let mut host = host;
    host.work(4).await;
    for child in [&one, &two] {
        assert_eq!(host.output::<String>(child).await, "A");
    }
}

pub(super) async fn w48_the_newest_incarnation_of_a_child_is_cancelled(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let host = at_work(&tested, &probe, Options::default()).await;
    let incarnation = Incarnation::from_random(48);
    for (parent, is_own) in [("own", true), ("other", false)] {
        let run = host.start("keeper", parent, &"a").await;
        let child = host.child_of(&run).await;
        // It has continued as new, or somebody else has started a run with its id.
        let (snapshot, revision) = record(&host, &child).await;
        let of = snapshot.parent.clone().filter(|_| is_own);
        write(&host, &Snapshot { incarnation, parent: of, ..snapshot }, revision).await;
        tell(&host, &run, Control::Cancel).await;
        wait_until("nothing is left to be done", DEADLINE, async || is_settled(&host, &run).await).await;
        let (found, _) = record(&host, &child).await;
        let expected = if is_own { Status::Cancelled } else { Status::Running };
        assert_eq!((found.incarnation, found.status), (incarnation, expected), "{parent}");
    }
}

pub(super) async fn w47_a_clean_up_waits_for_a_child_run(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let host = at_work(&tested, &probe, Options::default()).await;
    let run = host.start("cleaned", "r", &"undo").await;
    asleep(&host, &run).await;
    assert_eq!(tell(&host, &run, Control::Cancel).await.status, Status::Cancelling);
    let child = host.child_of(&run).await;
    let again = ControlResult { status: Status::Cancelling, changed: false };
    assert_eq!(tell(&host, &run, Control::Cancel).await, again, "it is being cancelled already");
    assert_eq!(record(&host, &child).await.0.status, Status::Running, "the second cancel does not reach it");
    // The host is lost, and another one comes.
    drop(host);
    probe.let_through(100);
    let host = at_work(&tested, &probe, Options::default()).await;
    let result = host.result(&run).await;
    assert_eq!((&result["status"], &result["cancel"]["reason"]), (&"cancelled".into(), &"requested".into()));
    assert_eq!((&result["outputs"], host.output::<String>(&child).await), (&json!([]), "UNDO".to_owned()));
    // Terminate ends it at once, with the child run of its clean-up.
    drop(host);
    let probe = Probe::closed();
    let host = at_work(&tested, &probe, Options::default()).await;
    let run = host.start("cleaned", "s", &"undo").await;
    asleep(&host, &run).await;
    tell(&host, &run, Control::Cancel).await;
    let child = host.child_of(&run).await;
    assert_eq!(tell(&host, &run, Control::Terminate).await.status, Status::Cancelled);
    assert_eq!(host.result(&child).await["status"], "cancelled");
}

pub(super) async fn many_child_runs_are_gathered_in_order(tested: BackendUnderTest) {
    let probe = Probe::open();
    let host = at_work(&tested, &probe, Options::default()).await;
    let mut words: Vec<String> = (0..20).map(|nth| format!("w{nth}")).collect();
    words[7] = "bad".to_owned();
    let run = host.start("batch", "r", &words).await;
    let results = host.output::<Vec<Result<String, String>>>(&run).await;
    for (nth, result) in results.iter().enumerate() {
        match nth {
            7 => assert!(result.as_ref().is_err_and(|reason| reason.contains("a bad word")), "{result:?}"),
            _ => assert_eq!(*result, Ok(format!("W{nth}"))),
        }
    }
    assert_eq!((results.len(), probe.executed()), (20, 20));
    assert!(probe.most() <= 3, "{} at once", probe.most());
    let none = host.start("batch", "none", &Vec::<String>::new()).await;
    assert_eq!(host.output::<Value>(&none).await, json!([]));
}

pub(super) async fn many_child_runs_are_as_many_at_once_as_allowed(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let host = at_work(&tested, &probe, Options::default()).await;
    let run = host.start("batch", "r", &vec!["a"; 7]).await;
    for ended in 0..7 {
        let open = 3.min(7 - ended);
        wait_until("so many run", DEADLINE, async || {
            let status = host.status(&run).await;
            let detail = status.waits.first().and_then(|wait| wait.detail.clone());
            let expected = format!("{open} of 7 child runs, {ended} have ended");
            status.children.len() == open && detail.is_some_and(|detail| detail == expected)
        })
        .await;
        probe.let_through(1);
    }
    assert_eq!(host.output::<Vec<Result<String, String>>>(&run).await, vec![Ok("A".to_owned()); 7]);
}

pub(super) async fn large_results_of_child_runs_travel(tested: BackendUnderTest) {
    let host = at_work(&tested, &Probe::open(), Options::default()).await;
    let run = host.start("batch", "r", &vec!["large"; 12]).await;
    let results = host.output::<Vec<Result<String, String>>>(&run).await;
    assert!(
        results.len() == 12 && results.iter().all(|result| result.as_ref().is_ok_and(|x| x.len() == 30_000))
    );
    assert!(record(&host, &run).await.0.chunked);
}

pub(super) async fn the_first_failure_of_many_child_runs_ends_the_others(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let host = at_work(&tested, &probe, Options { fail_fast: true, ..Options::default() }).await;
    let run = host.start("batch", "r", &["a", "b"]).await;
    wait_until("both run", DEADLINE, async || host.status(&run).await.children.len() == 2).await;
    let children: Vec<_> = host.status(&run).await.children.iter().map(|child| parsed(child)).collect();
    // One of them fails: it is cancelled.
    wait_until("it exists", DEADLINE, async || exists(&host, &children[1]).await).await;
    tell(&host, &children[1], Control::Cancel).await;
    let result = host.result(&run).await;
    let message = result["error"]["message"].as_str().unwrap_or_default();
    assert!(result["status"] == "failed" && message.contains("was cancelled"), "{result:#}");
    for child in &children {
        assert_eq!(host.result(child).await["status"], "cancelled");
    }
}

pub(super) async fn many_child_runs_survive_the_loss_of_their_host(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let host = at_work(&tested, &probe, Options::default()).await;
    let run = host.start("batch", "r", &vec!["a"; 8]).await;
    wait_until("some run", DEADLINE, async || host.status(&run).await.children.len() == 3).await;
    drop(host);
    probe.let_through(100);
    let host = at_work(&tested, &probe, Options::default()).await;
    assert_eq!(host.output::<Vec<Result<String, String>>>(&run).await.len(), 8);
    assert!(is_settled(&host, &run).await);
}
