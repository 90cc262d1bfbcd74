//! Errors of connections that cannot be made.

use crate::support::{config_for, run, write};
use jetway_engine::backend::{BackendErrorKind, SnapshotStore as _};
use jetway_nats::{NatsAuth, NatsBackend, NatsConfig};
use jetway_testing::{NATS_CONF, NatsServer};

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_server_is_an_error_with_a_fix() {
    // This port was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("nats://127.0.0.1:{port}");
    let error = NatsBackend::connect(NatsConfig::new(&url)).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unavailable);
    let expected = format!("no nats-server at {url}: start one with `jetway dev`, or set NATS_URL");
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_jetstream_is_refused() {
    let server = NatsServer::builder().config("host: 127.0.0.1").start().await.unwrap();
    let error = NatsBackend::connect(NatsConfig::new(server.url())).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Misconfigured, "{error}");
    assert!(error.to_string().contains("JetStream switched off"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_small_max_payload_is_refused() {
    let config = NATS_CONF.replace("max_payload: 1MB", "max_payload: 256KB");
    let server = NatsServer::builder().config(config).start().await.unwrap();
    let error = NatsBackend::connect(NatsConfig::new(server.url())).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Misconfigured, "{error}");
    let sentence = error.to_string();
    assert!(sentence.contains("max_payload = 262144, and Jetway needs 528384"), "{sentence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_refused() {
    let server = NatsServer::builder()
        .extra_config("authorization { user: ann, password: secret }")
        .start()
        .await
        .unwrap();
    let config = config_for(&server, "login");
    let refused = NatsBackend::connect(config.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::Refused, "{refused}");
    assert!(refused.to_string().contains("refuses the login"), "{refused}");
    let auth = NatsAuth::password("ann", "secret");
    let backend = NatsBackend::connect(config.with_auth(auth)).await.unwrap();
    backend.commit(write(&run("a"), 0, "x")).await.unwrap();
    assert!(backend.server().version.starts_with("2."), "{:?}", backend.server());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_write_includes_the_error_of_the_server() {
    let server = NatsServer::builder()
        .extra_config(
            "authorization { users: [ { user: ann, password: secret, permissions: { publish: { deny: \"$KV.>\" } } } ] }",
        )
        .start()
        .await
        .unwrap();
    let auth = NatsAuth::password("ann", "secret");
    let mut config = config_for(&server, "denied").with_auth(auth);
    config.writes.answer_within = std::time::Duration::from_millis(300);
    config.writes.give_up_after = std::time::Duration::from_secs(1);
    let backend = NatsBackend::connect(config).await.unwrap();
    let refused = backend.commit(write(&run("a"), 0, "x")).await.unwrap_err();
    assert!(refused.to_string().to_lowercase().contains("permissions violation"), "{refused}");
}
