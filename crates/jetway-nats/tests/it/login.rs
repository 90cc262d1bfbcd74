//! Every way to log in.

mod operator;

use crate::support::{DEADLINE, FINGERPRINT, config_for, loaded, result, run, ticket, workflow, write};
use futures::StreamExt as _;
use jetway_engine::backend::{BackendErrorKind, Results as _, SnapshotStore as _, TicketQueue as _};
use jetway_nats::{ConnectProblem, NatsAuth, NatsBackend, NatsConfig, ServerList};
use jetway_testing::{NatsServer, wait_until};
use nkeys::KeyPair;
use operator::OperatorServer;
use std::sync::Arc;
use tokio::sync::Semaphore;

async fn server(config: &str) -> NatsServer {
    NatsServer::builder().extra_config(config).start().await.unwrap()
}

/// The server's address with a login in it.
fn with_login(server: &NatsServer, login: &str) -> NatsConfig {
    let servers = ServerList::from(server.url().replace("nats://", &format!("nats://{login}@")));
    NatsConfig { servers, ..config_for(server, "login") }
}

async fn accepted(config: NatsConfig) {
    NatsBackend::connect(config).await.unwrap();
}

async fn refused(config: NatsConfig) {
    let error = NatsBackend::connect(config).await.unwrap_err();
    assert_eq!(ConnectProblem::of(&error), Some(ConnectProblem::LoginRefused), "{error}");
    assert_eq!(error.kind(), BackendErrorKind::Refused, "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_user_and_password() {
    let server = server("authorization { user: \"a@b\", password: \"p:/,%\" }").await;
    accepted(config_for(&server, "login").with_auth(NatsAuth::password("a@b", "p:/,%"))).await;
    accepted(with_login(&server, "a%40b:p%3A%2F%2C%25")).await;
    refused(with_login(&server, "a%40b:hunter2")).await;
    refused(with_login(&server, "hunter2")).await;
    refused(config_for(&server, "login")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_a_token() {
    let server = server("authorization { token: \"t@ken\" }").await;
    accepted(config_for(&server, "login").with_auth(NatsAuth::token("t@ken"))).await;
    accepted(with_login(&server, "t%40ken")).await;
    refused(with_login(&server, "hunter2")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_an_nkey_as_text_or_file() {
    let user = KeyPair::new_user();
    let seed = user.seed().unwrap();
    let server = server(&format!("authorization {{ users: [ {{ nkey: {} }} ] }}", user.public_key())).await;
    accepted(config_for(&server, "login").with_auth(NatsAuth::NKey(seed.as_str().into()))).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("# a comment\n{seed}\n")).unwrap();
    accepted(config_for(&server, "login").with_auth(NatsAuth::NKeyFile(file.path().to_owned()))).await;
    let other = KeyPair::new_user().seed().unwrap();
    refused(config_for(&server, "login").with_auth(NatsAuth::NKey(other.into()))).await;
    std::fs::write(file.path(), "hunter2").unwrap();
    let config = config_for(&server, "login").with_auth(NatsAuth::NKeyFile(file.path().to_owned()));
    let error = NatsBackend::connect(config).await.unwrap_err();
    assert_eq!(ConnectProblem::of(&error), Some(ConnectProblem::BadLogin), "{error}");
    assert!(error.to_string().contains(&file.path().display().to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_credentials_and_user_jwts() {
    let operator = OperatorServer::start().await;
    let config = || config_for(&operator.server, "login");
    let user = operator.user(false);
    let seed = Some(user.seed.as_str().into());
    accepted(config().with_auth(NatsAuth::Jwt { jwt: user.jwt.as_str().into(), seed })).await;
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.jwt, user.seed
    );
    accepted(config().with_auth(NatsAuth::Credentials(text.as_str().into()))).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    accepted(config().with_auth(NatsAuth::CredentialsFile(file.path().to_owned()))).await;
    let bearer = operator.user(true);
    accepted(config().with_auth(NatsAuth::Jwt { jwt: bearer.jwt.into(), seed: None })).await;
    let other = Some(KeyPair::new_user().seed().unwrap().into());
    refused(config().with_auth(NatsAuth::Jwt { jwt: user.jwt.into(), seed: other })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_the_inbox_prefix_and_the_jetstream_domain_are_used() {
    let server = server(
        "jetstream { domain: hub }\nauthorization { users: [ { user: ann, password: secret, permissions: {\n\
         subscribe: { deny: \"_INBOX.>\" } } } ] }",
    )
    .await;
    let mut config = with_login(&server, "ann:secret");
    config.inbox_prefix = "_INBOX_ann".to_owned();
    config.jetstream_domain = Some("hub".to_owned());
    accepted(config.clone()).await;
    config.jetstream_domain = Some("nowhere".to_owned());
    config.jetstream_api_prefix = Some("$JS.hub.API".to_owned());
    accepted(config.clone()).await;
    config.inbox_prefix = "_INBOX".to_owned();
    let error = NatsBackend::connect(config.clone()).await.unwrap_err();
    assert_eq!(ConnectProblem::of(&error), Some(ConnectProblem::NotPermitted), "{error}");
    config.inbox_prefix = "_INBOX_ann".to_owned();
    config.jetstream_api_prefix = None;
    let error = NatsBackend::connect(config).await.unwrap_err();
    assert_eq!(ConnectProblem::of(&error), Some(ConnectProblem::UnknownDomain), "{error}");
    assert!(error.to_string().contains("no JetStream domain nowhere"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_a_leaf_node_reaches_the_domain_of_its_hub() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let hub = server(&format!(
        "server_name: hub\njetstream {{ domain: hub }}\nleafnodes {{ listen: \"127.0.0.1:{port}\" }}"
    ))
    .await;
    let leaf = server(&format!(
        "server_name: leaf\njetstream {{ domain: leaf }}\n\
         leafnodes {{ remotes: [ {{ urls: [ \"nats://127.0.0.1:{port}\" ] }} ] }}"
    ))
    .await;
    let mut config = config_for(&leaf, "leaf");
    config.jetstream_domain = Some("hub".to_owned());
    let backend = wait_until("the leaf node is connected", DEADLINE, async || {
        NatsBackend::connect(config.clone()).await.ok()
    })
    .await;
    // Every kind of write and read.
    assert_eq!(backend.commit(write(&run("a"), 0, "x")).await.unwrap(), 1);
    assert_eq!(loaded(&backend, &run("a")).await.unwrap().0, "x");
    backend.publish(vec![(ticket(&run("a"), "i1"), FINGERPRINT)]).await.unwrap();
    let mut tickets = backend.tickets(&workflow(), Arc::new(Semaphore::new(4))).await.unwrap();
    let taken = tokio::time::timeout(DEADLINE, tickets.next()).await.unwrap().unwrap().unwrap();
    taken.lease.ack().await.unwrap();
    // An acknowledgement has no answer.
    wait_until("the ticket is acknowledged", DEADLINE, async || {
        backend.items_with_tickets(&run("a"), None).await.unwrap().is_empty()
    })
    .await;
    backend.publish_done(result(&run("a"), "{}")).await.unwrap();
    backend.durability().await.unwrap();
    // All of it is at the hub.
    let at_hub =
        NatsBackend::connect(NatsConfig { servers: hub.url().into(), jetstream_domain: None, ..config });
    assert_eq!(loaded(&at_hub.await.unwrap(), &run("a")).await.unwrap().0, "x");
}
