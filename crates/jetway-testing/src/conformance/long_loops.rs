//! Runs that continue as new.

mod workflows;

use super::{BackendUnderTest, DEADLINE, TestHost, host::request};
use crate::{
    interceptor::{Intercepted, Interceptor},
    wait_until,
};
use async_trait::async_trait;
use bytes::Bytes;
use jetway_engine::{
    StartError, Sweeper,
    api::StartAnswer,
    backend::{Api, Backend, BackendError, BackendErrorKind, NewSignal, StartRequest, Ticket},
};
use jetway_state::{
    Fingerprint, Incarnation, RunKey,
    run::{RunDeadline, Status, Verdict, WantedResult, control::Control},
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};
use workflows::{Collected, Counts, Laps, host};

/// How many signals the row of the table wants, and how many each incarnation takes. A server that writes each of them to its disk
/// gets fewer.
const SIGNALS: u64 = 1000;
const ON_DISK: u64 = 200;
const EACH: u64 = 10;
/// How often a cancel meets a run that continues as new.
const CANCELS: usize = 50;

async fn at_work(tested: &BackendUnderTest) -> (TestHost, Counts) {
    let counts = Counts::default();
    let mut host = host(&tested.backend, &counts);
    host.work(64).await;
    (host, counts)
}

async fn tell(host: &TestHost, run: &RunKey, control: Control) -> Status {
    host.engine.control(run, control).await.expect("it can be told").expect("it is there").status
}

/// Waits until a run has continued as new so often.
async fn continued(host: &TestHost, run: &RunKey, times: u32) {
    wait_until("the run continues as new", DEADLINE, async || host.status(run).await.continued >= times)
        .await;
}

fn number(run: &RunKey, number: u64) -> NewSignal {
    NewSignal {
        run: run.clone(),
        name: "number".to_owned(),
        id: None,
        incarnation: None,
        content_type: None,
        payload: Bytes::from(number.to_string()),
    }
}

/// Starts a run by a request: the answer names its first incarnation.
async fn begun(host: &TestHost, request: StartRequest) -> (RunKey, Incarnation) {
    let workflow = request.workflow.parse().expect("a good name");
    match Api::start(&*host.engine, request, None).await.expect("it is started") {
        StartAnswer::Started { run_id, incarnation } => (RunKey::new(workflow, run_id), incarnation),
        StartAnswer::Ended(done) => panic!("it has ended: {done:?}"),
    }
}

pub(super) async fn a_run_goes_on_with_a_fresh_context(tested: BackendUnderTest) {
    let (host, _) = at_work(&tested).await;
    let laps = Laps { left: 3, bytes: 0 };
    let (run, first) = begun(&host, request("laps", "r", &laps)).await;
    // Each incarnation counts one step in its context.
    assert_eq!(host.output::<Vec<i64>>(&run).await, [1]);
    let status = host.status(&run).await;
    assert_eq!((status.chain, status.continued), (Some(first), 3));
    assert_ne!(status.run.incarnation, first);
    // Two steps in each incarnation, and they are those of the run.
    assert_eq!(status.run.steps, 4 * 2);
    // Results, waits for them and repeated starts know the first incarnation.
    let result = host.result(&run).await;
    assert_eq!(result["incarnation"], Value::from(first.to_string()));
    let waited = tested.backend.done(&run, WantedResult::Of(first), Duration::ZERO).await;
    assert!(waited.expect("it can be read").is_some());
    match Api::start(&*host.engine, request("laps", "r", &laps), Some(DEADLINE))
        .await
        .expect("it is the same")
    {
        StartAnswer::Ended(done) => assert_eq!((done.incarnation, done.status), (first, Status::Completed)),
        StartAnswer::Started { .. } => panic!("it has ended"),
    }
    let other = host.engine.start(request("laps", "r", &Laps { left: 2, bytes: 0 })).await;
    assert!(matches!(other, Err(StartError::OtherInput(_))), "{other:?}");
}

