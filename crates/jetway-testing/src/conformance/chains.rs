//! Runs that continue as new and have child runs. A run does not continue as new while one of its items waits for a child run; a child
//! run that nobody waits for goes on, whatever its parent does.

use super::{
    BackendUnderTest, DEADLINE, Probe, TestHost, child_options::write, host::request, snapshots::key,
};
use crate::wait_until;
use jetway_core::{
    ChildRun, DetachedRun, Error, Failure, OnParentCancel, RunKey, Transition, Workflow, WorkflowCtx,
};
use jetway_engine::{
    BuildError, Control, Engine, EngineConfig, Sweeper,
    backend::{Api, Backend, StartRequest},
};
use jetway_macros::{node, workflow};
use jetway_state::{
    Graph, ItemId, Seen, codec,
    run::{AttemptReport, ChildIntent, ChildStart, EncodedOutcome, RunDeadline, Status, WantedResult, apply},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// How often the loop of these cases continues as new.
const ROUNDS: u32 = 3;

node! { struct Do { probe: Probe }; input = u32; output = u32; |_ctx, number| { self.probe.pass().await; Ok(Transition::Next(number)) } }

workflow! {
    /// What the child runs do.
    struct Task { act: Do }
    name = "task";
    start = act;
    edges { act => []; }
}

/// What a branch does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Part {
    /// Waits for a child run.
    Child(u32),
    /// Continues the run as new.
    Again(u32),
}

node! {
    struct Split {};
    input = u32; output = Part;
    |_ctx, children| {
        Ok(Transition::NextAll((0..children).map(Part::Child).chain([Part::Again(children)]).collect()))
    }
}
node! {
    /// Waits until it is let through, and continues the run as new.
    struct Again { gate: Probe };
    input = u32; output = u32;
    |_ctx, children| {
        self.gate.pass().await;
        Ok(Transition::ContinueAsNew(children.into()))
    }
}
node! { struct Rescue {}; input = Failure<u32>; output = u32; |_ctx, failure| { Ok(Transition::Next(failure.input)) } }
node! { struct All {}; input = Vec<u32>; output = Vec<u32>; |_ctx, all| { Ok(Transition::Next(all)) } }

