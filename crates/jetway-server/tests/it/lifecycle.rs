//! Starting, breaking and ending a server.

use std::process::Command;
use std::time::Duration;

use async_nats::jetstream;
use jetway_server::{NatsServer, ServerError, try_wait_until};

use crate::{DEADLINE, is_alive};

async fn messages(server: &NatsServer) -> u64 {
    let client = async_nats::connect(server.url()).await.unwrap();
    let stream = jetstream::new(client).get_stream("KEPT").await.unwrap();
    stream.get_info().await.unwrap().state.messages
}

async fn store_message(server: &NatsServer) {
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let stream = jetstream::stream::Config {
        name: "KEPT".into(),
        subjects: vec!["kept".into()],
        ..Default::default()
    };
    context.get_or_create_stream(stream).await.unwrap();
    context.publish("kept", "value".into()).await.unwrap().await.unwrap();
}

#[tokio::test]
async fn a_killed_server_restarts_on_its_store_and_port() {
    let mut server = NatsServer::start().await.unwrap();
    let (url, pid) = (server.url(), server.pid().unwrap());
    store_message(&server).await;

    server.kill().await.unwrap();
    assert!(!is_alive(pid));
    assert_eq!(server.pid(), None);
    assert!(async_nats::connect(&url).await.is_err());

    server.restart().await.unwrap();
    assert_eq!(server.url(), url);
    assert_ne!(server.pid(), Some(pid));
    assert_eq!(messages(&server).await, 1);
}

#[tokio::test]
async fn a_running_server_restarts_gracefully() {
    let mut server = NatsServer::start().await.unwrap();
    let pid = server.pid().unwrap();
    store_message(&server).await;

    server.restart().await.unwrap();

    assert!(!is_alive(pid));
    assert_eq!(messages(&server).await, 1);
    assert!(server.log_tail(1000).contains("Initiating Shutdown"), "{}", server.log_tail(1000));
}

#[tokio::test]
async fn a_paused_server_answers_nothing_until_it_is_resumed() {
    let mut server = NatsServer::start().await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();

    server.pause().await.unwrap();
    let unanswered = tokio::time::timeout(Duration::from_millis(300), jetstream_account(&client)).await;
    assert!(unanswered.is_err(), "a paused server has answered");

    server.resume().unwrap();
    tokio::time::timeout(DEADLINE, jetstream_account(&client)).await.expect("an answer");
}

async fn jetstream_account(client: &async_nats::Client) {
    jetstream::new(client.clone()).query_account().await.unwrap();
}

#[tokio::test]
async fn a_paused_server_can_be_stopped() {
    let mut server = NatsServer::start().await.unwrap();
    let pid = server.pid().unwrap();
    server.pause().await.unwrap();
    server.stop().await.unwrap();
    assert!(!is_alive(pid));
    assert!(matches!(server.resume(), Err(ServerError::NotRunning)));
}

#[tokio::test]
async fn dropping_ends_the_server_and_removes_its_directory() {
    let server = NatsServer::start().await.unwrap();
    let (pid, store, log) = (server.pid().unwrap(), server.store_dir().to_owned(), server.log_path());
    assert!(is_alive(pid) && store.is_dir() && log.is_file());
    drop(server);
    assert!(!is_alive(pid) && !store.exists() && !log.exists());
}

#[tokio::test]
async fn the_directory_of_a_panicking_test_is_kept() {
    let server = NatsServer::start().await.unwrap();
    let (pid, log) = (server.pid().unwrap(), server.log_path());
    let failing = std::thread::spawn(move || {
        assert!(server.pid().is_none(), "panics on purpose, with the server in hand");
    });
    assert!(failing.join().is_err());
    assert!(!is_alive(pid));
    assert!(std::fs::read_to_string(&log).unwrap().contains("Server is ready"));
    std::fs::remove_dir_all(log.parent().unwrap()).unwrap();
}

#[tokio::test]
async fn a_server_that_was_killed_from_outside_restarts() {
    let mut server = NatsServer::start().await.unwrap();
    assert!(server.try_exit().unwrap().is_none());
    let pid = server.pid().unwrap().to_string();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    let ended = try_wait_until("the end is noticed", DEADLINE, async || server.try_exit().unwrap());
    let status = ended.await.unwrap();
    assert!(!status.success());
    assert!(matches!(server.pause().await, Err(ServerError::NotRunning)));
    server.restart().await.unwrap();
    async_nats::connect(server.url()).await.unwrap();
}

#[tokio::test]
async fn a_store_of_the_callers_own_is_kept_and_taken_up_again() {
    let store = tempfile::tempdir().unwrap();
    let first = NatsServer::builder().store_dir(store.path()).start().await.unwrap();
    let port = first.port();
    store_message(&first).await;
    drop(first);

    let second = NatsServer::builder().store_dir(store.path()).port(port).start().await.unwrap();
    assert_eq!((second.port(), messages(&second).await), (port, 1));
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_shows_the_log() {
    let server = NatsServer::start().await.unwrap();
    let error = NatsServer::builder().port(server.port()).start().await.unwrap_err();
    assert!(matches!(error, ServerError::Exited { .. }), "{error}");
    assert!(error.to_string().contains("address already in use"), "{error}");
}

#[tokio::test]
async fn a_broken_configuration_is_an_error_that_shows_the_log() {
    let error = NatsServer::builder().config("no_such_setting: 1").start().await.unwrap_err();
    assert!(matches!(error, ServerError::Exited { .. }), "{error}");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[tokio::test]
async fn extra_configuration_is_in_force() {
    let server = NatsServer::builder().extra_config("authorization { token: s3cret }").start().await.unwrap();
    assert!(async_nats::connect(server.url()).await.is_err());
    let options = async_nats::ConnectOptions::with_token("s3cret".into());
    options.connect(server.url()).await.unwrap();
}

#[tokio::test]
async fn the_projects_configuration_lifts_the_limits_it_says() {
    let server = NatsServer::start().await.unwrap();
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let stream = jetstream::stream::Config {
        name: "LIMITS".into(),
        subjects: vec!["limits".into()],
        ..Default::default()
    };
    let stream = context.create_stream(stream).await.unwrap();
    let consumer = |max_ack_pending| jetstream::consumer::pull::Config {
        durable_name: Some(format!("C{max_ack_pending}")),
        max_ack_pending,
        ..Default::default()
    };
    stream.create_consumer(consumer(200_000)).await.unwrap();
    let error = stream.create_consumer(consumer(200_001)).await.unwrap_err();
    assert!(error.to_string().contains("max ack pending"), "{error}");
    assert_eq!(context.client().server_info().max_payload, 1_048_576);
}
