//! Results, and the hosts that are alive.

use super::{BackendUnderTest, DEADLINE, snapshots::key};
use crate::wait_until;
use bytes::Bytes;
use jetway_engine::backend::HostInfo;
use jetway_state::Timestamp;
use serde_json::json;
use std::time::Duration;

pub(super) async fn a_result_is_kept_and_waited_for(tested: BackendUnderTest) {
    let (backend, run) = (&tested.backend, key("w", "r"));
    assert_eq!(
        backend.done(&run, Timestamp::default(), Duration::ZERO).await.expect("it can be asked"),
        None
    );
    let waits = backend.done(&run, Timestamp::default(), DEADLINE);
    let publishes = backend.publish_done(&run, Bytes::from_static(b"{}"));
    let (waited, published) = tokio::join!(waits, publishes);
    published.expect("it is published");
    assert_eq!(waited.expect("it can be asked"), Some(Bytes::from_static(b"{}")));
    let kept =
        backend.done(&run, Timestamp::default(), Duration::from_secs(5)).await.expect("it can be asked");
    assert_eq!(kept, Some(Bytes::from_static(b"{}")));
}

pub(super) async fn the_first_result_stays(tested: BackendUnderTest) {
    let (backend, run) = (&tested.backend, key("w", "r"));
    backend.publish_done(&run, Bytes::from_static(b"1")).await.expect("it is published");
    backend.publish_done(&run, Bytes::from_static(b"2")).await.expect("the second one is no error");
    let kept =
        backend.done(&run, Timestamp::default(), Duration::from_secs(5)).await.expect("it can be asked");
    assert_eq!(kept, Some(Bytes::from_static(b"1")));
}

pub(super) async fn a_later_run_of_the_same_name_has_its_own_result(tested: BackendUnderTest) {
    let (backend, run) = (&tested.backend, key("w", "r"));
    let result = |at: Timestamp, output: u8| {
        Bytes::from(json!({ "started_at": at.to_string(), "output": output }).to_string())
    };
    let (first, second) = (Timestamp(1_000_000), Timestamp(2_000_000));
    backend.publish_done(&run, result(first, 1)).await.expect("it is published");
    assert_eq!(backend.done(&run, second, Duration::ZERO).await.expect("it can be asked"), None);
    let waits = backend.done(&run, second, DEADLINE);
    let publishes = backend.publish_done(&run, result(second, 2));
    let (waited, published) = tokio::join!(waits, publishes);
    published.expect("it takes the place of the other");
    assert_eq!(waited.expect("it can be asked"), Some(result(second, 2)));
    backend.publish_done(&run, result(first, 1)).await.expect("told again, late, it is no error");
    let kept = backend.done(&run, first, Duration::ZERO).await.expect("it can be asked");
    assert_eq!(kept, Some(result(second, 2)));
}

pub(super) async fn what_is_no_result_makes_way_for_one(tested: BackendUnderTest) {
    let (backend, run) = (&tested.backend, key("w", "r"));
    backend.publish_done(&run, Bytes::from_static(b"noise")).await.expect("anybody may");
    let since = Timestamp(1_000_000);
    assert_eq!(backend.done(&run, since, Duration::ZERO).await.expect("it can be asked"), None);
    let result = Bytes::from(json!({ "started_at": since.to_string() }).to_string());
    backend.publish_done(&run, result.clone()).await.expect("it is published");
    assert_eq!(backend.done(&run, since, Duration::ZERO).await.expect("it can be asked"), Some(result));
}

pub(super) async fn hosts_come_and_go(tested: BackendUnderTest) {
    let backend = &tested.backend;
    let host = HostInfo {
        host: "h1".to_owned(),
        workflows: vec![(key("w", "r").workflow, "00".to_owned())],
        slots: 4,
        started_at: "2026-01-01T00:00:00.000Z".to_owned(),
        version: "0.1.0".to_owned(),
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