/// Knows whose values were removed.
#[derive(Debug)]
struct Removing {
    backend: Arc<dyn Backend>,
    removed: Arc<Mutex<BTreeSet<Incarnation>>>,
}

#[async_trait]
impl Interceptor for Removing {
    fn inner(&self) -> &dyn Backend {
        &*self.backend
    }

    async fn drop_all_chunks(&self, run: &RunKey, incarnation: Incarnation) -> Result<(), BackendError> {
        self.backend.drop_all_chunks(run, incarnation).await?;
        self.removed.lock().unwrap_or_else(PoisonError::into_inner).insert(incarnation);
        Ok(())
    }
}

pub(super) async fn values_of_earlier_incarnations_are_removed(tested: BackendUnderTest) {
    let removed = Arc::<Mutex<BTreeSet<Incarnation>>>::default();
    let removing = Removing { backend: Arc::clone(&tested.backend), removed: Arc::clone(&removed) };
    let mut host = host(&(Arc::new(Intercepted(removing)) as Arc<dyn Backend>), &Counts::default());
    host.work(64).await;
    let run = host.start("laps", "r", &Laps { left: 3, bytes: 400_000 }).await;
    assert_eq!(host.output::<Vec<i64>>(&run).await, [1]);
    // The result comes first.
    wait_until("the values of each incarnation are removed", DEADLINE, async || {
        removed.lock().unwrap_or_else(PoisonError::into_inner).len() == 4
    })
    .await;
    let left = tested.backend.collect_orphaned_chunks(Duration::ZERO).await.expect("they are collected");
    assert_eq!(left, 0, "values were left beside the record");
}

pub(super) async fn open_branches_fail_the_step(tested: BackendUnderTest) {
    let (host, _) = at_work(&tested).await;
    for (workflow, status) in [("wide", "failed"), ("wide-rescued", "completed")] {
        let run = host.start(workflow, "r", &4_u64).await;
        let result = host.result(&run).await;
        assert_eq!(result["status"], status, "{result:#}");
        let status = host.status(&run).await;
        let error = status.run.error.as_ref().or_else(|| status.latest_handled_failures.first());
        let error = error.expect("an error");
        assert_eq!((error.kind.as_str(), error.node.as_deref()), ("branches_open", Some("again")));
        assert!(error.message.contains("cannot continue as new while "), "{}", error.message);
        assert_eq!(status.continued, 0);
    }
    // The input has to be one of the workflow.
    let run = host.start("wide", "wrong", &0_u64).await;
    let result = host.result(&run).await;
    let message = result["error"]["message"].as_str().expect("a message");
    assert_eq!(
        (&result["error"]["kind"], message.contains("continue as new")),
        (&"codec".into(), true),
        "{message}"
    );
}

pub(super) async fn w39_a_loop_that_continues_as_new_loses_no_signal(tested: BackendUnderTest) {
    let (host, _) = at_work(&tested).await;
    // In memory, records are kept for ever.
    let signals = if tested.backend.keep_finished().is_none() { SIGNALS } else { ON_DISK };
    let run = host.start("collect", "r", &Collected::of(signals, EACH)).await;
    for nth in 1..=signals {
        tested.backend.publish_signal(&number(&run, nth)).await.expect("it is stored");
    }
    let collected: Collected = host.output(&run).await;
    assert_eq!((collected.taken, collected.in_order), (signals, true));
    let status = host.status(&run).await;
    // The last one ends.
    assert_eq!((u64::from(status.continued) + 1, status.mailbox), (signals / EACH, None));
}

