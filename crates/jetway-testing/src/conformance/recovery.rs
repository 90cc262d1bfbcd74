//! Lost workers, lost tickets, and tickets that should not be.

use super::{
    BackendUnderTest, DEADLINE, TestHost,
    host::request,
    snapshots::{key, write},
    workflows::{Chain, FanInput, FanOutput, Probe},
};
use crate::wait_until;
use async_trait::async_trait;
use jetway_engine::{
    Engine, EngineConfig, PlainTracer, StepInfo, StepSpan, Sweeper, TicketOutcome, Tracer,
    backend::{Api, BackendError, Delivery, Lease, RunsQuery, Ticket},
};
use jetway_state::{
    Fingerprint, ItemId, RunKey, StoreId,
    run::{Snapshot, Status, WantedResult},
    trace::TraceHeaders,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub(super) async fn p3_a_step_that_runs_twice_is_committed_once(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let host = TestHost::idle(&tested, &probe);
    let run = host.start("chain3", "r", &0).await;
    // The first worker is taken for lost while its node runs; the second gets the same ticket.
    let first = host.ticket("chain3").await;
    let engine = host.engine.clone();
    let zombie = tokio::spawn(async move { engine.process_ticket(first, CancellationToken::new()).await });
    probe.arrived().await;
    let second = host.ticket("chain3").await;
    assert_eq!(second.delivered, 2);
    let engine = host.engine.clone();
    let worker = tokio::spawn(async move { engine.process_ticket(second, CancellationToken::new()).await });
    probe.arrived().await;
    probe.let_through(100);
    zombie.await.expect("it comes back");
    worker.await.expect("it comes back");
    let mut host = host;
    host.work(8).await;
    assert_eq!(host.output::<u64>(&run).await, 3);
    assert_eq!(host.status(&run).await.run.steps, 3, "a step was committed twice");
    assert!(probe.executed() >= 4);
    let attempts: Vec<_> =
        probe.seen().into_iter().filter(|(item, _)| item == "start").map(|(_, n)| n).collect();
    assert_eq!(attempts, [1, 2]);
}

pub(super) async fn p3_a_zombie_cannot_commit(tested: BackendUnderTest) {
    // Two hosts that share nothing but the backend: the zombie's snapshot in hand is out of date.
    let (slow, quick) = (Probe::closed(), Probe::open());
    let zombie_host = TestHost::idle(&tested, &slow);
    let run = zombie_host.start("chain3", "r", &0).await;
    let held = zombie_host.ticket("chain3").await;
    let engine = zombie_host.engine.clone();
    let zombie = tokio::spawn(async move { engine.process_ticket(held, CancellationToken::new()).await });
    slow.arrived().await;
    let host = TestHost::at_work(&tested, &quick).await;
    assert_eq!(host.output::<u64>(&run).await, 3);
    let before = host.status(&run).await;
    slow.let_through(100);
    let ended = zombie.await.expect("it comes back");
    assert!(matches!(ended, TicketOutcome::Acked { steps: 0 }), "{ended:?}");
    assert_eq!(host.status(&run).await, before);
}

pub(super) async fn p4_forged_tickets_do_nothing(tested: BackendUnderTest) {
    let probe = Probe::open();
    let host = TestHost::at_work(&tested, &probe).await;
    let run = host.start("chain3", "r", &0).await;
    host.result(&run).await;
    let before = host.status(&run).await;
    for (id, item, revision) in
        [("r", "start", 1), ("r", "start-0", 0), ("r", "forged", u64::MAX), ("nobody", "start", 1)]
    {
        let ticket = Ticket {
            workflow: run.workflow.clone(),
            run_id: key("chain3", id).run_id,
            incarnation: before.run.incarnation,
            node: "three".to_owned(),
            item: ItemId::new(item).expect("a good id"),
            revision,
            store: StoreId::default(),
            woken_by: None,
            attempt: 9,
            given_back: 0,
            at: jetway_core::clock::now(),
            trace: TraceHeaders::default(),
        };
        tested.backend.publish(vec![(ticket, Fingerprint(1))]).await.expect("it is published");
    }
    for id in ["r", "nobody"] {
        wait_until("the forged tickets are gone", DEADLINE, async || {
            tested
                .backend
                .items_with_tickets(&key("chain3", id), None)
                .await
                .expect("it can be asked")
                .is_empty()
        })
        .await;
    }
    assert_eq!(host.status(&run).await, before);
    assert_eq!(probe.executed(), 3);
}

pub(super) async fn p4_lost_tickets_are_found(tested: BackendUnderTest) {
    let host = TestHost::idle(&tested, &Probe::open());
    let run = host.start("fan", "r", &FanInput { branches: 5, ..FanInput::default() }).await;
    let worked = host.work_off(host.ticket("fan").await).await;
    assert!(matches!(worked, TicketOutcome::Acked { steps: 1 }), "{worked:?}");
    // All five branches have a ticket; somebody loses two of them.
    for _ in 0..2 {
        host.ticket("fan").await.lease.ack().await.expect("it is lost");
    }
    wait_until("two tickets are gone", DEADLINE, async || {
        tested.backend.items_with_tickets(&run, None).await.expect("it can be asked").len() == 3
    })
    .await;
    let mut sweeper = Sweeper::default();
    wait_until("the sweep mends the run", DEADLINE, async || {
        let swept = host.engine.sweep(&mut sweeper).await.expect("it sweeps");
        assert!([0, 2].contains(&swept.republished), "{swept:?}");
        swept.republished == 2
    })
    .await;
    let mut host = host;
    host.work(8).await;
    let output: FanOutput = host.output(&run).await;
    assert_eq!(output.positions, [0, 1, 2, 3, 4]);
    let swept = host.engine.sweep(&mut Sweeper::default()).await.expect("it sweeps");
    assert_eq!(swept.republished, 0, "a healthy run was mended");
}

pub(super) async fn p4_tickets_lost_just_now_are_found_in_doubt(tested: BackendUnderTest) {
    let patient = EngineConfig { stale_after: DEADLINE * 10, ..EngineConfig::default() };
    let host = TestHost::with(&tested.backend, &Probe::open(), patient);
    let run = host.start("fan", "r", &FanInput { branches: 5, ..FanInput::default() }).await;
    host.work_off(host.ticket("fan").await).await;
    host.ticket("fan").await.lease.ack().await.expect("it is lost");
    wait_until("a ticket is gone", DEADLINE, async || {
        tested.backend.items_with_tickets(&run, None).await.expect("it can be asked").len() == 4
    })
    .await;
    let mut sweeper = Sweeper::default();
    let swept = host.engine.sweep(&mut sweeper).await.expect("it sweeps");
    assert_eq!((swept.runs_checked, swept.republished), (0, 0), "the run was written just now");
    sweeper.suspect_loss(jetway_core::clock::now(), jetway_core::clock::now());
    let swept = host.engine.sweep(&mut sweeper).await.expect("it sweeps");
    assert_eq!((swept.runs_checked, swept.republished), (1, 1));
    let swept = host.engine.sweep(&mut sweeper).await.expect("it sweeps");
    assert_eq!((swept.runs_checked, swept.republished), (0, 0), "there is no doubt any more");
    assert_eq!(tested.backend.items_with_tickets(&run, None).await.expect("it can be asked").len(), 5);
}

/// A worker that is lost when its run has ended, before it carries out the effects.
#[derive(Debug)]
struct LostAtTheEnd;

impl Tracer for LostAtTheEnd {
    fn step(&self, info: &StepInfo<'_>) -> StepSpan {
        PlainTracer.step(info)
    }

    fn step_ended(&self, _span: &StepSpan, _outcome: &'static str) {}

    fn run_ended(&self, snapshot: &Snapshot) {
        panic!("the worker of run {} is lost", snapshot.key());
    }
}

/// A run that has ended. Its worker was lost before it carried out the effects, and its ticket is lost, too.
async fn ended_without_a_result(tested: &BackendUnderTest) -> RunKey {
    let engine = Engine::builder(Arc::clone(&tested.backend)).workflow(Chain::new(&Probe::open()));
    let engine = engine.tracer(Arc::new(LostAtTheEnd)).build().expect("the workflow is sound");
    let lost = TestHost::of(engine);
    let run = lost.start("chain3", "r", &0).await;
    let held = lost.ticket("chain3").await;
    let lease = Arc::clone(&held.lease);
    let engine = Arc::clone(&lost.engine);
    let worker = tokio::spawn(async move { engine.process_ticket(held, CancellationToken::new()).await });
    assert!(worker.await.expect_err("the worker is lost").is_panic());
    lease.ack().await.expect("the ticket is lost, too");
    assert!(!has_result(tested, &run).await);
    run
}

async fn has_result(tested: &BackendUnderTest, run: &RunKey) -> bool {
    let result = tested.backend.done(run, WantedResult::Latest, Duration::ZERO).await;
    result.expect("it can be asked").is_some()
}

pub(super) async fn h5_a_result_that_was_lost_with_its_ticket_is_published(tested: BackendUnderTest) {
    let run = ended_without_a_result(&tested).await;
    let host = TestHost::at_work(&tested, &Probe::open()).await;
    assert_eq!(host.status(&run).await.run.status, Status::Completed);
    let mut sweeper = Sweeper::default();
    wait_until("the sweep publishes the result", DEADLINE, async || {
        host.engine.sweep(&mut sweeper).await.expect("it sweeps");
        has_result(&tested, &run).await
    })
    .await;
    // Another sweeper finds nothing to do, at this run and at one that ended as it should.
    let other = host.start("chain3", "other", &0).await;
    assert_eq!(host.output::<u64>(&other).await, 3);
    let swept = host.engine.sweep(&mut Sweeper::default()).await.expect("it sweeps");
    assert_eq!(swept.runs_checked, 0, "a run with a result was checked");
}

pub(super) async fn h5_a_result_lost_just_now_is_published_in_doubt(tested: BackendUnderTest) {
    let run = ended_without_a_result(&tested).await;
    let patient = EngineConfig { stale_after: DEADLINE * 10, ..EngineConfig::default() };
    let host = TestHost::with(&tested.backend, &Probe::open(), patient);
    let mut sweeper = Sweeper::default();
    host.engine.sweep(&mut sweeper).await.expect("it sweeps");
    assert!(!has_result(&tested, &run).await, "the run ended just now");
    sweeper.suspect_loss(jetway_core::clock::now(), jetway_core::clock::now());
    host.engine.sweep(&mut sweeper).await.expect("it sweeps");
    assert!(has_result(&tested, &run).await);
}

pub(super) async fn p4_a_lost_worker_s_run_goes_on(tested: BackendUnderTest) {
    // The worker commits the first step, goes on with the second under the same ticket, and is lost in it.
    let probe = Probe::closed();
    probe.let_through(1);
    let lost = TestHost::idle(&tested, &probe);
    let run = lost.start("chain3", "r", &0).await;
    let held = lost.ticket("chain3").await;
    let engine = lost.engine.clone();
    let worker = tokio::spawn(async move { engine.process_ticket(held, CancellationToken::new()).await });
    wait_until("the second node runs", DEADLINE, async || probe.executed() == 2).await;
    worker.abort();
    assert!(worker.await.is_err());
    let second = Probe::open();
    let host = TestHost::at_work(&tested, &second).await;
    assert_eq!(host.output::<u64>(&run).await, 3);
    assert_eq!((host.status(&run).await.run.steps, second.executed()), (3, 2));
    assert_eq!(second.seen()[0].1, 2, "the second attempt at the second node does not say so");
}

/// A lease that lasts so long that its ticket is fresh all the while.
#[derive(Debug)]
struct Fresh(Arc<dyn Lease>);

#[async_trait]
impl Lease for Fresh {
    async fn extend(&self) -> Result<(), BackendError> {
        self.0.extend().await
    }

    async fn ack(&self) -> Result<(), BackendError> {
        self.0.ack().await
    }

    async fn nak(&self) -> Result<(), BackendError> {
        self.0.nak().await
    }

    fn attempt_counted(&self) {
        self.0.attempt_counted();
    }

    fn duration(&self) -> Duration {
        DEADLINE * 10
    }
}

/// A lease that nobody holds.
#[derive(Debug)]
struct NoLease;

#[async_trait]
impl Lease for NoLease {
    async fn extend(&self) -> Result<(), BackendError> {
        Ok(())
    }

    async fn ack(&self) -> Result<(), BackendError> {
        Ok(())
    }

    async fn nak(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn duration(&self) -> Duration {
        DEADLINE
    }
}

pub(super) async fn p4_a_commit_that_was_overtaken_leaves_nothing_stranded(tested: BackendUnderTest) {
    // Two workers are in the first node, by the same ticket. The one commits, goes on with the second, and is lost there,
    // as if its commit was one of the other whose answer got lost.
    let (probe, lost_probe) = (Probe::closed(), Probe::closed());
    let holder = TestHost::idle(&tested, &probe);
    let lost = TestHost::idle(&tested, &lost_probe);
    let run = holder.start("chain3", "r", &0).await;
    let held = holder.ticket("chain3").await;
    let forged = Delivery {
        ticket: held.ticket.clone(),
        fingerprint: held.fingerprint,
        delivered: 1,
        lease: Arc::new(NoLease),
        slot: Arc::new(Semaphore::new(1)).acquire_owned().await.expect("a slot"),
    };
    let held = Delivery { lease: Arc::new(Fresh(Arc::clone(&held.lease))), ..held };
    let engine = holder.engine.clone();
    let worker = tokio::spawn(async move { engine.process_ticket(held, CancellationToken::new()).await });
    wait_until("the holder is in the first node", DEADLINE, async || probe.executed() == 1).await;
    lost_probe.let_through(1);
    let engine = lost.engine.clone();
    let loses = tokio::spawn(async move { engine.process_ticket(forged, CancellationToken::new()).await });
    wait_until("the other is in the second node", DEADLINE, async || lost_probe.executed() == 2).await;
    loses.abort();
    assert!(loses.await.is_err());
    probe.let_through(1);
    let worked = worker.await.expect("it does not panic");
    assert!(matches!(worked, TicketOutcome::Acked { steps: 0 }), "{worked:?}");
    let heir = TestHost::at_work(&tested, &Probe::open()).await;
    assert_eq!(heir.output::<u64>(&run).await, 3);
}

pub(super) async fn p4_what_a_lost_worker_left_is_found_by_those_who_know_less(tested: BackendUnderTest) {
    // The worker commits the first step. Another host sees that much, and no more.
    let probe = Probe::closed();
    probe.let_through(1);
    let lost = TestHost::idle(&tested, &probe);
    let run = lost.start("chain3", "r", &0).await;
    let held = lost.ticket("chain3").await;
    let engine = lost.engine.clone();
    let worker = tokio::spawn(async move { engine.process_ticket(held, CancellationToken::new()).await });
    wait_until("the second node runs", DEADLINE, async || probe.executed() == 2).await;
    let mut heir = TestHost::idle(&tested, &Probe::open());
    heir.start("chain3", "r", &0).await;
    // It commits the second step under the same ticket, and is lost.
    probe.let_through(1);
    wait_until("the third node runs", DEADLINE, async || probe.executed() == 3).await;
    worker.abort();
    assert!(worker.await.is_err());
    heir.work(8).await;
    assert_eq!(heir.output::<u64>(&run).await, 3);
}

pub(super) async fn p4_a_ticket_that_comes_again_brings_back_what_it_left(tested: BackendUnderTest) {
    let host = TestHost::idle(&tested, &Probe::open());
    let run = host.start("fan", "r", &FanInput { branches: 3, ..FanInput::default() }).await;
    let first = host.ticket("fan").await;
    let (ticket, build) = (first.ticket.clone(), first.fingerprint);
    host.work_off(first).await;
    // The tickets of the branches are lost, and the one that has brought them is published once more, as a new one.
    for _ in 0..3 {
        host.ticket("fan").await.lease.ack().await.expect("it is lost");
    }
    wait_until("the tickets are gone", DEADLINE, async || {
        tested.backend.items_with_tickets(&run, None).await.expect("it can be asked").is_empty()
    })
    .await;
    let again = Ticket { at: jetway_core::clock::now(), ..ticket };
    tested.backend.publish(vec![(again, build)]).await.expect("it is published");
    // Whoever sees it relies on it.
    let swept = host.engine.sweep(&mut Sweeper::default()).await.expect("it sweeps");
    assert_eq!(swept.republished, 0);
    let mut host = host;
    host.work(8).await;
    let output: FanOutput = host.output(&run).await;
    assert_eq!(output.positions, [0, 1, 2]);
}

pub(super) async fn p7_a_broken_record_keeps_nobody_else_waiting(tested: BackendUnderTest) {
    let host = TestHost::idle(&tested, &Probe::open());
    for id in ["a", "b"] {
        let broken = write(&key("chain3", id), 0, 1, b"no record");
        tested.backend.commit(broken).await.expect("it is written");
    }
    let run = host.start("chain3", "r", &0).await;
    host.ticket("chain3").await.lease.ack().await.expect("it is lost");
    wait_until("the ticket is gone", DEADLINE, async || {
        tested.backend.items_with_tickets(&run, None).await.expect("it can be asked").is_empty()
    })
    .await;
    let mut sweeper = Sweeper::default();
    wait_until("the sweep mends the run behind the broken ones", DEADLINE, async || {
        host.engine.sweep(&mut sweeper).await.expect("it sweeps").republished == 1
    })
    .await;
    let page = Api::runs(&*host.engine, RunsQuery::default()).await.expect("they are listed");
    assert_eq!(page.runs.iter().map(|run| run.run_id.as_str()).collect::<Vec<_>>(), ["r"]);
    let unreadable: Vec<_> = page.unreadable.iter().map(|run| run.run_id.as_str()).collect();
    assert_eq!(unreadable, ["b", "a"]);
    let status = host.engine.status("chain3", "a").await.expect_err("it cannot be read");
    assert!(status.message.contains("cannot decode the record of run chain3/a"), "{status}");
    let mut host = host;
    host.work(8).await;
    assert_eq!(host.output::<u64>(&run).await, 3);
}

pub(super) async fn p1_a_lost_coordinator_s_start_is_taken_up(tested: BackendUnderTest) {
    // The coordinator wrote the snapshot and was lost before the ticket: as if it had been published and lost.
    let host = TestHost::idle(&tested, &Probe::open());
    let run = host.start("chain3", "r", &0).await;
    host.ticket("chain3").await.lease.ack().await.expect("it is lost");
    wait_until("the ticket is gone", DEADLINE, async || {
        tested.backend.items_with_tickets(&run, None).await.expect("it can be asked").is_empty()
    })
    .await;
    tested.backend.publish_start(&request("chain3", "r", &0)).await.expect("it is published");
    let mut host = host;
    host.work(8).await;
    assert_eq!(host.output::<u64>(&run).await, 3);
}
