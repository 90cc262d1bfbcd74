//! Runs that start other runs and wait for them.

use super::{BackendUnderTest, DEADLINE, TestHost, host::request, snapshots::key, workflows::Probe};
use crate::wait_until;
use jetway_engine::{
    Control, ControlResult, StartError, Sweeper, TicketOutcome,
    backend::{RunsQuery, SnapshotWrite},
};
use jetway_state::{
    ItemId, RunKey, Seen, WorkflowName, codec,
    run::{Child, OnParentCancel, Snapshot, Status},
    view::WaitKind,
};

/// The runs of the children's workflow.
async fn offspring(host: &TestHost) -> Vec<RunKey> {
    let query = RunsQuery {
        workflow: Some(WorkflowName::new("offspring").expect("a good name")),
        ..RunsQuery::default()
    };
    let page = host.engine.backend().runs(&query).await.expect("runs are listed");
    let opened =
        page.runs.iter().map(|run| codec::open::<Snapshot>(&run.bytes, "a snapshot").expect("it opens"));
    opened.map(|(snapshot, _)| snapshot.key()).collect()
}

pub(super) async fn a_child_run_is_a_run_of_its_own(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let host = TestHost::at_work(&tested, &probe).await;
    let run = host.start("family", "r", &vec![1_u64, 7, 3]).await;
    wait_until("the parent waits for its children", DEADLINE, async || {
        let status = host.status(&run).await;
        let kinds: Vec<_> = status.waits.iter().map(|wait| (wait.kind, wait.items)).collect();
        status.children.len() == 3
            && kinds == [(WaitKind::Child, 1); 3]
            && status.waiting_for.is_some_and(|why| why.contains("3 child runs"))
    })
    .await;
    // While it waits it has no ticket, so that it takes no slot.
    wait_until("the parent has no ticket", DEADLINE, async || {
        tested.backend.items_with_tickets(&run, None).await.expect("it can be asked").is_empty()
    })
    .await;
    probe.let_through(100_000);
    assert_eq!(host.output::<Vec<u64>>(&run).await, [2, 1007, 4]);
    let parent = host.status(&run).await;
    assert_eq!((parent.run.steps, parent.handled_failures, parent.children.len()), (1 + 3 + 1 + 1, 1, 0));
    let mut ends = Vec::new();
    for child in offspring(&host).await {
        assert!(child.run_id.as_str().starts_with("r_"), "{child} does not say whose child it is");
        let status = host.status(&child).await;
        assert_eq!(status.trace_id, parent.trace_id, "{child} is in another trace");
        ends.push(status.run.status.as_str());
    }
    ends.sort_unstable();
    assert_eq!(ends, ["completed", "completed", "failed"]);
}

pub(super) async fn a_child_that_is_lost_sight_of_is_found(tested: BackendUnderTest) {
    let host = TestHost::idle(&tested, &Probe::open());
    let run = host.start("family", "r", &vec![1_u64]).await;
    // The fan-out, and under the same ticket the start of its only child.
    let waits = host.work_off(host.ticket("family").await).await;
    assert!(matches!(waits, TicketOutcome::Acked { steps: 1 }), "{waits:?}");
    assert!(matches!(host.work_off(host.ticket("offspring").await).await, TicketOutcome::Acked { steps: 2 }));
    // Somebody loses the ticket that wakes the parent.
    host.ticket("family").await.lease.ack().await.expect("it is lost");
    wait_until("the ticket is gone", DEADLINE, async || {
        tested.backend.items_with_tickets(&run, None).await.expect("it can be asked").is_empty()
    })
    .await;
    let mut sweeper = Sweeper::default();
    wait_until("the sweep mends the run", DEADLINE, async || {
        host.engine.sweep(&mut sweeper).await.expect("it sweeps").republished == 1
    })
    .await;
    assert!(matches!(host.work_off(host.ticket("family").await).await, TicketOutcome::Acked { .. }));
    assert_eq!(host.output::<Vec<u64>>(&run).await, [2]);
}

pub(super) async fn a_child_that_was_never_started_is_not_any_more(tested: BackendUnderTest) {
    let host = TestHost::idle(&tested, &Probe::open());
    let run = host.start("family", "r", &vec![1_u64]).await;
    // As whoever recorded a child and was lost before starting it has left the record.
    let stored =
        tested.backend.load(&run, Seen::default()).await.expect("it can be read").expect("the run is there");
    let (mut snapshot, build) = codec::open::<Snapshot>(&stored.bytes, "a snapshot").expect("it opens");
    let child = key("offspring", "of-r");
    let of = Child { run: child.clone(), started: None, on_cancel: OnParentCancel::Cancel, due: None };
    snapshot.children.insert(ItemId::start(), of);
    let write = SnapshotWrite {
        run: run.clone(),
        incarnation: snapshot.incarnation,
        chain: snapshot.chain,
        commit: snapshot.commit,
        expected: stored.revision,
        status: snapshot.status,
        may_expire: true,
        awaited: false,
        bytes: snapshot.seal(build).expect("it is written"),
        chunks: Vec::new(),
    };
    tested.backend.commit(write).await.expect("it is stored");
    for changed in [true, false] {
        let told = host.engine.control(&run, Control::Cancel).await.expect("it can be told");
        assert_eq!(told, Some(ControlResult { status: Status::Cancelled, changed }));
        assert_eq!(host.result(&child).await["status"], "cancelled");
    }
    let late = host.engine.start(request("offspring", "of-r", &1)).await;
    assert!(matches!(late, Err(StartError::OtherInput(_))), "{late:?}");
    assert!(host.status(&run).await.children.is_empty());
}

pub(super) async fn the_end_of_a_run_cancels_its_children(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let host = TestHost::at_work(&tested, &probe).await;
    let run = host.start("family", "r", &vec![1_u64, 2]).await;
    // The record of the parent names them before they are there.
    wait_until("the children run", DEADLINE, async || {
        host.status(&run).await.children.len() == 2 && offspring(&host).await.len() == 2
    })
    .await;
    let told = host.engine.control(&run, Control::Cancel).await.expect("it can be told");
    assert!(told.is_some_and(|told| told.changed && told.status == Status::Cancelled), "{told:?}");
    let children = offspring(&host).await;
    assert_eq!(children.len(), 2);
    for child in children {
        assert_eq!(host.status(&child).await.run.status, Status::Cancelled);
    }
    probe.let_through(100_000);
    assert_eq!(host.status(&run).await.run.status, Status::Cancelled);
}