pub(super) async fn w42_an_id_is_remembered_by_the_next_incarnation(tested: BackendUnderTest) {
    let (host, _) = at_work(&tested).await;
    let (run, first) = begun(&host, request("collect", "r", &Collected::of(4, 1))).await;
    let send = async |nth: u64, id: &str, incarnation| {
        let signal = NewSignal { id: Some(id.to_owned()), incarnation, ..number(&run, nth) };
        host.engine.signal(signal).await
    };
    assert!(send(1, "one", None).await.expect("it is applied").verdict.is_accepted());
    continued(&host, &run, 1).await;
    let again = send(1, "one", None).await.expect("it is answered");
    assert_eq!(again.verdict, Verdict::Duplicate);
    // The same over the stream.
    let repeated = NewSignal { id: Some("one".to_owned()), ..number(&run, 1) };
    tested.backend.publish_signal(&repeated).await.expect("it is stored");
    // Those who name the start, or the present incarnation, are heard.
    assert!(send(2, "two", Some(first)).await.expect("it is applied").verdict.is_accepted());
    continued(&host, &run, 2).await;
    let former = Incarnation::continued(first, 1);
    let refused = send(3, "three", Some(former)).await.expect_err("that one is over");
    assert!(refused.code == 409 && refused.message.contains("incarnation"), "{refused}");
    let present = host.status(&run).await.run.incarnation;
    assert!(send(3, "three", Some(present)).await.expect("it is applied").verdict.is_accepted());
    continued(&host, &run, 3).await;
    assert!(send(4, "four", None).await.expect("it is applied").verdict.is_accepted());
    let collected: Collected = host.output(&run).await;
    assert_eq!((collected.taken, collected.in_order), (4, true));
}

pub(super) async fn w48_a_cancel_meets_the_newest_incarnation(tested: BackendUnderTest) {
    let (host, counts) = at_work(&tested).await;
    let runs: Vec<_> = futures::future::join_all((0..CANCELS).map(|nth| {
        let host = &host;
        async move {
            let run = host.start("wheel", &format!("r{nth}"), &()).await;
            continued(host, &run, 1 + u32::try_from(nth % 4).expect("small")).await;
            assert_eq!(tell(host, &run, Control::Cancel).await, Status::Cancelled);
            assert_eq!(host.result(&run).await["status"], "cancelled");
            (host.status(&run).await.run.incarnation, run)
        }
    }))
    .await;
    for (_, run) in &runs {
        wait_until("no item has a ticket", DEADLINE, async || {
            tested.backend.items_with_tickets(run, None).await.expect("tickets can be listed").is_empty()
        })
        .await;
    }
    let turns = counts.turns();
    for (incarnation, run) in &runs {
        let status = host.status(run).await;
        assert_eq!((status.run.status, status.run.incarnation), (Status::Cancelled, *incarnation), "{run}");
    }
    assert_eq!(counts.turns(), turns, "a run went on after its cancel");
}

pub(super) async fn w48_a_child_that_has_continued_is_cancelled(tested: BackendUnderTest) {
    let (host, _) = at_work(&tested).await;
    let run = host.start("keeper", "r", &()).await;
    let child = host.child_of(&run).await;
    continued(&host, &child, 3).await;
    assert_eq!(tell(&host, &run, Control::Cancel).await, Status::Cancelled);
    assert_eq!(host.result(&run).await["status"], "cancelled");
    wait_until("the child is cancelled", DEADLINE, async || {
        host.status(&child).await.run.status == Status::Cancelled
    })
    .await;
    let incarnation = host.status(&child).await.run.incarnation;
    assert_eq!(host.result(&child).await["status"], "cancelled");
    assert_eq!(host.status(&child).await.run.incarnation, incarnation);
}

pub(super) async fn a_parent_gets_what_its_child_ends_with(tested: BackendUnderTest) {
    let (host, _) = at_work(&tested).await;
    let run = host.start("asks-laps", "r", &Laps { left: 2, bytes: 0 }).await;
    assert_eq!(host.output::<Vec<i64>>(&run).await, [1]);
}

pub(super) async fn w52_a_chain_keeps_its_deadline(tested: BackendUnderTest) {
    let (host, _) = at_work(&tested).await;
    let limit = Duration::from_millis(900);
    let start = StartRequest { deadline: RunDeadline::After(limit), ..request("wheel", "r", &()) };
    let (run, first) = begun(&host, start).await;
    let deadline = host.status(&run).await.deadline;
    continued(&host, &run, 2).await;
    assert_eq!(host.status(&run).await.deadline, deadline);
    let result = host.result(&run).await;
    assert_eq!((&result["status"], &result["error"]["kind"]), (&"failed".into(), &"deadline".into()));
    assert_eq!(result["incarnation"], Value::from(first.to_string()));
    assert!(result["finished_at"].as_str() >= deadline.as_deref(), "{result:#}");
}

