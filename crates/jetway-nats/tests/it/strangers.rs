//! What clients with few permissions can make a host do: nothing that they may not do themselves.

use crate::{
    service::{ask, echo, error_of, json_of},
    support::{DEADLINE, config_for, heard, run, workflow, write},
};
use async_nats::{Client, ConnectOptions, HeaderMap};
use futures::StreamExt as _;
use jetway_engine::backend::SnapshotStore as _;
use jetway_nats::{NatsAuth, NatsBackend, NatsConfig, ServiceHandle, serve};
use jetway_testing::{NatsServer, wait_until};
use std::sync::Arc;
use tokio::time::timeout;

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
    let auth = NatsAuth::Password { user: "engine".to_owned(), password: "engine".to_owned() };
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
        let mut config = crate::support::config("prefix").await;
        config.reply_prefixes = vec![prefix.to_owned()];
        let refused = NatsBackend::connect(config).await.unwrap_err();
        assert!(refused.to_string().contains("reply_prefixes"), "{prefix}: {refused}");
    }
}
