//! Listings, stale runs, chunks, and the expiry of finished runs.

use crate::support::{DEADLINE, backend, client, commit_id, config, connect, loaded, result, run, write};
use async_nats::jetstream;
use bytes::Bytes;
use jetway_engine::backend::{Results, RunsQuery, SnapshotStore, SnapshotWrite, Stored};
use jetway_nats::{NatsBackend, NatsConfig, Provisioning};
use jetway_state::{
    Incarnation, RunKey, Timestamp, WorkflowName,
    run::{Chunk, ChunkRef, Status},
};
use jetway_testing::wait_until;
use std::time::Duration;

async fn put(backend: &NatsBackend, run: &RunKey, status: Status) -> u64 {
    let write = SnapshotWrite { status, ..write(run, 0, &format!("{run} {status}")) };
    backend.commit(write).await.unwrap()
}

fn texts(runs: &[Stored]) -> Vec<String> {
    runs.iter().map(|stored| String::from_utf8(stored.bytes.to_vec()).unwrap()).collect()
}

async fn put_all(backend: &NatsBackend) {
    let other = RunKey::new(WorkflowName::new("ship").unwrap(), run("x").run_id);
    for number in 0..6 {
        let status = if number % 2 == 0 { Status::Running } else { Status::Completed };
        let run = run(&format!("r{number}"));
        put(backend, &run, status).await;
        if status.is_terminal() {
            backend.publish_done(result(&run, "{}")).await.unwrap();
        }
    }
    put(backend, &other, Status::Running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_listed_by_workflow_status_and_page() {
    let backend = backend("runs").await;
    put_all(&backend).await;
    // Chunks are not listed.
    let chunks = vec![chunk(10, 0)];
    backend.commit(SnapshotWrite { chunks, ..write(&run("r6"), 0, "pay/r6 chunked") }).await.unwrap();
    let all = backend.runs(&RunsQuery::default()).await.unwrap();
    assert_eq!((all.runs.len(), all.next), (8, None));
    let query = RunsQuery { workflow: Some(run("x").workflow), ..RunsQuery::default() };
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = backend.runs(&RunsQuery { limit: 3, after, ..query.clone() }).await.unwrap();
        pages.push(texts(&page.runs));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(
        pages,
        [
            vec!["pay/r6 chunked", "pay/r5 completed", "pay/r4 running"],
            vec!["pay/r3 completed", "pay/r2 running", "pay/r1 completed"],
            vec!["pay/r0 running"]
        ]
    );
    let done = RunsQuery { status: Some(Status::Completed), limit: 2, ..query };
    let page = backend.runs(&done).await.unwrap();
    assert_eq!(texts(&page.runs), ["pay/r5 completed", "pay/r3 completed"]);
    let page = backend.runs(&RunsQuery { after: page.next, ..done }).await.unwrap();
    assert_eq!(texts(&page.runs), ["pay/r1 completed"]);
    assert_eq!((page.next, page.scanned), (None, 3), "no other run matches");
}

/// More snapshots than are read per request, many of them replaced: the stream has gaps.
#[tokio::test(flavor = "multi_thread")]
async fn u8_a_rare_status_is_found_among_many_runs() {
    let backend = backend("rare").await;
    put(&backend, &run("rare"), Status::Failed).await;
    let runs: Vec<_> = (0..1500).map(|number| run(&format!("r{number}"))).collect();
    for runs in runs.chunks(100) {
        futures::future::join_all(runs.iter().map(|run| put(&backend, run, Status::Running))).await;
    }
    let failed = RunsQuery { status: Some(Status::Failed), limit: 1, ..RunsQuery::default() };
    let page = backend.runs(&failed).await.unwrap();
    assert_eq!(texts(&page.runs), ["pay/rare failed"]);
    assert_eq!((page.next, page.scanned), (None, 1501));
    let all = backend.runs(&RunsQuery { limit: 1000, ..RunsQuery::default() }).await.unwrap();
    let revisions: Vec<_> = all.runs.iter().map(|stored| stored.revision).collect();
    assert!(revisions.len() == 1000 && revisions.is_sorted_by(|one, other| one > other));
    let rest =
        backend.runs(&RunsQuery { limit: 1000, after: all.next, ..RunsQuery::default() }).await.unwrap();
    assert_eq!((rest.runs.len(), rest.next), (501, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_removed_with_nats_kv_does_not_exist() {
    let backend = backend("removed").await;
    put(&backend, &run("a"), Status::Running).await;
    let jetstream = jetstream::new(client().await);
    let bucket = jetstream.get_key_value(format!("JETWAY_{}_RUNS", backend.namespace())).await.unwrap();
    assert_eq!(bucket.get("pay.a").await.unwrap().as_deref(), Some(b"pay/a running".as_slice()));
    bucket.purge("pay.a").await.unwrap();
    assert_eq!(loaded(&backend, &run("a")).await, None);
    assert!(backend.runs(&RunsQuery::default()).await.unwrap().runs.is_empty());
    let (stale, _) = backend.stale(0, Timestamp(u64::MAX / 2_000_000)).await.unwrap();
    assert!(stale.is_empty(), "{stale:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_runs_are_found_once() {
    let backend = backend("stale").await;
    assert_eq!(backend.stale(0, jetway_core::clock::now()).await.unwrap(), (vec![], 0));
    put_all(&backend).await;
    // The server's clock may be a little ahead.
    let future = Timestamp(jetway_core::clock::now().0 + 60_000);
    assert_eq!(backend.stale(0, Timestamp(jetway_core::clock::now().0 - 60_000)).await.unwrap(), (vec![], 0));
    let (stale, looked_at) = backend.stale(0, future).await.unwrap();
    let found: Vec<_> = stale.iter().map(|stale| stale.run.to_string()).collect();
    assert_eq!(found, ["pay/r0", "pay/r2", "pay/r4", "ship/x"]);
    assert_eq!(stale.last().map(|last| last.revision), Some(looked_at));
    assert_eq!(backend.stale(looked_at, future).await.unwrap(), (vec![], looked_at));
    // A run that is written again is young, and is found again when it is stale.
    let first = stale[0].clone();
    let revision = backend.commit(write(&first.run, first.revision, "again")).await.unwrap();
    let (stale, _) = backend.stale(looked_at, future).await.unwrap();
    assert_eq!(stale.iter().map(|stale| stale.revision).collect::<Vec<_>>(), [revision]);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_without_a_result_are_found_among_many() {
    let backend = backend("resultless").await;
    let runs: Vec<_> = (0..1200).map(|number| run(&format!("r{number}"))).collect();
    let ended = runs.iter().enumerate().map(async |(number, run)| {
        put(&backend, run, Status::Completed).await;
        if number % 100 != 7 {
            backend.publish_done(result(run, "{}")).await.unwrap();
        }
    });
    futures::future::join_all(ended).await;
    let future = Timestamp(jetway_core::clock::now().0 + 60_000);
    let (stale, looked_at) = backend.stale(0, future).await.unwrap();
    let mut found: Vec<_> = stale.iter().map(|stale| stale.run.clone()).collect();
    found.sort();
    let mut expected: Vec<_> = (0..12).map(|hundred| run(&format!("r{}", hundred * 100 + 7))).collect();
    expected.sort();
    assert_eq!((found, looked_at), (expected, 1200));
    assert!(stale.iter().all(|stale| stale.ended));
    // Results are not kept for ever: the run of one that expired is not one without a result.
    let late = Timestamp(jetway_core::clock::now().after(NatsConfig::default().keep_results).0 + 60_000);
    assert_eq!(backend.stale(0, late).await.unwrap(), (vec![], 1200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_stops_at_the_first_young_run() {
    let backend = backend("young").await;
    put(&backend, &run("old"), Status::Running).await;
    let jetstream = jetstream::new(client().await);
    let stream = jetstream.get_stream(format!("KV_JETWAY_{}_RUNS", backend.namespace())).await.unwrap();
    let old = stream.get_raw_message(1).await.unwrap().time;
    let between = Timestamp(u64::try_from(old.unix_timestamp_nanos() / 1_000_000).unwrap() + 50);
    wait_until("the time has passed", DEADLINE, async || jetway_core::clock::now().0 > between.0 + 10).await;
    put(&backend, &run("young"), Status::Running).await;
    let (stale, looked_at) = backend.stale(0, between).await.unwrap();
    assert_eq!(stale.len(), 1);
    assert_eq!((stale[0].run.clone(), looked_at), (run("old"), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_finds_nothing_costs_one_request() {
    let backend = backend("cheap").await;
    put_all(&backend).await;
    let young = Timestamp(jetway_core::clock::now().0 - 60_000);
    // The first read makes its connection.
    backend.stale(0, young).await.unwrap();
    for (after, before) in [(0, young), (99, jetway_core::clock::now())] {
        let sent = backend.traffic().sent;
        backend.stale(after, before).await.unwrap();
        assert_eq!(backend.traffic().sent - sent, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_over_many_runs_finds_them_all() {
    let backend = backend("sweep").await;
    let runs: Vec<_> = (0..1200).map(|number| run(&format!("r{number}"))).collect();
    futures::future::join_all(runs.iter().map(|run| put(&backend, run, Status::Running))).await;
    let future = Timestamp(jetway_core::clock::now().0 + 60_000);
    let (stale, looked_at) = backend.stale(0, future).await.unwrap();
    assert_eq!((stale.len(), looked_at), (1200, 1200));
    assert!(stale.is_sorted_by_key(|stale| stale.revision));
}

fn chunk(bytes: usize, number: u16) -> Chunk {
    let name = ChunkRef { commit: commit_id(), number, bytes: u32::try_from(bytes).unwrap() };
    let bytes: Vec<u8> = (0..bytes).map(|index| (index * 31 + usize::from(number)) as u8).collect();
    Chunk { name, bytes: bytes.into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_any_size_are_read_as_they_were_written() {
    let backend = backend("chunks").await;
    let chunks: Vec<_> = [0, 1, 300_000, 512 * 1024, 3_000_000]
        .into_iter()
        .zip(0..)
        .map(|(bytes, number)| chunk(bytes, number))
        .collect();
    let first = SnapshotWrite { chunks: chunks.clone(), ..write(&run("a"), 0, "x") };
    let revision = backend.commit(first).await.unwrap();
    for chunk in &chunks {
        let read = backend.read_chunk(&run("a"), Incarnation::default(), chunk.name).await.unwrap();
        assert!(read.as_ref() == Some(&chunk.bytes), "a chunk of {} bytes", chunk.bytes.len());
    }
    backend.drop_chunks(&run("a"), Incarnation::default(), &[chunks[2].name, chunks[4].name]).await.unwrap();
    for (chunk, there) in chunks.iter().zip([true, true, false, true, false]) {
        assert_eq!(
            backend.read_chunk(&run("a"), Incarnation::default(), chunk.name).await.unwrap().is_some(),
            there
        );
    }
    backend.drop_all_chunks(&run("a"), Incarnation::default()).await.unwrap();
    for chunk in &chunks {
        assert_eq!(
            backend.read_chunk(&run("a"), Incarnation::default(), chunk.name).await.unwrap(),
            None::<Bytes>
        );
    }
    assert_eq!(loaded(&backend, &run("a")).await, Some(("x".to_owned(), revision)));
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_chunks_affects_one_run_only() {
    let backend = backend("others").await;
    let (mine, other) = (chunk(100, 0), chunk(100, 0));
    backend.commit(SnapshotWrite { chunks: vec![mine.clone()], ..write(&run("a"), 0, "x") }).await.unwrap();
    backend.commit(SnapshotWrite { chunks: vec![other.clone()], ..write(&run("ab"), 0, "x") }).await.unwrap();
    backend.drop_all_chunks(&run("a"), Incarnation::default()).await.unwrap();
    assert_eq!(backend.read_chunk(&run("a"), Incarnation::default(), mine.name).await.unwrap(), None);
    assert_eq!(
        backend.read_chunk(&run("ab"), Incarnation::default(), other.name).await.unwrap(),
        Some(other.bytes)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_runs_expire_and_others_do_not() {
    let mut config = config("retention").await;
    config.keep_finished = Duration::from_secs(1);
    let backend = connect(config).await;
    let revision = put(&backend, &run("done"), Status::Running).await;
    put(&backend, &run("living"), Status::Running).await;
    let finish = SnapshotWrite { status: Status::Completed, ..write(&run("done"), revision, "done") };
    backend.commit(finish).await.unwrap();
    assert!(loaded(&backend, &run("done")).await.is_some());
    wait_until("the finished run expires", DEADLINE, async || loaded(&backend, &run("done")).await.is_none())
        .await;
    assert!(loaded(&backend, &run("living")).await.is_some());
    // Its run id can be used again.
    put(&backend, &run("done"), Status::Running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_stream_info_reads_from_the_leader() {
    let config = config("trust").await;
    let first = connect(config.clone()).await;
    let trusting = connect(NatsConfig { provisioning: Provisioning::Trust, ..config }).await;
    let revision = first.commit(write(&run("a"), 0, "x")).await.unwrap();
    assert_eq!(loaded(&trusting, &run("a")).await, Some(("x".to_owned(), revision)));
    let chunk = chunk(1000, 0);
    let next = SnapshotWrite { chunks: vec![chunk.clone()], ..write(&run("a"), revision, "y") };
    trusting.commit(next).await.unwrap();
    assert_eq!(
        trusting.read_chunk(&run("a"), Incarnation::default(), chunk.name).await.unwrap(),
        Some(chunk.bytes)
    );
    assert_eq!(loaded(&trusting, &run("b")).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_run_is_kept_as_long_as_results() {
    let mut config = config("awaited").await;
    config.keep_finished = Duration::from_secs(1);
    config.keep_results = Duration::from_secs(3600);
    let backend = connect(config).await;
    for (id, awaited) in [("child", true), ("other", false)] {
        let finish = SnapshotWrite { status: Status::Completed, awaited, ..write(&run(id), 0, id) };
        backend.commit(finish).await.unwrap();
    }
    wait_until("the other run expires", DEADLINE, async || loaded(&backend, &run("other")).await.is_none())
        .await;
    assert!(loaded(&backend, &run("child")).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_removed_with_nats_kv_can_be_started_again() {
    let backend = backend("removed").await;
    let first = put(&backend, &run("a"), Status::Running).await;
    let jetstream = jetstream::new(client().await);
    let bucket = jetstream.get_key_value(format!("JETWAY_{}_RUNS", backend.namespace())).await.unwrap();
    bucket.delete("pay.a").await.unwrap();
    assert_eq!(loaded(&backend, &run("a")).await, None);
    let conflict = backend.commit(write(&run("a"), first, "y")).await.unwrap_err();
    assert!(conflict.is_conflict(), "{conflict}");
    let second = backend.commit(write(&run("a"), 0, "z")).await.unwrap();
    assert_eq!(loaded(&backend, &run("a")).await, Some(("z".to_owned(), second)));
    assert!(backend.commit(write(&run("a"), 0, "z")).await.unwrap_err().is_conflict());
}