workflow! {
    struct Wide { split: Split, child: ChildRun<(), Task>, again: Again, #[gather] all: All }
    name = "wide-parent";
    start = split;
    edges { split => { Part::Child(number) => [child]; Part::Again(number) => [again]; }; child => [all]; again => [all]; all => []; }
}

workflow! {
    struct WideRescued { split: Split, child: ChildRun<(), Task>, again: Again, rescue: Rescue, #[gather] all: All }
    name = "wide-parent-rescued";
    start = split;
    edges {
        split => { Part::Child(number) => [child]; Part::Again(number) => [again]; };
        child => [all]; again => [all]; again on_failure => [rescue]; rescue => [all]; all => [];
    }
}

node! {
    /// Continues the run as new until no round is left. The name of the child run says how many are.
    struct Turn {};
    input = RunKey; output = u32;
    |_ctx, child| {
        let left: u32 = child.run_id.as_str().rsplit('-').next().and_then(|left| left.parse().ok()).unwrap_or(0);
        Ok(match left {
            0 => Transition::Next(0),
            left => Transition::ContinueAsNew((left - 1).into()),
        })
    }
}

workflow! {
    /// Starts a detached child run in each round, and waits for a child run in the last one.
    struct Rounds { tell: DetachedRun<(), Task>, turn: Turn, keep: ChildRun<(), Task> }
    name = "rounds";
    start = tell;
    edges { tell => [turn]; turn => [keep]; keep => []; }
}

fn no_time() -> Duration {
    Duration::ZERO
}

workflow! {
    /// Its runs have no time at all.
    struct Hasty { all: All }
    name = "hasty";
    start = all;
    deadline = no_time();
    edges { all => []; }
}

workflow! {
    struct Orders { order: DetachedRun<(), Hasty> }
    name = "orders";
    start = order;
    edges { order => []; }
}

/// `gate` lets the branch continue its run as new, and `probe` lets child runs end.
struct Gates {
    gate: Probe,
    probe: Probe,
}

impl Gates {
    fn closed() -> Self {
        Self { gate: Probe::closed(), probe: Probe::closed() }
    }
}

fn host(backend: &Arc<dyn Backend>, gates: &Gates, policy: OnParentCancel) -> TestHost {
    let task = || Task { act: Do { probe: gates.probe.clone() } };
    let child = || ChildRun::new(task()).on_parent_cancel(policy);
    let again = || Again { gate: gates.gate.clone() };
    let engine = Engine::builder(Arc::clone(backend))
        .config(EngineConfig { stale_after: Duration::ZERO, ..EngineConfig::default() })
        .workflow(task())
        .workflow(Wide { split: Split {}, child: child(), again: again(), all: All {} })
        .workflow(WideRescued {
            split: Split {},
            child: child(),
            again: again(),
            rescue: Rescue {},
            all: All {},
        })
        .workflow(Rounds {
            tell: child().named(|left| format!("part-{left}")).detached(),
            turn: Turn {},
            keep: child(),
        });
    TestHost::of(engine.build().expect("the workflows are sound"))
}

async fn at_work(tested: &BackendUnderTest, gates: &Gates, policy: OnParentCancel) -> TestHost {
    let mut host = host(&tested.backend, gates, policy);
    host.work(64).await;
    host
}

async fn exists(host: &TestHost, run: &RunKey) -> bool {
    host.engine.backend().load(run, Seen::default()).await.expect("it can be read").is_some()
}

/// The child runs of a run that waits for so many, when all of them are there.
async fn children_of(host: &TestHost, run: &RunKey, count: usize) -> Vec<RunKey> {
    let named = async || {
        let children = host.status(run).await.children;
        children
            .iter()
            .filter_map(|child| child.split_once('/'))
            .map(|(of, id)| key(of, id))
            .collect::<Vec<_>>()
    };
    wait_until("it waits for its child runs", DEADLINE, async || {
        let children = named().await;
        let mut there = 0;
        for child in &children {
            there += usize::from(exists(host, child).await);
        }
        children.len() == count && there == count
    })
    .await;
    named().await
}

fn part(left: u32) -> RunKey {
    key("task", &format!("part-{left}"))
}

pub(super) async fn w50_a_run_with_awaited_children_does_not_continue_as_new(tested: BackendUnderTest) {
    for (workflow, is_rescued) in [("wide-parent", false), ("wide-parent-rescued", true)] {
        let gates = Gates::closed();
        let host = at_work(&tested, &gates, OnParentCancel::Cancel).await;
        let run = host.start(workflow, "r", &3_u32).await;
        let children = children_of(&host, &run, 3).await;
        gates.gate.let_through(1);
        if is_rescued {
            wait_until("the failure is handled", DEADLINE, async || {
                host.status(&run).await.handled_failures == 1
            })
            .await;
            gates.probe.let_through(3);
            assert_eq!(host.output::<Vec<u32>>(&run).await, [0, 1, 2, 3], "the child runs are not lost");
        }
        let result = host.result(&run).await;
        let status = host.status(&run).await;
        let error =
            status.run.error.as_ref().or_else(|| status.latest_handled_failures.first()).expect("an error");
        assert_eq!((error.kind.as_str(), error.node.as_deref()), ("branches_open", Some("again")));
        let says = "while 3 of its other branches are open (3 wait for child runs, such as task/";
        assert!(error.message.contains(says), "{}", error.message);
        assert_eq!(status.continued, 0);
        assert_eq!(result["status"], if is_rescued { "completed" } else { "failed" }, "{result:#}");
        for child in &children {
            let expected = if is_rescued { "completed" } else { "cancelled" };
            assert_eq!(
                host.result(child).await["status"],
                expected,
                "their policy applies when the run ends"
            );
        }
    }
}

pub(super) async fn w50_detached_children_of_each_incarnation_run_on(tested: BackendUnderTest) {
    let gates = Gates::closed();
    let host = at_work(&tested, &gates, OnParentCancel::Cancel).await;
    let run = host.start("rounds", "r", &ROUNDS).await;
    children_of(&host, &run, 1).await;
    assert_eq!(host.status(&run).await.continued, ROUNDS);
    for left in 0..=ROUNDS {
        assert!(exists(&host, &part(left)).await, "{left}");
    }
    gates.probe.let_through(100);
    assert_eq!(host.output::<u32>(&run).await, 0);
    for left in 0..=ROUNDS {
        assert_eq!(host.output::<u32>(&part(left)).await, left);
    }
}

pub(super) async fn w50_a_policy_applies_when_the_chain_ends(tested: BackendUnderTest) {
    for (policy, expected) in [(OnParentCancel::Cancel, "cancelled"), (OnParentCancel::Abandon, "completed")]
    {
        let gates = Gates::closed();
        let host = at_work(&tested, &gates, policy).await;
        let run = host.start("rounds", &format!("{policy:?}"), &ROUNDS).await;
        let awaited = children_of(&host, &run, 1).await.remove(0);
        let cancelled = host.engine.control(&run, Control::Cancel).await.expect("it can be told");
        assert_eq!(cancelled.expect("it is there").status, Status::Cancelled);
        assert_eq!(host.result(&run).await["status"], "cancelled");
        if policy == OnParentCancel::Cancel {
            assert_eq!(host.result(&awaited).await["status"], "cancelled");
        }
        gates.probe.let_through(100);
        assert_eq!(host.result(&awaited).await["status"], expected, "{policy:?}");
        // Nobody waits for those of the former incarnations, so no policy means them.
        for left in 0..=ROUNDS {
            assert_eq!(host.output::<u32>(&part(left)).await, left, "{policy:?}");
        }
    }
}

/// The record of a run that has continued as new, as its host leaves it that is lost after the commit: it means to start a child run
/// that an earlier step has asked for.
async fn left_by_a_lost_host(host: &TestHost, run: &RunKey, child: u32) {
    let stored =
        host.engine.backend().load(run, Seen::default()).await.expect("it can be read").expect("it is there");
    let (revision, mut snapshot) = (stored.revision, stored.open().expect("it opens").0);
    let input = |workflow: &str, number: u32| {
        let workflow = host.engine.workflows().get(workflow).expect("it is served");
        workflow.run_input(number.to_string().as_bytes(), codec::Encoding::Json).expect("it is an input")
    };
    let build = host.engine.workflows().get("task").expect("it is served").fingerprint();
    let start =
        ChildStart { run: part(child), input: input("task", child), build, has_clean_up: false, limit: None };
    snapshot.intents.push(ChildIntent::Start(Box::new(start)));
    let report = AttemptReport {
        incarnation: snapshot.incarnation,
        item: ItemId::start(),
        node: "tell".to_owned(),
        ticket_item: ItemId::start(),
        number: 1,
        timestamp: snapshot.updated_at,
        span: None,
        produced: EncodedOutcome::ContinueAsNew(input("rounds", 0)),
        context: None,
    };
    let commit = snapshot.commit;
    let applied = apply(snapshot, report, commit, &Graph::opaque("rounds")).expect("it is applied");
    write(host, &applied.snapshot, revision).await;
}

pub(super) async fn w50_a_child_of_a_former_incarnation_is_started(tested: BackendUnderTest) {
    let gates = Gates { gate: Probe::open(), probe: Probe::open() };
    let mut host = host(&tested.backend, &gates, OnParentCancel::Cancel);
    let run = host.start("rounds", "r", &1_u32).await;
    left_by_a_lost_host(&host, &run, 9).await;
    host.ticket("rounds").await.lease.ack().await.expect("its ticket is lost");
    assert!(!exists(&host, &part(9)).await);
    let mut sweeper = Sweeper::default();
    wait_until("the sweep starts it", DEADLINE, async || {
        host.engine.sweep(&mut sweeper).await.expect("it sweeps");
        exists(&host, &part(9)).await
    })
    .await;
    assert_eq!((host.status(&run).await.continued, host.status(&run).await.run.status), (1, Status::Running));
    host.work(16).await;
    assert_eq!(host.output::<u32>(&part(9)).await, 9);
    assert_eq!(host.output::<u32>(&run).await, 0);
}

pub(super) async fn w52_a_deadline_of_zero_is_refused(tested: BackendUnderTest) {
    let hasty = || Hasty { all: All {} };
    let sentence = "workflow \"hasty\": a deadline of zero: no step could run";
    let refused =
        Engine::builder(Arc::clone(&tested.backend)).workflow(hasty()).build().expect_err("it is refused");
    assert!(matches!(refused, BuildError::BadRules(_)));
    assert_eq!(refused.to_string(), sentence);
    let here = hasty().run(&WorkflowCtx::new(()), vec![1]).await;
    assert_eq!(here, Err(Error::Generic(sentence.to_owned())));
    // A host that does not serve the workflow, and would start a run of it.
    let orders = Orders { order: ChildRun::new(hasty()).detached() };
    let engine = Engine::builder(Arc::clone(&tested.backend))
        .workflow(orders)
        .workflow(Task { act: Do { probe: Probe::open() } });
    let mut host = TestHost::of(engine.build().expect("the workflows are sound"));
    host.work(4).await;
    let result = host.result(&host.start("orders", "r", &[1_u32]).await).await;
    let message = result["error"]["message"].as_str().unwrap_or_default();
    assert!(result["status"] == "failed" && message.contains(sentence), "{result:#}");
    // A start by a request, and one by a message, whose header says it.
    let of_zero = |id: &str, deadline| StartRequest { deadline, ..request("task", id, &1_u32) };
    for (nth, deadline) in
        [RunDeadline::After(Duration::ZERO), RunDeadline::parse("0ms"), RunDeadline::parse("0d")]
            .into_iter()
            .enumerate()
    {
        let request = of_zero(&format!("asked-{nth}"), deadline.clone());
        let refused = Api::start(&*host.engine, request, None).await.expect_err("it is refused");
        assert!(
            refused.code == 400 && refused.message.contains("a deadline of zero: no step could run"),
            "{refused}"
        );
        let message = of_zero(&format!("told-{nth}"), deadline);
        let sent = tested.backend.publish_start(&message).await.expect("it is stored");
        let run = key("task", &format!("told-{nth}"));
        let result = tested.backend.done(&run, WantedResult::New(sent), DEADLINE).await;
        let result = result.expect("it can be asked").expect("whoever waits gets a result");
        let refused: Value = serde_json::from_slice(&result).expect("it is JSON");
        let reason = refused["error"]["message"].as_str().unwrap_or_default();
        assert!(
            refused["error"]["kind"] == "bad-deadline" && reason.contains("a deadline of zero"),
            "{refused:#}"
        );
        assert!(!exists(&host, &run).await, "it has left nothing behind");
    }
}
