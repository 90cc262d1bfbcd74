//! Streams and buckets: created once, never changed, refused if they would break a guarantee.

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
async fn many_hosts_may_create_the_streams_at_once() {
    let config = config("hosts").await;
    let hosts = (0..8).map(|_| NatsBackend::connect(config.clone()));
    for host in futures::future::join_all(hosts).await {
        host.unwrap();
    }
    connect(config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_works_with_the_tools_of_nats() {
    let backend = connect(config("bucket").await).await;
    let jetstream = jetstream::new(client().await);
    let bucket = jetstream.get_key_value(format!("JETWAY_{}_RUNS", backend.namespace())).await.unwrap();
    let status = bucket.status().await.unwrap();
    assert_eq!(status.history(), 1);
    bucket.put("pay.a", "x".into()).await.unwrap();
    bucket.delete("pay.a").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_a_guarantee_is_refused() {
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
async fn a_stream_with_another_size_is_used() {
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
async fn a_missing_stream_is_named_if_it_may_not_be_created() {
    let config = config("check").await;
    let checking = NatsConfig { provisioning: Provisioning::Check, ..config.clone() };
    let refused = NatsBackend::connect(checking.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::Misconfigured);
    assert!(refused.to_string().contains("there is no stream"), "{refused}");
    connect(config).await;
    connect(checking).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_replicas_than_servers_is_an_error() {
    let config = NatsConfig { replicas: Some(3), ..config("replicas").await };
    let refused = NatsBackend::connect(config).await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::Misconfigured, "{refused}");
    assert!(refused.to_string().contains("3 replicas: this needs a cluster"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn durability_is_measured() {
    let backend = connect(config("doctor").await).await;
    let known = backend.durability().await.unwrap();
    assert_eq!((known.replicas, known.on_disk), (1, true));
    assert!(!matches!(known.synced, Synced::Unknown));
    // The values that were written for the measurement are removed, and no host.
    use jetway_engine::backend::Hosts as _;
    assert_eq!(backend.hosts().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_with_an_old_name_is_reported() {
    let backend = connect(config("old").await).await;
    assert_eq!(backend.obsolete_streams().await.unwrap(), [""; 0]);
    let name = format!("JETWAY_{}_WORKERS", backend.namespace());
    let bucket = jetstream::kv::Config { bucket: name.clone(), ..jetstream::kv::Config::default() };
    jetstream::new(client().await).create_key_value(bucket).await.unwrap();
    let sentences = backend.obsolete_streams().await.unwrap();
    let expected = format!(
        "stream KV_{name} has an old name and is not used any more, its replacement is KV_JETWAY_{}_HOSTS: stop all \
         hosts of earlier versions, then remove it with `nats stream rm KV_{name}`",
        backend.namespace()
    );
    assert_eq!(sentences, [expected]);
}
