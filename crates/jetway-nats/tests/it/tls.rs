//! TLS, and what an error says of it.

mod certificates;

use crate::support::config_for;
use certificates::{Authority, Files};
use jetway_engine::backend::{BackendError, BackendErrorKind};
use jetway_nats::{ConnectProblem, NatsBackend, NatsConfig, ServerList};
use jetway_testing::NatsServer;

/// A server with this certificate, and more settings of `tls`.
async fn server(files: &Files, more: &str) -> NatsServer {
    let (certificate, key) = (files.certificate.display(), files.key.display());
    let config = format!("tls {{ cert_file: \"{certificate}\", key_file: \"{key}\", timeout: 5, {more} }}");
    NatsServer::builder().extra_config(&config).start().await.unwrap()
}

/// Trusts the authority.
fn trusting(server: &NatsServer, authority: &Authority) -> NatsConfig {
    let mut config = config_for(server, "tls");
    config.tls.authorities = Some(authority.file());
    config
}

async fn refused(config: NatsConfig, problem: ConnectProblem) -> BackendError {
    let error = NatsBackend::connect(config).await.unwrap_err();
    assert_eq!(ConnectProblem::of(&error), Some(problem), "{error}");
    assert_eq!(error.is_retryable(), problem.is_retryable(), "{error}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn m6_a_certificate_that_is_not_valid_is_said() {
    let (authority, other) = (Authority::new(), Authority::new());
    let valid = server(&authority.issue("127.0.0.1"), "").await;
    NatsBackend::connect(trusting(&valid, &authority)).await.unwrap();

    let error = refused(trusting(&valid, &other), ConnectProblem::UnknownAuthority).await;
    assert_eq!(error.kind(), BackendErrorKind::Misconfigured);
    assert!(
        error.to_string().contains("unknown authority") && error.to_string().contains("--tlsca"),
        "{error}"
    );
    let error = refused(config_for(&valid, "tls"), ConnectProblem::UnknownAuthority).await;
    assert!(!error.to_string().contains("no nats-server"), "{error}");

    let expired = server(&authority.issue_expired("127.0.0.1"), "").await;
    refused(trusting(&expired, &authority), ConnectProblem::CertificateExpired).await;

    let wrong = server(&authority.issue("other.example"), "").await;
    let error = refused(trusting(&wrong, &authority), ConnectProblem::WrongHostName).await;
    assert!(error.to_string().contains("not for 127.0.0.1"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn m6_a_server_without_tls_is_said() {
    let plain = NatsServer::start().await.unwrap();
    let mut config = config_for(&plain, "tls");
    config.servers = ServerList::from(plain.url().replace("nats://", "tls://"));
    let error = refused(config, ConnectProblem::TlsNotOffered).await;
    assert!(error.to_string().contains("does not offer TLS"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_a_client_certificate_is_sent() {
    let authority = Authority::new();
    let verify = format!("verify: true, ca_file: \"{}\"", authority.file().display());
    let server = server(&authority.issue("127.0.0.1"), &verify).await;
    let without = trusting(&server, &authority);
    let error = refused(without.clone(), ConnectProblem::ClientCertificate).await;
    assert!(error.to_string().contains("none is given"), "{error}");
    let mut with = without.clone();
    let client = authority.issue("client.example");
    with.tls.certificate = Some((client.certificate, client.key));
    NatsBackend::connect(with).await.unwrap();
    let mut strange = without;
    let client = Authority::new().issue("client.example");
    strange.tls.certificate = Some((client.certificate.clone(), client.key));
    let error = NatsBackend::connect(strange).await.unwrap_err();
    // The authority and its files are gone.
    assert!(error.to_string().contains(&client.certificate.display().to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_tls_can_come_first() {
    let authority = Authority::new();
    // `auto` greets a client that sends nothing, as the harness does.
    let server = server(&authority.issue("127.0.0.1"), "handshake_first: auto").await;
    let mut config = trusting(&server, &authority);
    NatsBackend::connect(config.clone()).await.unwrap();
    config.tls.first = true;
    NatsBackend::connect(config).await.unwrap();
}
