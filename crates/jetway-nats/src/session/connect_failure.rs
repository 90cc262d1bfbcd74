//! Why a connection cannot be made, and whether that can mend itself.

mod classify;
mod sentence;

use crate::config::{NatsConfig, ServerAddress};
use classify::problem_of;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use std::error::Error;

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
    /// A setting is invalid, or names a file that cannot be read or has other content.
    BadSetting,
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
            | Self::BadSetting
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
    pub(super) fn new(server: &ServerAddress, config: &NatsConfig, error: &async_nats::ConnectError) -> Self {
        let problem = problem_of(error);
        Self { problem, sentence: sentence::of(problem, server, config), cause: Some(error.to_string()) }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(problem: ConnectProblem) -> ConnectFailure {
        let servers = crate::config::ServerList::from("nats://a");
        let sentence = sentence::of(problem, &servers.addresses()[0], &NatsConfig::default());
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
}
