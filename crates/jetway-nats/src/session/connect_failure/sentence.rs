//! What failed at a server, and what to do, as a sentence.

use super::ConnectProblem;
use crate::config::{NatsAuth, NatsConfig, ServerAddress};

pub(super) fn of(problem: ConnectProblem, server: &ServerAddress, config: &NatsConfig) -> String {
    let at = format!("the nats-server at {server}");
    tls(problem, &at, server.host(), config).unwrap_or_else(|| other(problem, &at, server, config))
}

fn tls(problem: ConnectProblem, at: &str, host: &str, config: &NatsConfig) -> Option<String> {
    Some(match problem {
        ConnectProblem::UnknownAuthority => format!(
            "the certificate of {at} comes from an unknown authority: name the file with the CA certificate (--tlsca, \
             NATS_CA)"
        ),
        ConnectProblem::CertificateExpired => format!(
            "the certificate of {at} has expired or is not valid yet: renew it, and check the clock of this machine"
        ),
        ConnectProblem::WrongHostName => format!(
            "the certificate of {at} is not for {host}: use a name that is in the certificate, or another certificate"
        ),
        ConnectProblem::TlsNotOffered => {
            format!("{at} does not offer TLS: use nats:// without TLS, or enable TLS on the server")
        }
        ConnectProblem::ClientCertificate => {
            let given = match config.tls.certificate {
                Some(_) => "refuses the certificate of this client",
                None => "requires a certificate of this client, and none is given",
            };
            format!("{at} {given}: check --tlscert and --tlskey (NATS_CERT, NATS_KEY)")
        }
        ConnectProblem::Tls => {
            format!("cannot make a TLS connection to {at}: check the certificates of both sides")
        }
        _ => return None,
    })
}

fn other(problem: ConnectProblem, at: &str, server: &ServerAddress, config: &NatsConfig) -> String {
    match problem {
        ConnectProblem::NameNotResolved => {
            let host = server.host();
            format!(
                "the host name {host} of {at} does not resolve: check the name, and the DNS of this machine"
            )
        }
        ConnectProblem::NothingListens => {
            format!("no nats-server at {server}: start one with `jetway dev`, or set NATS_URL")
        }
        ConnectProblem::Unreachable => format!("cannot reach {at}: check the address and the network"),
        ConnectProblem::NoAnswer => format!(
            "{at} did not answer within {:?}: it hangs, is no nats-server, waits for TLS first (--tlsfirst), or a firewall \
             drops the packets",
            config.connect_within
        ),
        ConnectProblem::ClosedBeforeGreeting => format!(
            "{at} closed the connection without a greeting: it is no nats-server, waits for TLS first (--tlsfirst), or is \
             starting"
        ),
        ConnectProblem::NotNats => {
            format!("what answers at {server} is no nats-server: check the address and the port")
        }
        ConnectProblem::LoginRefused => match config.login() {
            NatsAuth::None => format!(
                "{at} refuses the login, and no credentials are given: give user and password, a token, an nkey or a \
                 credentials file"
            ),
            _ => format!("{at} refuses the login: check user, password, token, nkey or credentials file"),
        },
        ConnectProblem::ConnectionLimit => format!(
            "{at} accepts no more connections: its limit, or that of the account, is reached (max_connections)"
        ),
        // Those that are found after the connection was made have a sentence of their own.
        _ => format!("cannot use {at}"),
    }
}
