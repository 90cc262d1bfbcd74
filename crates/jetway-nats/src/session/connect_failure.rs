//! Why a connection cannot be made, and whether that can mend itself.

use crate::config::{NatsAuth, NatsConfig, ServerAddress};
use async_nats::{
    ConnectErrorKind,
    rustls::{AlertDescription, CertificateError, Error as TlsError},
};
use jetway_engine::backend::{BackendError, BackendErrorKind};
use std::{error::Error, io};

/// What is wrong with a connection. Find it in the chain of sources of an error with [`ConnectProblem::of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectProblem {
    /// The host name does not resolve to an address.
    NameNotResolved,
    /// Nothing listens on the port.
    NothingListens,
    /// The network does not lead there, or the connection broke.
    Unreachable,
    /// The server accepts the connection and does not answer, or does not accept it in time.
    NoAnswer,
    /// The server closes the connection before its greeting.
    ClosedBeforeGreeting,
    /// What answers is no nats-server.
    NotNats,
    /// The certificate of the server comes from an unknown authority.
    UnknownAuthority,
    /// The certificate of the server has expired, or is not valid yet.
    CertificateExpired,
    /// The certificate of the server is for another host name.
    WrongHostName,
    /// TLS is required, and the server does not offer it.
    TlsNotOffered,
    /// The server requires a certificate of the client, or refuses the one that it got.
    ClientCertificate,
    /// Another failure of TLS.
    Tls,
    /// The server refuses user, password, token, nkey or credentials.
    LoginRefused,
    /// The credentials cannot be used: they have another form.
    BadLogin,
    /// The limit of connections of the server or of the account is reached.
    ConnectionLimit,
    /// The user may not use JetStream.
    NotPermitted,
    /// JetStream is switched off, on the server or for the account.
    JetStreamOff,
    /// Nothing answers for this JetStream domain, or below this prefix of its API.
    UnknownDomain,
    /// The server is too old.
    TooOld,
    /// The server's `max_payload` is too small.
    SmallMaxPayload,
}

impl ConnectProblem {
    /// The problem of a connection, if that is what failed.
    ///
    /// ```
    /// # async fn example() {
    /// use jetway_nats::{ConnectProblem, NatsBackend, NatsConfig};
    ///
    /// let error = NatsBackend::connect(NatsConfig::new("nats://127.0.0.1:1")).await.unwrap_err();
    /// assert_eq!(ConnectProblem::of(&error), Some(ConnectProblem::NothingListens));
    /// # }
    /// ```
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut errors = std::iter::successors(Some(error), |error| (*error).source());
        errors.find_map(|error| error.downcast_ref::<ConnectFailure>()).map(|failure| failure.problem)
    }

    /// Whether it can mend itself, so that another attempt makes sense.
    pub fn is_retryable(self) -> bool {
        self.kind() == BackendErrorKind::Unavailable
    }

    /// The kind of the backend error.
    fn kind(self) -> BackendErrorKind {
        match self {
            Self::NameNotResolved
            | Self::NothingListens
            | Self::Unreachable
            | Self::NoAnswer
            | Self::ClosedBeforeGreeting
            | Self::ConnectionLimit => BackendErrorKind::Unavailable,
            Self::LoginRefused | Self::NotPermitted => BackendErrorKind::Refused,
            Self::NotNats
            | Self::UnknownAuthority
            | Self::CertificateExpired
            | Self::WrongHostName
            | Self::TlsNotOffered
            | Self::ClientCertificate
            | Self::Tls
            | Self::BadLogin
            | Self::JetStreamOff
            | Self::UnknownDomain
            | Self::TooOld
            | Self::SmallMaxPayload => BackendErrorKind::Misconfigured,
        }
    }

    /// The backend error with this problem.
    pub(super) fn error(self, sentence: String) -> BackendError {
        let failure = ConnectFailure { problem: self, sentence: sentence.clone(), cause: None };
        BackendError::new(self.kind(), sentence).caused_by(failure)
    }

    /// What failed at a server, and what to do.
    fn sentence(self, server: &ServerAddress, config: &NatsConfig) -> String {
        let at = format!("the nats-server at {server}");
        let host = server.host();
        match self {
            Self::NameNotResolved => {
                format!(
                    "the host name {host} of {at} does not resolve: check the name, and the DNS of this machine"
                )
            }
            Self::NothingListens => {
                format!("no nats-server at {server}: start one with `jetway dev`, or set NATS_URL")
            }
            Self::Unreachable => format!("cannot reach {at}: check the address and the network"),
            Self::NoAnswer => format!(
                "{at} did not answer within {:?}: it hangs, is no nats-server, waits for TLS first (--tlsfirst), or a \
                 firewall drops the packets",
                config.connect_within
            ),
            Self::ClosedBeforeGreeting => format!(
                "{at} closed the connection without a greeting: it is no nats-server, waits for TLS first (--tlsfirst), \
                 or is starting"
            ),
            Self::NotNats => {
                format!("what answers at {server} is no nats-server: check the address and the port")
            }
            Self::UnknownAuthority => format!(
                "the certificate of {at} comes from an unknown authority: name the file with the CA certificate \
                 (--tlsca, NATS_CA)"
            ),
            Self::CertificateExpired => format!(
                "the certificate of {at} has expired or is not valid yet: renew it, and check the clock of this machine"
            ),
            Self::WrongHostName => format!(
                "the certificate of {at} is not for {host}: use a name that is in the certificate, or another certificate"
            ),
            Self::TlsNotOffered => {
                format!("{at} does not offer TLS: use nats:// without TLS, or enable TLS on the server")
            }
            Self::ClientCertificate => {
                let given = match config.tls.certificate {
                    Some(_) => "refuses the certificate of this client",
                    None => "requires a certificate of this client, and none is given",
                };
                format!("{at} {given}: check --tlscert and --tlskey (NATS_CERT, NATS_KEY)")
            }
            Self::Tls => {
                format!("cannot make a TLS connection to {at}: check the certificates of both sides")
            }
            Self::LoginRefused => match config.login() {
                NatsAuth::None => format!(
                    "{at} refuses the login, and no credentials are given: give user and password, a token, an nkey or a \
                     credentials file"
                ),
                _ => format!("{at} refuses the login: check user, password, token, nkey or credentials file"),
            },
            Self::ConnectionLimit => format!(
                "{at} accepts no more connections: its limit, or that of the account, is reached (max_connections)"
            ),
            Self::BadLogin
            | Self::NotPermitted
            | Self::JetStreamOff
            | Self::UnknownDomain
            | Self::TooOld
            | Self::SmallMaxPayload => format!("cannot use {at}"),
        }
    }
}

