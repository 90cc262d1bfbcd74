//! What clients that are not to be trusted put into headers and tickets.

use super::{BackendUnderTest, DEADLINE, TestHost, host::request, snapshots::write, workflows::Probe};
use crate::wait_until;
use jetway_engine::{
    EngineConfig, Sweeper, TicketOutcome,
    backend::{Backend, SnapshotWrite, Ticket},
};
use jetway_state::{
    Fingerprint, ItemId, RunId, RunKey, Seen, StoreId,
    run::{Snapshot, Status},
    trace::TraceHeaders,
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

async fn snapshot_of(backend: &Arc<dyn Backend>, run: &RunKey) -> (Snapshot, Fingerprint) {
    let stored = backend.load(run, Seen::default()).await.expect("it can be read").expect("it is there");
    stored.open().expect("it is a snapshot")
}

pub(super) async fn h7_a_long_trace_state_is_dropped(tested: BackendUnderTest) {
    let host = TestHost::at_work(&tested, &Probe::open()).await;
    let trace = TraceHeaders { parent: Some(PARENT.to_owned()), state: Some("a".repeat(100_000)) };
    let start = jetway_engine::backend::StartRequest { trace, ..request("chain3", "r", &0) };
    host.engine.start(start).await.expect("it starts");
    let run = RunKey::new("chain3".parse().expect("a name"), "r".parse().expect("an id"));
    assert_eq!(host.output::<u64>(&run).await, 3);
    let (snapshot, _) = snapshot_of(&tested.backend, &run).await;
    assert_eq!((snapshot.trace.state.as_str(), snapshot.trace.parent_id), ("", Some(0xb7ad_6b71_6920_3331)));
}

/// Stores a copy of a run whose tickets the server refuses.
async fn store_without_ticket(backend: &Arc<dyn Backend>, run: &RunKey, id: &str) {
    let (mut snapshot, build) = snapshot_of(backend, run).await;
    snapshot.run_id = RunId::new(id).expect("a good id");
    snapshot.trace.state = "a".repeat(100_000);
    let bytes = snapshot.seal(build).expect("it can be encoded");
    let write = SnapshotWrite { bytes, commit: snapshot.commit, ..write(&snapshot.key(), 0, 1, b"") };
    backend.commit(write).await.expect("it is written");
}

pub(super) async fn h7_a_run_that_cannot_have_a_ticket_ends_no_sweep(tested: BackendUnderTest) {
    let mut host = TestHost::idle(&tested, &Probe::open());
    let run = host.start("chain3", "z", &0).await;
    for number in 0..5 {
        store_without_ticket(&tested.backend, &run, &format!("a{number}")).await;
    }
    host.ticket("chain3").await.lease.ack().await.expect("it is lost");
    let mut sweeper = Sweeper::default();
    wait_until("the sweep mends the run", DEADLINE, async || {
        host.engine.sweep(&mut sweeper).await.expect("it sweeps");
        let items = tested.backend.items_with_tickets(&run, None).await.expect("it can be asked");
        !items.is_empty()
    })
    .await;
    host.work(8).await;
    assert_eq!(host.output::<u64>(&run).await, 3);
}

pub(super) async fn m1_a_forged_ticket_counts_no_attempts(tested: BackendUnderTest) {
    let probe = Probe::open();
    let host = TestHost::idle(&tested, &probe);
    let run = host.start("chain3", "r", &0).await;
    host.ticket("chain3").await.lease.ack().await.expect("it is gone");
    wait_until("its place is free", DEADLINE, async || {
        tested.backend.items_with_tickets(&run, None).await.expect("it can be asked").is_empty()
    })
    .await;
    let (snapshot, build) = snapshot_of(&tested.backend, &run).await;
    let item = ItemId::start();
    let node = snapshot.items[&item].node.clone();
    let forged = Ticket {
        workflow: run.workflow.clone(),
        run_id: run.run_id.clone(),
        incarnation: snapshot.incarnation,
        node,
        item,
        revision: 1,
        store: StoreId::default(),
        woken_by: None,
        attempt: 1000,
        given_back: 0,
        at: jetway_core::clock::now(),
        trace: TraceHeaders::default(),
    };
    tested.backend.publish(vec![(forged, build)]).await.expect("it is published");
    let mut host = host;
    host.work(8).await;
    assert_eq!(host.output::<u64>(&run).await, 3, "{:?}", probe.seen());
    let attempts: Vec<_> = probe.seen().into_iter().map(|(_, attempt)| attempt).collect();
    assert_eq!(attempts, [2, 1, 1]);
}

pub(super) async fn m1_lost_workers_are_counted(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let config = EngineConfig { max_attempts: 2, ..EngineConfig::default() };
    let host = TestHost::with(&tested.backend, &probe, config);
    let run = host.start("chain3", "r", &0).await;
    let first = snapshot_of(&tested.backend, &run).await.0;
    for attempt in 1..=2 {
        let held = host.ticket("chain3").await;
        assert_eq!(held.delivered, attempt);
        let engine = host.engine.clone();
        let lost = tokio::spawn(async move { engine.process_ticket(held, CancellationToken::new()).await });
        probe.arrived().await;
        lost.abort();
        assert!(lost.await.expect_err("it is stopped").is_cancelled());
        let (snapshot, _) = snapshot_of(&tested.backend, &run).await;
        match attempt {
            1 => assert_eq!(snapshot, first, "a first attempt is written"),
            _ => assert_eq!(snapshot.attempt_at(&ItemId::start()), attempt),
        }
    }
    let held = host.ticket("chain3").await;
    let ended = host.engine.process_ticket(held, CancellationToken::new()).await;
    assert!(matches!(ended, TicketOutcome::Acked { .. }), "{ended:?}");
    let view = host.status(&run).await;
    assert_eq!((view.run.status, probe.seen().len()), (Status::Failed, 2));
    let error = view.run.error.expect("an error");
    assert_eq!(error.kind, "worker_lost", "{error:?}");
}
