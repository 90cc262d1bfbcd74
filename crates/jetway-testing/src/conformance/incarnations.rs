//! Run ids that are used again: what an earlier run left behind acts on nothing of a later one.

use super::{
    BackendUnderTest, DEADLINE, TestHost,
    snapshots::{key, write},
    workflows::Probe,
};
use crate::wait_until;
use bytes::Bytes;
use jetway_engine::{
    Sweeper, TicketOutcome,
    backend::{RunsQuery, SnapshotWrite},
};
use jetway_state::{
    CommitId, Incarnation, RunKey, Seen, WorkflowName,
    run::{Chunk, ChunkRef, Snapshot, Status},
};
use tokio_util::sync::CancellationToken;

/// The first record of a run, with the build that wrote it.
async fn first_record(tested: &BackendUnderTest, run: &RunKey) -> Snapshot {
    let stored =
        tested.backend.load(run, Seen::default()).await.expect("it can be read").expect("the run is there");
    stored.open().expect("it opens").0
}

/// Puts the first record of another incarnation in the place of the current record, as a start does after the current one has
/// expired. The new run has no ticket.
async fn start_again(tested: &BackendUnderTest, first: &Snapshot) -> Incarnation {
    let run = first.key();
    let stored =
        tested.backend.load(&run, Seen::default()).await.expect("it can be read").expect("the run is there");
    let (_, build) = stored.open().expect("it opens");
    let (incarnation, commit) = (Incarnation::from_random(77), CommitId { writer: 77, number: 1 });
    let snapshot = Snapshot { incarnation, commit, ..first.clone() };
    let bytes = snapshot.seal(build).expect("it can be encoded");
    let status = Status::Running;
    let write = SnapshotWrite { incarnation, commit, status, bytes, ..write(&run, stored.revision, 0, b"") };
    tested.backend.commit(write).await.expect("it is written");
    incarnation
}

/// Publishes the ticket that the new run lacks.
async fn sweep(host: &TestHost) {
    let mut sweeper = Sweeper::default();
    wait_until("the sweep publishes a ticket", DEADLINE, async || {
        host.engine.sweep(&mut sweeper).await.expect("it sweeps").republished > 0
    })
    .await;
}

pub(super) async fn h3_an_attempt_of_an_earlier_run_commits_nothing(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let slow = TestHost::idle(&tested, &probe);
    let run = slow.start("chain3", "r", &0).await;
    let first = first_record(&tested, &run).await;
    let held = slow.ticket("chain3").await;
    let engine = slow.engine.clone();
    let earlier = tokio::spawn(async move { engine.process_ticket(held, CancellationToken::new()).await });
    probe.arrived().await;
    let incarnation = start_again(&tested, &first).await;
    probe.let_through(100);
    let ended = earlier.await.expect("it comes back");
    assert!(matches!(ended, TicketOutcome::Acked { steps: 0 }), "{ended:?}");
    let status = slow.status(&run).await.run;
    assert_eq!((status.incarnation, status.steps, status.status), (incarnation, 0, Status::Running));
    let mut host = TestHost::idle(&tested, &Probe::open());
    sweep(&host).await;
    host.work(8).await;
    assert_eq!(host.output::<u64>(&run).await, 3);
    assert_eq!(host.status(&run).await.run.steps, 3);
}

pub(super) async fn h3_a_ticket_of_an_earlier_run_does_nothing(tested: BackendUnderTest) {
    let probe = Probe::open();
    let host = TestHost::idle(&tested, &probe);
    let run = host.start("chain3", "r", &0).await;
    let first = first_record(&tested, &run).await;
    start_again(&tested, &first).await;
    let before = host.status(&run).await;
    let earlier = host.ticket("chain3").await;
    assert_eq!(earlier.ticket.incarnation, first.incarnation);
    // It prevents no ticket of the later run, which has the same item.
    sweep(&host).await;
    let ended = host.work_off(earlier).await;
    assert!(matches!(ended, TicketOutcome::Acked { steps: 0 }), "{ended:?}");
    assert_eq!((host.status(&run).await, probe.executed()), (before, 0));
    let host = TestHost::at_work(&tested, &probe).await;
    assert_eq!(host.output::<u64>(&run).await, 3);
}

pub(super) async fn h2_a_run_that_is_started_again_has_other_children(tested: BackendUnderTest) {
    let mut host = TestHost::idle(&tested, &Probe::open());
    let run = host.start("family", "r", &vec![1_u64]).await;
    let first = first_record(&tested, &run).await;
    host.work(8).await;
    assert_eq!(host.output::<Vec<u64>>(&run).await, [2]);
    let incarnation = start_again(&tested, &first).await;
    sweep(&host).await;
    wait_until("the later run ends", DEADLINE, async || {
        let status = host.status(&run).await.run;
        (status.incarnation, status.status) == (incarnation, Status::Completed)
    })
    .await;
    let workflow = Some(WorkflowName::new("offspring").expect("a good name"));
    let children = tested.backend.runs(&RunsQuery { workflow, ..RunsQuery::default() }).await;
    let children = children.expect("runs are listed").runs;
    assert_eq!(children.len(), 2, "the later run took the output of the earlier one's child");
}

pub(super) async fn h3_chunks_of_an_earlier_run_are_dropped_alone(tested: BackendUnderTest) {
    let (backend, run) = (&tested.backend, key("w", "r"));
    let [first, second] = [1, 2].map(Incarnation::from_random);
    let chunk = |number: u16| Chunk {
        name: ChunkRef { commit: CommitId { writer: 7, number: number.into() }, number, bytes: 3 },
        bytes: Bytes::from_static(b"abc"),
    };
    for (expected, incarnation, number) in [(0, first, 1), (1, second, 2)] {
        let expected = match expected {
            0 => 0,
            _ => {
                backend
                    .load(&run, Seen::default())
                    .await
                    .expect("it can be read")
                    .expect("it is there")
                    .revision
            }
        };
        let write =
            SnapshotWrite { incarnation, chunks: vec![chunk(number)], ..write(&run, expected, 1, b"x") };
        backend.commit(write).await.expect("it is written");
    }
    backend.drop_all_chunks(&run, first).await.expect("they are dropped");
    let read = async |incarnation, number| {
        let read = backend.read_chunk(&run, incarnation, chunk(number).name).await;
        read.expect("it can be read").is_some()
    };
    assert!(!read(first, 1).await && read(second, 2).await);
}