/// A failed attempt to connect. As an error it shows the cause alone, since it is the source of an error with the sentence.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", self.cause.as_ref().unwrap_or(&self.sentence))]
pub(super) struct ConnectFailure {
    problem: ConnectProblem,
    sentence: String,
    /// The error of the client library.
    cause: Option<String>,
}

impl ConnectFailure {
    pub(super) fn new(server: &ServerAddress, config: &NatsConfig, error: async_nats::ConnectError) -> Self {
        let problem = problem_of(&error);
        Self { problem, sentence: problem.sentence(server, config), cause: Some(error.to_string()) }
    }

    /// One error for the failures of all servers.
    pub(super) fn together(mut failures: Vec<Self>) -> BackendError {
        // A refused login concerns all servers. Otherwise one that may come back is worth another attempt.
        let rank = |failure: &Self| match failure.problem {
            ConnectProblem::LoginRefused => 0,
            problem if problem.is_retryable() => 1,
            _ => 2,
        };
        failures.sort_by_key(rank);
        let sentence = match failures.as_slice() {
            [only] => only.sentence.clone(),
            several => {
                let sentences: Vec<_> = several.iter().map(|failure| failure.sentence.as_str()).collect();
                format!("cannot connect to any nats-server: {}", sentences.join("; "))
            }
        };
        match failures.into_iter().next() {
            Some(first) => BackendError::new(first.problem.kind(), sentence).caused_by(first),
            None => BackendError::new(BackendErrorKind::Misconfigured, "no nats-server is named"),
        }
    }
}

fn problem_of(error: &async_nats::ConnectError) -> ConnectProblem {
    match error.kind() {
        ConnectErrorKind::Dns => ConnectProblem::NameNotResolved,
        ConnectErrorKind::AuthorizationViolation => ConnectProblem::LoginRefused,
        ConnectErrorKind::Authentication => ConnectProblem::BadLogin,
        ConnectErrorKind::TimedOut => ConnectProblem::NoAnswer,
        ConnectErrorKind::Tls => tls_problem(error).unwrap_or(ConnectProblem::Tls),
        ConnectErrorKind::ServerParse | ConnectErrorKind::MaxReconnects => ConnectProblem::Unreachable,
        ConnectErrorKind::Io => tls_problem(error)
            .or_else(|| said_by_server(&error.to_string()))
            .unwrap_or_else(|| io_problem(error)),
    }
}

