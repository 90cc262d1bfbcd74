//! Snapshots and chunks.

use super::{BackendUnderTest, DEADLINE, results::result};
use crate::wait_until;
use bytes::Bytes;
use jetway_engine::backend::{Backend, BackendErrorKind, RunsQuery, SnapshotWrite, StaleRun};
use jetway_state::{
    CommitId, Incarnation, RunId, RunKey, Seen, Timestamp, WorkflowName,
    run::{Chunk, ChunkRef, Status},
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

pub(super) fn key(workflow: &str, id: &str) -> RunKey {
    RunKey::new(WorkflowName::new(workflow).expect("a good name"), RunId::new(id).expect("a good id"))
}

pub(super) fn write(run: &RunKey, expected: u64, number: u64, bytes: &'static [u8]) -> SnapshotWrite {
    SnapshotWrite {
        run: run.clone(),
        incarnation: Incarnation::default(),
        chain: None,
        commit: CommitId { writer: 7, number },
        expected,
        status: Status::Running,
        may_expire: true,
        awaited: false,
        bytes: Bytes::from_static(bytes),
        chunks: Vec::new(),
    }
}

async fn stored(backend: &Arc<dyn Backend>, run: &RunKey) -> (Bytes, u64) {
    let stored = backend.load(run, Seen::default()).await.expect("it can be read").expect("it is there");
    (stored.bytes, stored.revision)
}

pub(super) async fn a_snapshot_is_read_as_it_was_written(tested: BackendUnderTest) {
    let (backend, run) = (&tested.backend, key("w", "r"));
    assert_eq!(backend.load(&run, Seen::default()).await.expect("it can be read"), None);
    let first = backend.commit(write(&run, 0, 1, b"one")).await.expect("it is written");
    assert_eq!(stored(backend, &run).await, (Bytes::from_static(b"one"), first));
    let second = backend.commit(write(&run, first, 2, b"two")).await.expect("it is written");
    assert!(second > first);
    assert_eq!(stored(backend, &run).await, (Bytes::from_static(b"two"), second));
}

pub(super) async fn a_write_that_lost_the_race_changes_nothing(tested: BackendUnderTest) {
    let (backend, run) = (&tested.backend, key("w", "r"));
    let first = backend.commit(write(&run, 0, 1, b"one")).await.expect("it is written");
    for expected in [0, first + 1] {
        let lost = backend.commit(write(&run, expected, 2, b"lost")).await.expect_err("it is refused");
        assert_eq!(lost.kind(), BackendErrorKind::Conflict);
    }
    assert_eq!(stored(backend, &run).await, (Bytes::from_static(b"one"), first));
}

pub(super) async fn many_runs_are_written_at_once(tested: BackendUnderTest) {
    let backend = &tested.backend;
    let runs: Vec<_> = (0..200).map(|number| key("w", &format!("r{number}"))).collect();
    let commit = |run: RunKey, expected, number| async move {
        let revision = backend.commit(write(&run, expected, number, b"x")).await;
        (run, revision)
    };
    let created = futures::future::join_all(runs.iter().map(|run| commit(run.clone(), 0, 1))).await;
    // Every third one names a revision that is not the latest: it loses, and takes nobody with it.
    let again = created.into_iter().enumerate().map(|(index, (run, revision))| {
        let revision = revision.expect("it is created");
        commit(run, if index % 3 == 0 { revision + 100_000 } else { revision }, 2)
    });
    let again = futures::future::join_all(again).await;
    for (index, (run, written)) in again.into_iter().enumerate() {
        match written {
            Ok(revision) => {
                assert_ne!(index % 3, 0, "run {run} won with a wrong revision");
                assert_eq!(stored(backend, &run).await.1, revision);
            }
            Err(error) => {
                assert_eq!((index % 3, error.kind()), (0, BackendErrorKind::Conflict), "{error}");
            }
        }
    }
}

/// Two chunks; the second is larger than a message may be.
fn two_chunks() -> [Chunk; 2] {
    let commit = CommitId { writer: 7, number: 1 };
    [(0, 10_u32), (1, 3_000_000)].map(|(number, bytes)| Chunk {
        name: ChunkRef { commit, number, bytes },
        bytes: (0..bytes).map(|index| (index % 251) as u8).collect::<Vec<_>>().into(),
    })
}

pub(super) async fn chunks_live_beside_their_snapshot(tested: BackendUnderTest) {
    let (backend, run, other) = (&tested.backend, key("w", "r"), key("w", "r2"));
    let [small, large] = two_chunks();
    for run in [&run, &other] {
        let chunks = vec![small.clone(), large.clone()];
        backend.commit(SnapshotWrite { chunks, ..write(run, 0, 1, b"one") }).await.expect("it is written");
    }
    let read = async |run: &RunKey, chunk: &Chunk| {
        backend.read_chunk(run, Incarnation::default(), chunk.name).await.expect("it is read")
    };
    for chunk in [&small, &large] {
        let found = read(&run, chunk).await;
        assert!(found.as_ref() == Some(&chunk.bytes), "chunk {} is not what was written", chunk.name.number);
    }
    backend.drop_chunks(&run, Incarnation::default(), &[small.name]).await.expect("it is dropped");
    assert_eq!(read(&run, &small).await, None);
    assert!(read(&run, &large).await.is_some());
    backend.drop_all_chunks(&run, Incarnation::default()).await.expect("they are dropped");
    assert_eq!(read(&run, &large).await, None);
    assert!(read(&other, &large).await.is_some());
    assert_eq!(stored(backend, &run).await.0, Bytes::from_static(b"one"));
}

pub(super) async fn u8_runs_are_listed_in_pages(tested: BackendUnderTest) {
    let backend = &tested.backend;
    for number in 0..7 {
        let status = if number % 2 == 0 { Status::Completed } else { Status::Running };
        let workflow = if number < 5 { "w" } else { "v" };
        let write = SnapshotWrite { status, ..write(&key(workflow, &format!("r{number}")), 0, 1, b"x") };
        backend.commit(write).await.expect("it is written");
    }
    let mut query =
        RunsQuery { workflow: Some(WorkflowName::new("w").expect("good")), limit: 2, ..RunsQuery::default() };
    let (mut sizes, mut names) = (Vec::new(), Vec::new());
    loop {
        let page = backend.runs(&query).await.expect("they are listed");
        sizes.push(page.runs.len());
        names.extend(page.runs.iter().map(|stored| stored.run.run_id.to_string()));
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    assert_eq!(names, ["r4", "r3", "r2", "r1", "r0"], "the one that changed last comes first");
    assert_eq!(sizes, [2, 2, 1]);
    let completed = RunsQuery { status: Some(Status::Completed), ..RunsQuery::default() };
    assert_eq!(backend.runs(&completed).await.expect("they are listed").runs.len(), 4);
    let first = RunsQuery { status: Some(Status::Running), limit: 3, ..RunsQuery::default() };
    let page = backend.runs(&first).await.expect("they are listed");
    assert_eq!((page.runs.len(), page.next), (3, None), "no page follows the last run that matches");
}

/// Writes the runs `r0` to `r19` again and again, `r0` most of the time.
async fn write_all_the_time(backend: Arc<dyn Backend>, mut revisions: Vec<u64>, stop: CancellationToken) {
    for number in 2.. {
        if stop.is_cancelled() {
            return;
        }
        let index = if number % 40 == 0 { number as usize / 40 % revisions.len() } else { 0 };
        let write = write(&key("w", &format!("r{index}")), revisions[index], number, b"x");
        revisions[index] = backend.commit(write).await.expect("it is written");
    }
}

pub(super) async fn u8_runs_that_are_written_meanwhile_are_listed(tested: BackendUnderTest) {
    let backend = &tested.backend;
    let mut revisions = Vec::new();
    for number in 0..20 {
        let write = write(&key("w", &format!("r{number}")), 0, 1, b"x");
        revisions.push(backend.commit(write).await.expect("it is written"));
    }
    let stop = CancellationToken::new();
    let _stopped = stop.clone().drop_guard();
    let writer = tokio::spawn(write_all_the_time(Arc::clone(backend), revisions, stop.clone()));
    for _ in 0..100 {
        let page = backend.runs(&RunsQuery::default()).await.expect("they are listed");
        let listed: BTreeSet<_> = page.runs.iter().map(|stored| stored.run.clone()).collect();
        assert_eq!((listed.len(), page.runs.len()), (20, 20), "each run once");
        assert!(page.runs.is_sorted_by_key(|stored| std::cmp::Reverse(stored.revision)));
    }
    stop.cancel();
    writer.await.expect("it writes");
}

pub(super) async fn a_stale_run_is_found_once(tested: BackendUnderTest) {
    let (backend, run, ended) = (&tested.backend, key("w", "r"), key("w", "ended"));
    let revision = backend.commit(write(&run, 0, 1, b"x")).await.expect("it is written");
    let lost = key("w", "lost");
    for (run, status) in [(&ended, Status::Completed), (&lost, Status::Failed)] {
        backend.commit(SnapshotWrite { status, ..write(run, 0, 2, b"x") }).await.expect("it is written");
    }
    backend.publish_done(result(&ended, Incarnation::default(), 2, "{}")).await.expect("it is published");
    let (young, cursor) = backend.stale(0, Timestamp(1)).await.expect("it can be asked");
    assert_eq!((young.len(), cursor), (0, 0));
    let found = wait_until("the run is stale", DEADLINE, async || {
        let (stale, cursor) = backend.stale(0, jetway_core::clock::now()).await.expect("it can be asked");
        (stale.len() > 1).then_some((stale, cursor))
    })
    .await;
    assert_eq!(found.0[0], StaleRun { run, revision, ended: false });
    // Not the run that ended and has its result.
    assert_eq!(
        found.0[1..].iter().map(|stale| (&stale.run, stale.ended)).collect::<Vec<_>>(),
        [(&lost, true)]
    );
    let (again, _) = backend.stale(found.1, jetway_core::clock::now()).await.expect("it can be asked");
    assert!(again.is_empty());
}

pub(super) async fn runs_that_ended_are_found(tested: BackendUnderTest) {
    let (backend, run, ended) = (&tested.backend, key("w", "r"), key("w", "ended"));
    backend.commit(write(&run, 0, 1, b"x")).await.expect("it is written");
    assert_eq!(backend.ended_since(Timestamp(0)).await.expect("it can be asked"), []);
    for (status, key) in [(Status::Failed, &ended), (Status::Completed, &run)] {
        let expected = backend
            .load(key, Seen::default())
            .await
            .expect("it can be read")
            .map_or(0, |stored| stored.revision);
        let write = SnapshotWrite { status, ..write(key, expected, 2, b"x") };
        backend.commit(write).await.expect("it is written");
    }
    let mut found = backend.ended_since(Timestamp(0)).await.expect("it can be asked");
    found.sort();
    assert_eq!(found, [ended, run]);
}

pub(super) async fn chunks_that_nobody_will_name_are_removed(tested: BackendUnderTest) {
    let (backend, run, nobody) = (&tested.backend, key("w", "r"), key("w", "nobody"));
    let [chunk, _] = two_chunks();
    let chunks = vec![chunk.clone()];
    let kept = SnapshotWrite { chunks: chunks.clone(), ..write(&run, 0, 1, b"one") };
    backend.commit(kept).await.expect("it is written");
    // Its writer lost the race, after it had written the chunk.
    let lost = backend.commit(SnapshotWrite { chunks, ..write(&nobody, 7, 1, b"lost") }).await;
    assert_eq!(lost.expect_err("it is refused").kind(), BackendErrorKind::Conflict);
    backend.collect_orphaned_chunks(DEADLINE * 10).await.expect("it can be asked");
    let read = async |run: &RunKey| {
        backend.read_chunk(run, Incarnation::default(), chunk.name).await.expect("it can be read")
    };
    wait_until("the chunk is gone", DEADLINE, async || {
        backend.collect_orphaned_chunks(Duration::ZERO).await.expect("it can be asked");
        read(&nobody).await.is_none()
    })
    .await;
    assert!(read(&run).await.is_some());
}
