//! What clients with few permissions can make a host do: nothing that they may not do themselves.

use crate::{
    service::{ask, echo, error_of, json_of},
    support::{DEADLINE, backend, client, config, config_for, heard, run, workflow, write},
};
use async_nats::{Client, ConnectOptions, HeaderMap};
use futures::StreamExt as _;
use jetway_engine::{
    api::{Api as _, StartAnswer},
    backend::{BackendErrorKind, RunsQuery, SnapshotStore as _, StartRequest, Starts as _},
};
use jetway_nats::{HostsClient, NatsAuth, NatsBackend, NatsConfig, ServiceHandle, serve};
use jetway_testing::{NATS_CONF, NatsServer, wait_until};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// A host, and a client that may only publish to the subjects of some requests.
struct Served {
    _server: NatsServer,
    backend: Arc<NatsBackend>,
    service: ServiceHandle,
    /// May do everything, as the host.
    engine: Client,
    stranger: Client,
}

const RUNS: u64 = 3;

/// All in one account, in which the stranger may publish requests alone.
const ONE_ACCOUNT: &str = r#"authorization { users: [
    { user: engine, password: engine }
    { user: stranger, password: stranger, permissions: {
        publish: ["jetway.*.api.status.>", "$SRV.>"], subscribe: ["_INBOX.>", "answers.>"] } }
] }"#;

/// The stranger in an account of its own, which imports the requests.
const TWO_ACCOUNTS: &str = r#"accounts {
    HOSTS { jetstream: enabled, users: [{ user: engine, password: engine }], exports: [{ service: "jetway.*.api.status.>" }] }
    CLIENTS { users: [{ user: stranger, password: stranger }],
        imports: [{ service: { account: HOSTS, subject: "jetway.*.api.status.>" } }] }
}"#;

/// Starts a server with two users, a host with three runs, and the client of the user with few permissions.
async fn served(users: &str, change: impl FnOnce(&mut NatsConfig)) -> Served {
    let server = NatsServer::builder().extra_config(users).start().await.unwrap();
    let auth = NatsAuth::password("engine", "engine");
    let mut config = config_for(&server, "strangers").with_auth(auth);
    change(&mut config);
    let backend = Arc::new(NatsBackend::connect(config).await.unwrap());
    for number in 0..RUNS {
        backend.commit(write(&run(&format!("r{number}")), 0, "snapshot")).await.unwrap();
    }
    let service = serve(Arc::clone(&backend), echo(&["pay"]), &[workflow()]).await.unwrap();
    let login = |name: &str| ConnectOptions::with_user_and_password(name.to_owned(), name.to_owned());
    let engine = login("engine").connect(server.url()).await.unwrap();
    let stranger = login("stranger").connect(server.url()).await.unwrap();
    Served { _server: server, backend, service, engine, stranger }
}

impl Served {
    /// The number of messages in a stream of the namespace.
    async fn messages(&self, prefix: &str, suffix: &str) -> u64 {
        let name = format!("{prefix}JETWAY_{}_{suffix}", self.backend.namespace());
        let jetstream = async_nats::jetstream::new(self.engine.clone());
        jetstream.get_stream(name).await.unwrap().cached_info().state.messages
    }

