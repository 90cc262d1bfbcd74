//! Steps that wait for a child run, for signals and for a deadline: what comes first settles the wait.

use super::{BackendUnderTest, DEADLINE, Probe, TestHost};
use crate::{
    interceptor::{Intercepted, Interceptor},
    wait_until,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use jetway_core::{
    Answered, ChildOrSignal, ChildRun, FirstOf, OnParentCancel, RunKey, Transition, WaitForSignal,
};
use jetway_engine::{
    Control, Engine, EngineConfig, Sweeper,
    backend::{Alarm, Backend, BackendError, NewSignal},
};
use jetway_macros::{node, workflow};
use jetway_state::{
    run::{Status, Verdict},
    view::WaitKind,
};
use std::{sync::Arc, time::Duration};

/// Long enough for whatever must not happen by itself.
const LONG: Duration = Duration::from_secs(600);

/// How many runs have their child and their signal at the same time.
const RACES: usize = 30;

/// What the step of these cases goes on with, and what comes after it.
type Said = Answered<String, String>;

node! {
    /// Passes the probe.
    struct Do { probe: Probe };
    input = String; output = String;
    |_ctx, word| {
        self.probe.pass().await;
        Ok(Transition::Next(word.to_uppercase()))
    }
}

workflow! {
    /// What the child runs do.
    struct Task { act: Do }
    name = "task";
    start = act;
    edges { act => []; }
}

node! {
    /// Says what has come first.
    struct Say {};
    input = FirstOf<String, String>; output = String;
    |_ctx, first| {
        Ok(Transition::Next(match first {
            FirstOf::Child(output) => format!("child {output}"),
            FirstOf::Signal(text) => format!("signal {text}"),
            FirstOf::DeadlinePassed => "deadline".to_owned(),
        }))
    }
}

workflow! {
    /// Waits for what comes first, then for the signal `go`: its mailbox can be looked at until then.
    struct Either { first: ChildOrSignal<(), Task, String>, say: Say, stay: WaitForSignal<String, String> }
    name = "either";
    start = first;
    edges { first => [say]; say => [stay]; stay => []; }
}

#[derive(Clone, Copy)]
struct Options {
    policy: OnParentCancel,
    within: Duration,
}

const OPTIONS: Options = Options { policy: OnParentCancel::Cancel, within: LONG };

fn host(backend: &Arc<dyn Backend>, probe: &Probe, options: Options) -> TestHost {
    let task = || Task { act: Do { probe: probe.clone() } };
    let child = ChildRun::new(task()).on_parent_cancel(options.policy);
    let first = child.or_signal("stop").or_signal("change").within(options.within);
    let engine = Engine::builder(Arc::clone(backend))
        .config(EngineConfig { stale_after: Duration::ZERO, ..EngineConfig::default() })
        .workflow(task())
        .workflow(Either { first, say: Say {}, stay: WaitForSignal::new("go") });
    TestHost::of(engine.build().expect("the workflows are sound"))
}

async fn at_work(tested: &BackendUnderTest, probe: &Probe, options: Options) -> TestHost {
    let mut host = host(&tested.backend, probe, options);
    host.work(64).await;
    host
}

async fn send(host: &TestHost, run: &RunKey, name: &str, text: &str) -> Verdict {
    let payload = Bytes::from(format!("{text:?}"));
    let (run, name) = (run.clone(), name.to_owned());
    let signal = NewSignal { run, name, id: None, incarnation: None, content_type: None, payload };
    host.engine.signal(signal).await.expect("it is applied").verdict
}

/// What has come first, according to a run that has gone on.
async fn said(host: &TestHost, run: &RunKey) -> String {
    wait_until("the run has gone on", DEADLINE, async || {
        let pending = host.status(run).await.pending;
        pending.iter().any(|pending| pending.node.as_deref() == Some("stay") && pending.sleeping == 1)
    })
    .await;
    assert_eq!(send(host, run, "go", "on").await, Verdict::Taken);
    let said: Said = host.output(run).await;
    assert_eq!(said.answer.as_deref(), Some("on"));
    said.input
}

async fn status_of(host: &TestHost, run: &RunKey) -> Status {
    host.status(run).await.run.status
}

pub(super) async fn a_child_run_comes_before_a_signal(tested: BackendUnderTest) {
    let host = at_work(&tested, &Probe::open(), OPTIONS).await;
    let run = host.start("either", "r", &"a").await;
    wait_until("the run has gone on", DEADLINE, async || {
        host.status(&run).await.pending.iter().any(|pending| pending.signals.contains("go"))
    })
    .await;
    assert_eq!(send(&host, &run, "stop", "late").await, Verdict::Kept);
    let status = host.status(&run).await;
    assert_eq!((status.children.len(), status.mailbox.map(|mailbox| mailbox.signals)), (0, Some(1)));
    assert_eq!(said(&host, &run).await, "child A");
}

pub(super) async fn a_signal_comes_before_a_child_run(tested: BackendUnderTest) {
    for policy in [OnParentCancel::Cancel, OnParentCancel::Abandon, OnParentCancel::Wait] {
        let probe = Probe::closed();
        let host = at_work(&tested, &probe, Options { policy, ..OPTIONS }).await;
        let run = host.start("either", &format!("{policy:?}"), &"a").await;
        let child = host.child_of(&run).await;
        // All that it waits for is said.
        let status = host.status(&run).await;
        let sentence = status.waiting_for.expect("it says why it waits");
        assert!(
            sentence.starts_with(&format!("child run {child}, or signal \"stop\" or \"change\", until 20")),
            "{sentence}"
        );
        assert_eq!((status.waits[0].kind, status.waits[0].until.is_some()), (WaitKind::Child, true));
        assert_eq!(send(&host, &run, "change", "it").await, Verdict::Taken);
        assert_eq!(send(&host, &run, "stop", "late").await, Verdict::Kept);
        if policy == OnParentCancel::Cancel {
            assert_eq!(host.result(&child).await["status"], "cancelled");
        }
        assert_eq!(status_of(&host, &run).await, Status::Running, "it does not wait for its child");
        // Its result comes too late.
        probe.let_through(10);
        let expected = if policy == OnParentCancel::Cancel { "cancelled" } else { "completed" };
        assert_eq!(host.result(&child).await["status"], expected, "{policy:?}");
        assert_eq!(said(&host, &run).await, "signal it");
    }
}

pub(super) async fn a_deadline_comes_before_a_child_run(tested: BackendUnderTest) {
    let (probe, within) = (Probe::closed(), Duration::from_millis(700));
    let host = at_work(&tested, &probe, Options { within, ..OPTIONS }).await;
    let before = tested.backend.clock().now();
    let run = host.start("either", "r", &"a").await;
    let child = host.child_of(&run).await;
    assert_eq!(host.result(&child).await["status"], "cancelled");
    assert!(tested.backend.clock().now() >= before.after(within), "it was early");
    assert_eq!(send(&host, &run, "stop", "late").await, Verdict::Kept);
    assert_eq!(said(&host, &run).await, "deadline");
}

pub(super) async fn a_signal_that_is_there_already_starts_no_child_run(tested: BackendUnderTest) {
    let probe = Probe::open();
    let mut host = host(&tested.backend, &probe, OPTIONS);
    let run = host.start("either", "r", &"a").await;
    assert_eq!(send(&host, &run, "stop", "early").await, Verdict::Kept);
    host.work(16).await;
    assert_eq!(said(&host, &run).await, "signal early");
    assert_eq!(probe.executed(), 0);
}

pub(super) async fn w41_a_child_run_and_a_signal_have_one_winner(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let host = at_work(&tested, &probe, OPTIONS).await;
    let waiting = join_all((0..RACES).map(|nth| {
        let host = &host;
        async move {
            let run = host.start("either", &format!("r{nth}"), &"a").await;
            (host.child_of(&run).await, run)
        }
    }))
    .await;
    // All of them wait by now: a child that ends is one of any run.
    let races = waiting.iter().map(|(child, run)| {
        let (host, probe) = (&host, &probe);
        async move {
            probe.let_through(1);
            let verdict = send(host, run, "stop", "it").await;
            let said = said(host, run).await;
            match verdict {
                Verdict::Taken => assert_eq!(said, "signal it"),
                Verdict::Kept => assert_eq!(said, "child A"),
                other => panic!("the signal of {run} is {other}"),
            }
            host.result(child).await;
        }
    });
    join_all(races).await;
}

pub(super) async fn a_cancel_comes_before_a_child_run_and_a_signal(tested: BackendUnderTest) {
    for policy in [OnParentCancel::Cancel, OnParentCancel::Abandon, OnParentCancel::Wait] {
        let probe = Probe::closed();
        let host = at_work(&tested, &probe, Options { policy, ..OPTIONS }).await;
        let run = host.start("either", &format!("{policy:?}"), &"a").await;
        let child = host.child_of(&run).await;
        let told =
            host.engine.control(&run, Control::Cancel).await.expect("it can be told").expect("it is there");
        let waits = policy == OnParentCancel::Wait;
        assert_eq!(told.status, if waits { Status::Cancelling } else { Status::Cancelled }, "{policy:?}");
        if waits {
            assert_eq!(
                send(&host, &run, "stop", "late").await,
                Verdict::Kept,
                "it does not wait for it any more"
            );
            assert_eq!(status_of(&host, &run).await, Status::Cancelling);
        }
        let expected = if policy == OnParentCancel::Cancel { "cancelled" } else { "completed" };
        if policy == OnParentCancel::Cancel {
            assert_eq!(host.result(&child).await["status"], expected);
        }
        probe.let_through(10);
        assert_eq!(host.result(&child).await["status"], expected, "{policy:?}");
        assert_eq!(host.result(&run).await["status"], "cancelled");
    }
}

pub(super) async fn what_comes_first_survives_the_loss_of_a_host(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let host = at_work(&tested, &probe, OPTIONS).await;
    let [by_signal, by_child] =
        [host.start("either", "signal", &"a").await, host.start("either", "child", &"b").await];
    let children = [host.child_of(&by_signal).await, host.child_of(&by_child).await];
    let until = host.status(&by_signal).await.waits[0].until.clone();
    drop(host);
    // The signal comes while nobody works.
    let mut host = self::host(&tested.backend, &probe, OPTIONS);
    assert_eq!(send(&host, &by_signal, "stop", "it").await, Verdict::Taken);
    host.work(16).await;
    assert_eq!(said(&host, &by_signal).await, "signal it");
    assert_eq!(host.result(&children[0]).await["status"], "cancelled");
    let status = host.status(&by_child).await;
    assert!(until.is_some() && status.waits[0].until.is_some() && status.children.len() == 1, "{status:#?}");
    probe.let_through(10);
    assert_eq!(said(&host, &by_child).await, "child B");
}

/// Loses alarms.
#[derive(Debug)]
struct Losing(Arc<dyn Backend>);

#[async_trait]
impl Interceptor for Losing {
    fn inner(&self) -> &dyn Backend {
        &*self.0
    }

    async fn arm(&self, _alarm: Alarm) -> Result<(), BackendError> {
        Ok(())
    }
}

pub(super) async fn w26_a_lost_alarm_of_a_wait_for_the_first_is_found_by_the_sweep(tested: BackendUnderTest) {
    let backend: Arc<dyn Backend> = Arc::new(Intercepted(Losing(Arc::clone(&tested.backend))));
    let (probe, within) = (Probe::closed(), Duration::from_millis(700));
    let mut host = host(&backend, &probe, Options { within, ..OPTIONS });
    host.work(16).await;
    let run = host.start("either", "r", &"a").await;
    let child = host.child_of(&run).await;
    let mut sweeper = Sweeper::default();
    wait_until("the sweep ends the wait", DEADLINE, async || {
        host.engine.sweep(&mut sweeper).await.expect("it can be swept");
        status_of(&host, &child).await == Status::Cancelled
    })
    .await;
    assert_eq!(said(&host, &run).await, "deadline");
}
