//! Hosts that stop while their nodes wait: that is no attempt. Crashes are.

use super::{BackendUnderTest, DEADLINE, TestHost, snapshots::key, workflows::Probe};
use crate::wait_until;
use jetway_engine::{
    TicketOutcome,
    backend::{Backend, Delivery},
};
use jetway_state::{RunKey, Seen, run::Status};
use std::{collections::BTreeSet, sync::Arc};
use tokio_util::sync::CancellationToken;

/// More than the attempts that an item has by default.
const RESTARTS: usize = 40;

/// Works under a ticket until `probe` has a node, and stops as a host does that is asked to.
async fn stop_in_a_node(host: &TestHost, held: Delivery, probe: &Probe) {
    let (engine, stop) = (Arc::clone(&host.engine), CancellationToken::new());
    let stopped = stop.clone();
    let work = tokio::spawn(async move { engine.process_ticket(held, stopped).await });
    probe.arrived().await;
    stop.cancel();
    let ended = work.await.expect("it ends");
    assert!(matches!(ended, TicketOutcome::Nacked { .. }), "{ended:?}");
}

/// The attempts that were made at nodes, without repetitions.
fn attempts(probe: &Probe) -> BTreeSet<(String, u32)> {
    probe.seen().into_iter().collect()
}

pub(super) async fn u2_a_host_that_stops_makes_no_attempt(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let mut host = TestHost::idle(&tested, &probe);
    let run = host.start("chain3", "r", &0).await;
    let before = tested.backend.load(&run, Seen::default()).await.expect("it can be read");
    for restart in 0..RESTARTS {
        let held = host.ticket("chain3").await;
        assert_eq!((held.delivered, held.ticket.attempt), (1, 1), "after {restart} restarts");
        stop_in_a_node(&host, held, &probe).await;
    }
    let after = tested.backend.load(&run, Seen::default()).await.expect("it can be read");
    assert_eq!(after, before, "a restart is written");
    probe.let_through(100);
    host.work(8).await;
    assert_eq!(host.output::<u64>(&run).await, 3);
    assert_eq!(attempts(&probe).iter().map(|(_, attempt)| *attempt).max(), Some(1), "{:?}", probe.seen());
    assert_eq!(probe.executed() as usize, RESTARTS + 3);
}

pub(super) async fn u2_a_host_that_stops_in_a_later_step_makes_no_attempt(tested: BackendUnderTest) {
    let probe = Probe::closed();
    probe.let_through(1);
    let mut host = TestHost::idle(&tested, &probe);
    let run = host.start("chain3", "r", &0).await;
    let (engine, stop) = (Arc::clone(&host.engine), CancellationToken::new());
    let (held, stopped) = (host.ticket("chain3").await, stop.clone());
    let work = tokio::spawn(async move { engine.process_ticket(held, stopped).await });
    wait_until("the second node runs", DEADLINE, async || probe.executed() == 2).await;
    stop.cancel();
    let ended = work.await.expect("it ends");
    assert!(matches!(ended, TicketOutcome::Nacked { steps: 1 }), "{ended:?}");
    probe.let_through(100);
    host.work(8).await;
    assert_eq!(host.output::<u64>(&run).await, 3);
    assert_eq!(attempts(&probe).iter().map(|(_, attempt)| *attempt).max(), Some(1), "{:?}", probe.seen());
}

pub(super) async fn u2_a_crash_between_stops_is_counted_once(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let mut host = TestHost::idle(&tested, &probe);
    let run = host.start("chain3", "r", &0).await;
    stop_in_a_node(&host, host.ticket("chain3").await, &probe).await;
    let (engine, held) = (Arc::clone(&host.engine), host.ticket("chain3").await);
    let crashed = tokio::spawn(async move { engine.process_ticket(held, CancellationToken::new()).await });
    probe.arrived().await;
    crashed.abort();
    assert!(crashed.await.is_err());
    let again = host.ticket("chain3").await;
    assert_eq!(again.delivered, 2);
    // A host that has the ticket and stops before its node runs has not counted the crash.
    again.lease.nak().await.expect("it is given back");
    for _ in 0..3 {
        stop_in_a_node(&host, host.ticket("chain3").await, &probe).await;
    }
    probe.let_through(100);
    host.work(8).await;
    assert_eq!(host.output::<u64>(&run).await, 3);
    let numbers: Vec<_> =
        probe.seen().into_iter().filter(|(item, _)| item == "start").map(|(_, number)| number).collect();
    assert_eq!(numbers, [1, 1, 2, 2, 2, 2]);
}

pub(super) async fn u2_a_ticket_that_was_replaced_is_no_attempt(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let host = TestHost::idle(&tested, &probe);
    let run = host.start("chain3", "r", &0).await;
    let old = host.ticket("chain3").await;
    // The host that stops publishes the ticket again, and dies before it acknowledges the old one.
    let new = (old.ticket.returned(old.delivered, false), old.fingerprint);
    tested.backend.publish(vec![new]).await.expect("it is published");
    let new = host.ticket("chain3").await;
    assert_eq!((new.delivered, new.ticket.given_back), (1, 1));
    let (engine, stop) = (Arc::clone(&host.engine), CancellationToken::new());
    let stopped = stop.clone();
    let lease = Arc::clone(&new.lease);
    let work = tokio::spawn(async move { engine.process_ticket(new, stopped).await });
    probe.arrived().await;
    let again = loop {
        lease.extend().await.expect("it is extended");
        let taken = tokio::time::timeout(lease.duration() / 3, host.ticket("chain3")).await;
        if let Ok(again) = taken {
            break again;
        }
    };
    assert_eq!((again.delivered, again.ticket.given_back), (2, 0));
    let ended = host.work_off(again).await;
    assert!(matches!(ended, TicketOutcome::Acked { steps: 0 }), "{ended:?}");
    assert_eq!((probe.executed(), attempts_of_record(&tested.backend, &run).await), (1, 1));
    probe.let_through(100);
    work.await.expect("it ends");
    assert_eq!(host.output::<u64>(&key("chain3", "r")).await, 3);
}

async fn attempts_of_record(backend: &Arc<dyn Backend>, run: &RunKey) -> u32 {
    let stored = backend.load(run, Seen::default()).await.expect("it can be read").expect("it is there");
    let (snapshot, _) = stored.open().expect("it is a snapshot");
    assert_eq!(snapshot.status, Status::Running);
    snapshot.attempt_at(&jetway_state::ItemId::start())
}
