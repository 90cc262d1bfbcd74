//! Results, and the hosts that are alive.

use super::{
    BackendUnderTest, DEADLINE,
    host::request,
    snapshots::{key, write},
};
use crate::wait_until;
use bytes::Bytes;
use futures::StreamExt as _;
use jetway_engine::backend::{HostInfo, RunResult, SnapshotWrite};
use jetway_state::{
    CommitId, Fingerprint, Incarnation, RunKey, Seen, Timestamp,
    run::{Begin, RunInput, Trace, WantedResult, begin},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// A result of this incarnation, whose run ended at this revision.
pub(super) fn result(run: &RunKey, incarnation: Incarnation, revision: u64, json: &'static str) -> RunResult {
    RunResult { run: run.clone(), incarnation, revision, json: Bytes::from_static(json.as_bytes()) }
}

/// The result that is stored now, as text.
async fn stored(tested: &BackendUnderTest, run: &RunKey, wanted: WantedResult) -> Option<String> {
    let result = tested.backend.done(run, wanted, Duration::ZERO).await.expect("it can be asked");
    result.map(|json| String::from_utf8(json.to_vec()).expect("it is text"))
}

async fn publish(tested: &BackendUnderTest, result: RunResult) {
    tested.backend.publish_done(result).await.expect("it is no error, whether it is stored or not");
}

/// Writes a record of this incarnation over the current one. Returns its revision.
async fn record(tested: &BackendUnderTest, run: &RunKey, incarnation: Incarnation) -> u64 {
    let expected = tested
        .backend
        .load(run, Seen::default())
        .await
        .expect("it can be read")
        .map_or(0, |stored| stored.revision);
    let input = RunInput { node: "n".to_owned(), payload: Bytes::new(), context: Bytes::new() };
    let (commit, at, trace) = (CommitId { writer: 7, number: expected }, Timestamp(1), Trace::default());
    let (snapshot, _) = begin(Begin { key: run.clone(), incarnation, commit, at, trace, input, due: None });
    let bytes = snapshot.seal(Fingerprint(1)).expect("it can be encoded");
    let write = SnapshotWrite { incarnation, commit, bytes, ..write(run, expected, 0, b"") };
    tested.backend.commit(write).await.expect("it is written")
}

/// The result of a start message that waits for a host.
async fn waiting_start(tested: &BackendUnderTest, run: &RunKey) -> WantedResult {
    let start = request(run.workflow.as_str(), run.run_id.as_str(), &1);
    WantedResult::New(tested.backend.publish_start(&start).await.expect("it is published"))
}

/// The result of a start message that a host has taken and not refused.
async fn settled_start(tested: &BackendUnderTest, run: &RunKey) -> WantedResult {
    let wanted = waiting_start(tested, run).await;
    let starts = tested.backend.starts(&run.workflow, Arc::new(Semaphore::new(1))).await;
    let taken = starts.expect("starts come").next().await.expect("the stream goes on");
    taken.expect("it is delivered").lease.ack().await.expect("it is settled");
    wanted
}

pub(super) async fn a_result_is_kept_and_waited_for(tested: BackendUnderTest) {
    let (run, incarnation) = (key("w", "r"), Incarnation::from_random(1));
    assert_eq!(stored(&tested, &run, WantedResult::Latest).await, None);
    let waits = tested.backend.done(&run, WantedResult::Of(incarnation), DEADLINE);
    let publishes = tested.backend.publish_done(result(&run, incarnation, 1, "{}"));
    let (waited, published) = tokio::join!(waits, publishes);
    published.expect("it is published");
    assert_eq!(waited.expect("it can be asked"), Some(Bytes::from_static(b"{}")));
    for wanted in [WantedResult::Of(incarnation), WantedResult::Latest] {
        assert_eq!(stored(&tested, &run, wanted).await.as_deref(), Some("{}"));
    }
    for wanted in [WantedResult::Of(Incarnation::default()), waiting_start(&tested, &run).await] {
        assert_eq!(stored(&tested, &run, wanted).await, None, "{wanted:?}");
    }
}

pub(super) async fn the_first_result_stays(tested: BackendUnderTest) {
    let (run, incarnation) = (key("w", "r"), Incarnation::from_random(1));
    publish(&tested, result(&run, incarnation, 1, "1")).await;
    publish(&tested, result(&run, incarnation, 2, "2")).await;
    assert_eq!(stored(&tested, &run, WantedResult::Latest).await.as_deref(), Some("1"));
}

pub(super) async fn h1_a_later_run_of_the_same_name_has_its_own_result(tested: BackendUnderTest) {
    let run = key("w", "r");
    let [first, second] = [1, 2].map(Incarnation::from_random);
    publish(&tested, result(&run, first, 5, "1")).await;
    // The run is started again: what is stored is not its result.
    let revision = record(&tested, &run, second).await;
    let new = settled_start(&tested, &run).await;
    for wanted in [WantedResult::Of(second), WantedResult::Latest, new] {
        assert_eq!(stored(&tested, &run, wanted).await, None, "{wanted:?}");
    }
    let waits = tested.backend.done(&run, new, DEADLINE);
    let publishes = tested.backend.publish_done(result(&run, second, revision, "2"));
    let (waited, published) = tokio::join!(waits, publishes);
    published.expect("it takes the place of the other");
    assert_eq!(waited.expect("it can be asked"), Some(Bytes::from_static(b"2")));
    // A host that was slow publishes the first result again.
    publish(&tested, result(&run, first, 5, "1")).await;
    assert_eq!(stored(&tested, &run, WantedResult::Latest).await.as_deref(), Some("2"));
    assert_eq!(stored(&tested, &run, WantedResult::Of(first)).await, None);
}

pub(super) async fn h1_without_a_record_the_later_result_stays(tested: BackendUnderTest) {
    let run = key("w", "r");
    let [first, second] = [1, 2].map(Incarnation::from_random);
    for (incarnation, revision, json, kept) in
        [(first, 5, "1", "1"), (second, 9, "2", "2"), (first, 5, "1", "2")]
    {
        publish(&tested, result(&run, incarnation, revision, json)).await;
        assert_eq!(stored(&tested, &run, WantedResult::Latest).await.as_deref(), Some(kept));
    }
}

/// The record of the first run was removed before it had published its result.
pub(super) async fn h1_a_late_result_is_not_told_to_the_next_starter(tested: BackendUnderTest) {
    let [first, second] = [1, 2].map(Incarnation::from_random);
    for (id, is_new) in [("new", true), ("latest", false)] {
        let run = key("w", id);
        let wanted = if is_new { settled_start(&tested, &run).await } else { WantedResult::Latest };
        let revision = record(&tested, &run, second).await;
        let waits = async { tested.backend.done(&run, wanted, DEADLINE).await.expect("it can be asked") };
        let publishes = async {
            // Whoever waits hears it, or finds it stored.
            for _ in 0..3 {
                publish(&tested, result(&run, first, 1, "1")).await;
                tokio::task::yield_now().await;
            }
            publish(&tested, result(&run, second, revision, "2")).await;
        };
        let (waited, ()) = tokio::join!(waits, publishes);
        assert_eq!(waited, Some(Bytes::from_static(b"2")), "{wanted:?}");
    }
}

pub(super) async fn hosts_come_and_go(tested: BackendUnderTest) {
    let backend = &tested.backend;
    let host = HostInfo {
        host: "h1".to_owned(),
        workflows: vec![(key("w", "r").workflow, "00".to_owned())],
        slots: 4,
        started_at: "2026-01-01T00:00:00.000Z".to_owned(),
        version: "0.1.0".to_owned(),
        no_room_at: None,
    };
    backend.announce(&host).await.expect("it is announced");
    backend.announce(&HostInfo { slots: 5, ..host.clone() }).await.expect("it is announced again");
    let alive = backend.hosts().await.expect("it can be asked");
    assert_eq!((alive.len(), alive[0].slots), (1, 5));
    backend.leave("h1").await.expect("it leaves");
    wait_until("the host is gone", DEADLINE, async || {
        backend.hosts().await.expect("it can be asked").is_empty()
    })
    .await;
}