pub(super) async fn a_paused_run_continues_when_it_is_resumed(tested: BackendUnderTest) {
    let (host, counts) = at_work(&tested).await;
    let run = host.start("wheel", "r", &()).await;
    continued(&host, &run, 1).await;
    assert_eq!(tell(&host, &run, Control::Pause).await, Status::Paused);
    wait_until("no item has a ticket", DEADLINE, async || {
        tested.backend.items_with_tickets(&run, None).await.expect("tickets can be listed").is_empty()
    })
    .await;
    let (before, turns) = (host.status(&run).await, counts.turns());
    assert_eq!((before.run.status, before.pending.len()), (Status::Paused, 1));
    assert_eq!(tell(&host, &run, Control::Resume).await, Status::Running);
    continued(&host, &run, before.continued + 1).await;
    assert!(counts.turns() > turns);
    tell(&host, &run, Control::Cancel).await;
}

/// Loses what a host publishes while it is set: the host is lost, or the server forgets it.
#[derive(Debug)]
struct Losing {
    backend: Arc<dyn Backend>,
    dies: Arc<AtomicBool>,
    forgets: bool,
}

#[async_trait]
impl Interceptor for Losing {
    fn inner(&self) -> &dyn Backend {
        &*self.backend
    }

    async fn publish(&self, tickets: Vec<(Ticket, Fingerprint)>) -> Result<(), BackendError> {
        match (self.dies.load(SeqCst), self.forgets) {
            (false, _) => self.backend.publish(tickets).await,
            (true, true) => Ok(()),
            (true, false) => Err(BackendError::new(BackendErrorKind::Closed, "the host is lost")),
        }
    }
}

/// A run that has continued as new, and whose next ticket was never published.
async fn without_ticket(tested: &BackendUnderTest, forgets: bool) -> (Counts, RunKey) {
    let counts = Counts::default();
    let losing = Losing { backend: Arc::clone(&tested.backend), dies: Arc::clone(&counts.dies), forgets };
    let backend: Arc<dyn Backend> = Arc::new(Intercepted(losing));
    let mut host = host(&backend, &counts);
    host.work(4).await;
    let run = host.start("dying", "r", &3_u64).await;
    continued(&host, &run, 1).await;
    if forgets {
        wait_until("no item has a ticket", DEADLINE, async || {
            tested.backend.items_with_tickets(&run, None).await.expect("tickets can be listed").is_empty()
        })
        .await;
    }
    let status = host.status(&run).await;
    assert_eq!((status.run.status, status.continued), (Status::Running, 1));
    drop(host);
    counts.dies.store(false, SeqCst);
    counts.safe.store(true, SeqCst);
    (counts, run)
}

pub(super) async fn p4_a_lost_host_s_next_incarnation_gets_its_ticket(tested: BackendUnderTest) {
    let (counts, run) = without_ticket(&tested, false).await;
    let mut host = host(&tested.backend, &counts);
    // The ticket of the former incarnation is delivered again.
    host.work(4).await;
    assert_eq!(host.output::<u64>(&run).await, 0);
    assert_eq!(host.status(&run).await.continued, 3);
}

pub(super) async fn p4_a_ticket_that_was_lost_is_found_by_the_sweep(tested: BackendUnderTest) {
    let (counts, run) = without_ticket(&tested, true).await;
    let mut host = host(&tested.backend, &counts);
    host.work(4).await;
    let mut sweeper = Sweeper::default();
    wait_until("the sweep finds the run", DEADLINE, async || {
        host.engine.sweep(&mut sweeper).await.expect("it can be swept").republished == 1
    })
    .await;
    assert_eq!(host.output::<u64>(&run).await, 0);
}
