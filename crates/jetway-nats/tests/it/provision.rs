//! Streams and buckets: created once, never changed, refused when they would break a promise.

use crate::support::{client, config, connect};
use async_nats::jetstream::{self, stream};
use jetway_engine::backend::BackendErrorKind;
use jetway_nats::{NatsBackend, NatsConfig, Provisioning, Synced};

async fn edit(namespace: &str, stream: &str, change: impl FnOnce(&mut stream::Config)) {
    let jetstream = jetstream::new(client().await);
    let name = format!("JETWAY_{namespace}_{stream}");
    let mut config = jetstream.get_stream(name).await.unwrap().cached_info().config.clone();
    change(&mut config);
    jetstream.update_stream(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_hosts_may_come_first() {
    let config = config("hosts").await;
    let hosts = (0..8).map(|_| NatsBackend::connect(config.clone()));
    for host in futures::future::join_all(hosts).await {
        host.unwrap();
    }
    connect(config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_one_that_nats_tools_know() {
    let backend = connect(config("bucket").await).await;
    let jetstream = jetstream::new(client().await);
    let bucket = jetstream.get_key_value(format!("JETWAY_{}_RUNS", backend.namespace())).await.unwrap();
    let status = bucket.status().await.unwrap();
    assert_eq!(status.history(), 1);
    bucket.put("pay.a", "x".into()).await.unwrap();
    bucket.delete("pay.a").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_a_promise_is_refused_in_words() {
    let config = config("drift").await;
    connect(config.clone()).await;
    let namespace = config.namespace.as_str();
    edit(namespace, "WORK", |config| config.discard_new_per_subject = false).await;
    let refused = NatsBackend::connect(config.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::Misconfigured);
    let expected = format!(
        "stream JETWAY_{namespace}_WORK has discard_new_per_subject = false, and Jetway needs true: change \
         discard_new_per_subject with `nats stream edit JETWAY_{namespace}_WORK`"
    );
    assert_eq!(refused.to_string(), expected);
    edit(namespace, "WORK", |config| config.discard_new_per_subject = true).await;
    connect(config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_keeps_data_otherwise_is_taken_as_it_is() {
    let config = config("tuned").await;
    connect(config.clone()).await;
    let namespace = config.namespace.as_str();
    edit(namespace, "DEAD", |config| config.max_bytes = 1 << 20).await;
    connect(config.clone()).await;
    let jetstream = jetstream::new(client().await);
    let dead = jetstream.get_stream(format!("JETWAY_{namespace}_DEAD")).await.unwrap();
    assert_eq!(dead.cached_info().config.max_bytes, 1 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_check_says_what_is_missing() {
    let config = config("check").await;
    let checking = NatsConfig { provisioning: Provisioning::Check, ..config.clone() };
    let refused = NatsBackend::connect(checking.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::Misconfigured);
    assert!(refused.to_string().contains("there is no stream"), "{refused}");
    connect(config).await;
    connect(checking).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_replicas_than_servers_is_an_error_that_says_so() {
    let config = NatsConfig { replicas: 3, ..config("replicas").await };
    let refused = NatsBackend::connect(config).await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::Misconfigured, "{refused}");
    assert!(refused.to_string().contains("3 replicas: that takes a cluster"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn durability_is_measured_and_not_overstated() {
    let backend = connect(config("doctor").await).await;
    let known = backend.durability().await.unwrap();
    assert_eq!((known.replicas, known.on_disk), (1, true));
    assert!(!matches!(known.synced, Synced::Unknown));
    // The values that were written to measure are gone, and were never hosts.
    use jetway_engine::backend::Hosts as _;
    assert_eq!(backend.hosts().await.unwrap(), []);
}
