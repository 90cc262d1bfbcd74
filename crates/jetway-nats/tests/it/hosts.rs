//! Live hosts.

use crate::support::{DEADLINE, backend, config, connect, workflow};
use jetway_engine::backend::{HostInfo, Hosts};
use jetway_testing::wait_until;
use std::time::Duration;

fn host(name: &str) -> HostInfo {
    HostInfo {
        host: name.to_owned(),
        workflows: vec![(workflow(), "feed".to_owned())],
        slots: 4,
        started_at: "2026-01-01T00:00:00.000Z".to_owned(),
        version: "0.1.0".to_owned(),
        no_room_at: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_announce_themselves_and_leave() {
    let backend = backend("hosts").await;
    assert_eq!(backend.hosts().await.unwrap(), []);
    backend.announce(&host("b")).await.unwrap();
    backend.announce(&host("a")).await.unwrap();
    backend.announce(&HostInfo { slots: 9, ..host("b") }).await.unwrap();
    assert_eq!(backend.hosts().await.unwrap(), [host("a"), HostInfo { slots: 9, ..host("b") }]);
    backend.leave("a").await.unwrap();
    assert_eq!(backend.hosts().await.unwrap().len(), 1);
    assert!(backend.announce(&host("a.b")).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_announcements_disappears() {
    let mut config = config("forgotten").await;
    config.announce_every = Duration::from_millis(500);
    let backend = connect(config).await;
    assert_eq!(backend.announce_every(), Duration::from_millis(500));
    backend.announce(&host("a")).await.unwrap();
    assert_eq!(backend.hosts().await.unwrap().len(), 1);
    wait_until("the host disappears", DEADLINE, async || backend.hosts().await.unwrap().is_empty()).await;
}
