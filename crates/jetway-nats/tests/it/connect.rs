//! Errors of connections that cannot be made.

use crate::support::{DEADLINE, config_for, run, write};
use jetway_engine::{
    api::Api as _,
    backend::{BackendErrorKind, RunsQuery, SnapshotStore as _},
};
use jetway_nats::{ConnectProblem, HostsClient, NatsAuth, NatsBackend, NatsConfig};
use jetway_state::Seen;
use jetway_testing::{NATS_CONF, NatsServer, wait_until};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

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
    config.writes.answer_within = Duration::from_millis(300);
    config.writes.give_up_after = Duration::from_secs(1);
    let backend = NatsBackend::connect(config).await.unwrap();
    let refused = backend.commit(write(&run("a"), 0, "x")).await.unwrap_err();
    assert!(refused.to_string().to_lowercase().contains("permissions violation"), "{refused}");
}

/// What an address that is no server does with a connection.
#[derive(Clone, Copy)]
enum Stranger {
    Greets,
    IsSilent,
    Closes,
}

/// A listener that is no nats-server, and its address.
async fn stranger(does: Stranger) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            match does {
                Stranger::Greets => socket.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await.unwrap(),
                Stranger::IsSilent => {}
                Stranger::Closes => continue,
            }
            open.push(socket);
        }
    });
    format!("nats://{address}")
}

async fn problem_with(mut config: NatsConfig) -> (ConnectProblem, String) {
    config.connect_within = Duration::from_millis(500);
    let error = NatsBackend::connect(config).await.unwrap_err();
    let problem = ConnectProblem::of(&error).unwrap();
    assert_eq!(error.is_retryable(), problem.is_retryable(), "{error}");
    (problem, error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn m6_what_answers_at_the_address_is_said() {
    for (address, expected, said) in [
        ("nats://no-such-host.invalid".to_owned(), ConnectProblem::NameNotResolved, "no-such-host.invalid"),
        (stranger(Stranger::Greets).await, ConnectProblem::NotNats, "is no nats-server"),
        (stranger(Stranger::IsSilent).await, ConnectProblem::NoAnswer, "did not answer within 500ms"),
        (stranger(Stranger::Closes).await, ConnectProblem::ClosedBeforeGreeting, "without a greeting"),
    ] {
        let (problem, text) = problem_with(NatsConfig::new(&address)).await;
        assert_eq!(problem, expected, "{address}: {text}");
        assert!(text.contains(said), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f9_an_error_says_what_each_server_of_a_list_did() {
    let (silent, greets) = (stranger(Stranger::IsSilent).await, stranger(Stranger::Greets).await);
    let (problem, text) = problem_with(NatsConfig::new(format!("{silent}, {greets}"))).await;
    assert_eq!(problem, ConnectProblem::NoAnswer, "{text}");
    assert!(text.contains("did not answer") && text.contains("is no nats-server"), "{text}");
    let server = NatsServer::start().await.unwrap();
    let config = NatsConfig::new(format!("{greets},{}", server.url()));
    NatsBackend::connect(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn m6_a_limit_of_connections_is_said_and_mends_itself() {
    let config = NATS_CONF.to_owned() + "\nmax_connections: 1\n";
    let server = NatsServer::builder().config(config).start().await.unwrap();
    let only = async_nats::connect(server.url()).await.unwrap();
    let (problem, text) = problem_with(config_for(&server, "limit")).await;
    assert_eq!(problem, ConnectProblem::ConnectionLimit, "{text}");
    assert!(text.contains("no more connections") && problem.is_retryable(), "{text}");
    only.drain().await.unwrap();
    wait_until("there is room for a connection", DEADLINE, async || {
        NatsBackend::connect(config_for(&server, "limit")).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m6_an_account_without_jetstream_is_said() {
    let accounts = "accounts { A { users: [ { user: ann, password: secret } ] } }";
    let server = NatsServer::builder().extra_config(accounts).start().await.unwrap();
    let config = config_for(&server, "account").with_auth(NatsAuth::password("ann", "secret"));
    let (problem, text) = problem_with(config).await;
    assert_eq!(problem, ConnectProblem::JetStreamOff, "{text}");
    assert!(text.contains("for this account"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn m6_a_missing_permission_is_said_at_once() {
    let user = |denied: &str| {
        format!(
            "authorization {{ users: [ {{ user: ann, password: secret, permissions: {{ publish: {{ deny: \"{denied}\" }} }} }} ] }}"
        )
    };
    for (denied, said) in [("$JS.API.INFO", "JetStream"), ("$JS.API.STREAM.CREATE.>", "create stream")] {
        let server = NatsServer::builder().extra_config(&user(denied)).start().await.unwrap();
        let config = config_for(&server, "permission").with_auth(NatsAuth::password("ann", "secret"));
        let error = NatsBackend::connect(config).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Refused, "{error}");
        assert!(
            error.to_string().contains(said) && error.to_string().contains("Permissions Violation"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn m6_a_request_that_is_not_permitted_is_said_at_once() {
    let user = "authorization { users: [ { user: ann, password: secret, permissions: { publish: { deny: \
                [\"jetway.*.api.>\", \"$JS.API.DIRECT.GET.>\"] } } } ] }";
    let server = NatsServer::builder().extra_config(user).start().await.unwrap();
    let config = config_for(&server, "requests").with_auth(NatsAuth::password("ann", "secret"));
    let backend = Arc::new(NatsBackend::connect(config).await.unwrap());
    let error = HostsClient::new(Arc::clone(&backend)).workflows().await.unwrap_err();
    assert_eq!(error.code, 403, "{error:?}");
    assert!(error.message.contains("Permissions Violation"), "{error:?}");
    let error = backend.runs(&RunsQuery::default()).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("Permissions Violation"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn m2_a_server_that_hangs_costs_seconds() {
    let mut servers = [NatsServer::start().await.unwrap(), NatsServer::start().await.unwrap()];
    let config = |servers: String| NatsConfig {
        lost_after: Duration::from_millis(900),
        connect_within: Duration::from_millis(900),
        ..NatsConfig::new(servers)
    };
    for server in &servers {
        NatsBackend::connect(config(server.url())).await.unwrap();
    }
    let urls = format!("{},{}", servers[0].url(), servers[1].url());
    let backend = NatsBackend::connect(config(urls)).await.unwrap();
    let first = NatsBackend::connect(config(servers[0].url())).await.unwrap().server().name.clone();
    let used = usize::from(backend.server().name != first);
    servers[used].pause().await.unwrap();
    let began = Instant::now();
    wait_until("the other server is used", DEADLINE, async || {
        backend.load(&run("a"), Seen::default()).await.is_ok()
    })
    .await;
    // Thirty seconds with the pings of before.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let (problem, text) = problem_with(config(servers[used].url())).await;
    assert_eq!(problem, ConnectProblem::NoAnswer, "{text}");
    servers[used].resume().unwrap();
}
