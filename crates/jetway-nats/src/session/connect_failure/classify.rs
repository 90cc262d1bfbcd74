//! The problem behind an error of the client library.

use super::ConnectProblem;
use async_nats::{
    ConnectErrorKind,
    rustls::{AlertDescription, CertificateError, Error as TlsError},
};
use std::{error::Error, io};

pub(super) fn problem_of(error: &async_nats::ConnectError) -> ConnectProblem {
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