/// The errors that the client library knows by their text alone.
fn said_by_server(text: &str) -> Option<ConnectProblem> {
    let text = text.to_lowercase();
    let has = |part: &str| text.contains(part);
    if has("maximum connections exceeded") || has("connections exceeded") {
        Some(ConnectProblem::ConnectionLimit)
    } else if has("authentication") || has("authorization") {
        // Expired and revoked users, and a login that took too long.
        Some(ConnectProblem::LoginRefused)
    } else if has("tls required") {
        Some(ConnectProblem::Tls)
    } else if has("got nothing") || has("broken pipe") {
        Some(ConnectProblem::ClosedBeforeGreeting)
    } else if has("expected info") {
        Some(ConnectProblem::NotNats)
    } else {
        None
    }
}

fn io_problem(error: &async_nats::ConnectError) -> ConnectProblem {
    let io = sources(error).find_map(|error| error.downcast_ref::<io::Error>());
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => ConnectProblem::NothingListens,
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => ConnectProblem::NotNats,
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe) => {
            ConnectProblem::ClosedBeforeGreeting
        }
        Some(io::ErrorKind::TimedOut) => ConnectProblem::NoAnswer,
        _ => ConnectProblem::Unreachable,
    }
}

fn tls_problem(error: &async_nats::ConnectError) -> Option<ConnectProblem> {
    let inner = |error: &'_ (dyn Error + 'static)| -> Option<TlsError> {
        let io = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = error.downcast_ref().or_else(|| io?.downcast_ref::<TlsError>());
        tls.cloned()
    };
    Some(match sources(error).find_map(inner)? {
        TlsError::InvalidCertificate(certificate) => match certificate {
            // Two authorities of one name differ in their keys.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                ConnectProblem::UnknownAuthority
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => ConnectProblem::CertificateExpired,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                ConnectProblem::WrongHostName
            }
            _ => ConnectProblem::Tls,
        },
        TlsError::InvalidMessage(_) => ConnectProblem::TlsNotOffered,
        TlsError::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::NoCertificate,
        ) => ConnectProblem::ClientCertificate,
        _ => ConnectProblem::Tls,
    })
}

fn sources<'a>(error: &'a async_nats::ConnectError) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |error| (*error).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(problem: ConnectProblem) -> ConnectFailure {
        let servers = crate::config::ServerList::from("nats://a");
        let sentence = problem.sentence(&servers.addresses()[0], &NatsConfig::default());
        ConnectFailure { problem, sentence, cause: Some("c".to_owned()) }
    }

    #[test]
    fn m6_one_server_that_may_come_back_is_worth_another_attempt() {
        use ConnectProblem::{LoginRefused, NothingListens, UnknownAuthority};
        let together = |problems: &[ConnectProblem]| {
            let error = ConnectFailure::together(problems.iter().copied().map(failure).collect());
            (error.kind(), ConnectProblem::of(&error).unwrap(), error.to_string())
        };
        let (kind, _, _) = together(&[UnknownAuthority]);
        assert_eq!(kind, BackendErrorKind::Misconfigured);
        let (kind, problem, text) = together(&[UnknownAuthority, NothingListens]);
        assert_eq!((kind, problem), (BackendErrorKind::Unavailable, NothingListens));
        assert!(text.contains("unknown authority") && text.contains("no nats-server"), "{text}");
        let (kind, _, _) = together(&[NothingListens, LoginRefused]);
        assert_eq!(kind, BackendErrorKind::Refused);
    }

    #[test]
    fn errors_of_the_server_are_recognized() {
        for (text, problem) in [
            (
                "IO error: expected INFO, got Error(Other(\"maximum connections exceeded\"))",
                ConnectProblem::ConnectionLimit,
            ),
            ("IO error: nats: maximum account active connections exceeded", ConnectProblem::ConnectionLimit),
            ("IO error: nats: User Authentication Expired", ConnectProblem::LoginRefused),
            ("IO error: expected INFO, got nothing", ConnectProblem::ClosedBeforeGreeting),
            ("IO error: expected INFO, got Pong", ConnectProblem::NotNats),
        ] {
            assert_eq!(said_by_server(text), Some(problem), "{text}");
        }
    }
}