    /// Sends a request with each reply subject.
    async fn send(&self, subject: &str, replies: &[String]) {
        for reply in replies {
            self.stranger.publish_with_reply(subject.to_owned(), reply.clone(), "".into()).await.unwrap();
        }
        self.stranger.flush().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_an_answer_goes_to_inboxes_only() {
    let served = served(ONE_ACCOUNT, |_| {}).await;
    let ns = served.backend.namespace().clone();
    let replies = [
        format!("$JS.API.STREAM.PURGE.KV_JETWAY_{ns}_RUNS"),
        format!("$JS.API.STREAM.DELETE.KV_JETWAY_{ns}_RUNS"),
        format!("jetway.{ns}.start.pay"),
        format!("$KV.JETWAY_{ns}_RUNS.pay.r0"),
        format!("jetway.{ns}.done.pay.r0"),
        "answers.mine".to_owned(),
        "_INBOXES.mine".to_owned(),
        "_INBOX.*.mine".to_owned(),
        "_INBOX".to_owned(),
    ];
    let subjects = [
        format!("jetway.{ns}.api.status.pay.nobody"),
        "$SRV.PING".to_owned(),
        "$SRV.PING.jetway".to_owned(),
        "$SRV.INFO".to_owned(),
        "$SRV.STATS.jetway".to_owned(),
    ];
    for subject in &subjects {
        served.send(subject, &replies).await;
    }
    // The host has answered everything before.
    let missing = ask(&served.stranger, &served.backend, "status.pay.a", HeaderMap::new(), "").await;
    assert_eq!(error_of(&missing).0, "404");
    let pong = served.stranger.request("$SRV.PING.jetway", "".into()).await.unwrap();
    assert_eq!(json_of(&pong)["name"], "jetway");
    heard(&served.engine).await;
    assert_eq!(served.messages("KV_", "RUNS").await, RUNS);
    assert_eq!(served.messages("", "START").await, 0);
    assert_eq!(served.messages("", "DONE").await, 0);
    let dropped = (subjects.len() * replies.len()) as u64;
    wait_until("the requests are counted", DEADLINE, async || {
        served.service.status().refused_replies == dropped
    })
    .await;
    served.service.stop(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_requests_through_an_import_are_answered() {
    let served = served(TWO_ACCOUNTS, |_| {}).await;
    let missing = ask(&served.stranger, &served.backend, "status.pay.a", HeaderMap::new(), "").await;
    assert_eq!(error_of(&missing).0, "404");
    assert_eq!(served.service.status().refused_replies, 0);
    served.service.stop(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_inboxes_with_a_configured_prefix_are_answered() {
    let served = served(ONE_ACCOUNT, |config| config.reply_prefixes = vec!["answers".to_owned()]).await;
    let subject = format!("jetway.{}.api.status.pay.a", served.backend.namespace());
    let mut answers = served.stranger.subscribe("answers.>").await.unwrap();
    served.send(&subject, &["answers.mine".to_owned()]).await;
    let answer = timeout(DEADLINE, answers.next()).await.unwrap().unwrap();
    assert_eq!(error_of(&answer).0, "404");
    assert_eq!(served.service.status().refused_replies, 0);
    served.service.stop(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_a_prefix_that_covers_data_is_refused() {
    for prefix in ["", ".", "$JS.API", "$KV", "jetway", "jetway.other", ">", "a b", "$SYS"] {
        let mut config = config("prefix").await;
        config.reply_prefixes = vec![prefix.to_owned()];
        let refused = NatsBackend::connect(config).await.unwrap_err();
        assert!(refused.to_string().contains("reply_prefixes"), "{prefix}: {refused}");
    }
}

async fn limit(client: &Client, backend: &NatsBackend, suffix: &str) -> i64 {
    let jetstream = async_nats::jetstream::new(client.clone());
    let stream = jetstream.get_stream(format!("JETWAY_{}_{suffix}", backend.namespace())).await.unwrap();
    stream.cached_info().config.max_bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn h10_starts_that_nobody_serves_leave_room_for_commits() {
    let conf = NATS_CONF.replace("max_memory_store:", "max_file_store: 40MB\n  max_memory_store:");
    let server = NatsServer::builder().config(conf).start().await.unwrap();
    let backend = NatsBackend::connect(config_for(&server, "full")).await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let (starts, dead) = (limit(&client, &backend, "START").await, limit(&client, &backend, "DEAD").await);
    assert!((1 << 20..=8 << 20).contains(&starts), "{starts}");
    assert!((1 << 20..=8 << 20).contains(&dead), "{dead}");
    let start = StartRequest {
        workflow: "nobody".to_owned(),
        run_id: "r".to_owned(),
        input: vec![b'1'; 500_000].into(),
        ..StartRequest::default()
    };
    let mut stored = 0;
    let full = loop {
        match backend.publish_start(&start).await {
            Ok(_sequence) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 80, "the store is full of starts");
    };
    assert_eq!(full.kind(), BackendErrorKind::NoRoom, "{full}");
    for number in 0..20 {
        let text = "x".repeat(200_000);
        backend.commit(write(&run(&format!("r{number}")), 0, &text)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h10_configured_limits_are_kept() {
    let config = NatsConfig { max_stream_bytes: Some(3 << 20), ..config("limits").await };
    let backend = NatsBackend::connect(config).await.unwrap();
    let client = client().await;
    for suffix in ["START", "DEAD", "WORK"] {
        assert_eq!(limit(&client, &backend, suffix).await, 3 << 20, "{suffix}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h10_a_page_of_runs_is_bounded_in_bytes() {
    let backend = backend("pages").await;
    let text = "x".repeat(900_000);
    let count = 40;
    for number in 0..count {
        backend.commit(write(&run(&format!("r{number}")), 0, &text)).await.unwrap();
    }
    let (mut query, mut found, mut pages) = (RunsQuery { limit: 1_000_000, ..RunsQuery::default() }, 0, 0);
    loop {
        let page = backend.runs(&query).await.unwrap();
        assert!(page.runs.len() < count, "one page has everything");
        (found, pages) = (found + page.runs.len(), pages + 1);
        let Some(next) = page.next else { break };
        query.after = Some(next);
    }
    assert!(found == count && pages >= 2, "{found} runs on {pages} pages");
}

#[tokio::test(flavor = "multi_thread")]
async fn h10_waits_block_no_other_request() {
    let (backend, client) = (Arc::new(backend("waits").await), client().await);
    let api = echo(&["pay"]);
    let service = serve(Arc::clone(&backend), api.clone(), &[workflow()]).await.unwrap();
    let subject = format!("jetway.{}.api.start.pay", backend.namespace());
    let mut waiting = HeaderMap::new();
    waiting.insert("Jetway-Run-Id", "held");
    waiting.insert("Jetway-Wait", "1h");
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.unwrap();
    for _ in 0..1500 {
        let payload = "1".into();
        client
            .publish_with_reply_and_headers(subject.clone(), inbox.clone(), waiting.clone(), payload)
            .await
            .unwrap();
    }
    // Those that do not fit are refused at once.
    let refused = timeout(DEADLINE, answers.next()).await.unwrap().unwrap();
    assert_eq!(error_of(&refused).0, "429");
    let status = ask(&client, &backend, "status.pay.a", HeaderMap::new(), "").await;
    assert_eq!(error_of(&status).0, "404");
    let cancelled = ask(&client, &backend, "cancel.pay.a", HeaderMap::new(), "").await;
    assert_eq!(json_of(&cancelled)["run_id"], "a");
    let started = ask(&client, &backend, "start.pay", HeaderMap::new(), "1").await;
    assert!(json_of(&started)["run_id"].is_string());
    let longest = api.longest_wait();
    assert!(longest <= Duration::from_secs(60), "{longest:?}");
    assert!(service.status().busy > 0);
    drop(service);
}

#[tokio::test(flavor = "multi_thread")]
async fn h10_large_requests_have_a_budget_in_bytes() {
    let (backend, client) = (Arc::new(backend("bytes").await), client().await);
    let service = serve(Arc::clone(&backend), echo(&["pay"]), &[workflow()]).await.unwrap();
    let subject = format!("jetway.{}.api.start.pay", backend.namespace());
    let mut held = HeaderMap::new();
    held.insert("Jetway-Run-Id", "held");
    held.insert("Jetway-Wait", "30s");
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.unwrap();
    for _ in 0..120 {
        let payload = vec![b'1'; 900_000].into();
        client
            .publish_with_reply_and_headers(subject.clone(), inbox.clone(), held.clone(), payload)
            .await
            .unwrap();
        // Its answer says that the host has read the large one. The server drops the connection of a host that is 64 MB
        // behind, which is another matter.
        ask(&client, &backend, "status.pay.r", HeaderMap::new(), "").await;
    }
    let refused = timeout(DEADLINE, answers.next()).await.unwrap().unwrap();
    assert_eq!(error_of(&refused).0, "429");
    let started = ask(&client, &backend, "start.pay", HeaderMap::new(), "1").await;
    assert!(json_of(&started)["run_id"].is_string());
    drop(service);
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_a_start_does_not_wait_for_a_scan() {
    let config = config("scan").await;
    let backend = NatsBackend::connect(config.clone()).await.unwrap();
    let start = |id: usize| StartRequest {
        workflow: "pay".to_owned(),
        run_id: format!("r{id}"),
        ..StartRequest::default()
    };
    let count = 3000;
    futures::future::join_all((0..count).map(|id| {
        let (backend, start) = (&backend, start(id));
        async move { backend.publish_start(&start).await.unwrap() }
    }))
    .await;
    let slots = Arc::new(Semaphore::new(count));
    let held: Vec<_> = backend.starts(&workflow(), slots).await.unwrap().take(count).collect().await;
    backend.publish_start(&start(count)).await.unwrap();
    let other = NatsBackend::connect(config).await.unwrap();
    let mut starts = other.starts(&workflow(), Arc::new(Semaphore::new(1))).await.unwrap();
    let next = timeout(DEADLINE, starts.next()).await.unwrap().unwrap().unwrap();
    let sent = other.traffic().sent;
    assert!(sent < 2000, "{sent} messages were sent before the first start arrived");
    drop((next, held));
}

/// A host waits for a minute at most, so a client that wants to wait longer has to ask again.
#[tokio::test(flavor = "multi_thread")]
async fn h10_a_client_asks_again_until_its_time_is_over() {
    let (backend, plain) = (Arc::new(backend("again").await), client().await);
    let subject = format!("jetway.{}.api.start.pay", backend.namespace());
    let mut requests = plain.subscribe(subject).await.unwrap();
    heard(&plain).await;
    let start = StartRequest { workflow: "pay".to_owned(), ..StartRequest::default() };
    let asking = tokio::spawn(async move { HostsClient::new(backend).start(start, Some(DEADLINE)).await });
    let mut ids = Vec::new();
    for answer in [
        json!({ "run_id": "r", "incarnation": "0000000000000000" }),
        json!({ "run_id": "r", "incarnation": "0000000000000000" }),
        json!({ "run_id": "r", "incarnation": "0000000000000000", "workflow": "pay",
        "status": "completed", "output": 1, "outputs": [1], "error": null, "started_at": "2026-01-01T00:00:00Z",
        "finished_at": "2026-01-01T00:00:00Z", "steps": 1 }),
    ] {
        let request = timeout(DEADLINE, requests.next()).await.unwrap().unwrap();
        ids.push(request.headers.unwrap().get("Jetway-Run-Id").map(ToString::to_string));
        plain.publish(request.reply.unwrap(), answer.to_string().into()).await.unwrap();
    }
    let ended = asking.await.unwrap().unwrap();
    assert!(matches!(ended, StartAnswer::Ended(_)), "{ended:?}");
    assert_eq!(ids, [None, Some("r".to_owned()), Some("r".to_owned())]);
}
