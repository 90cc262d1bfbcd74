//! How a connection logs in, and its TLS settings.

use super::Secret;
use std::path::PathBuf;

/// Credentials for the server. Secrets are not shown by `Debug`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NatsAuth {
    /// No credentials.
    #[default]
    None,
    /// A token.
    Token(Secret),
    /// A user and a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// The seed of an nkey.
    NKey(Secret),
    /// A file with the seed of an nkey.
    NKeyFile(PathBuf),
    /// A `.creds` file: a JWT and the seed of its nkey.
    CredentialsFile(PathBuf),
    /// The text of a `.creds` file.
    Credentials(Secret),
    /// A JWT, with the seed of its nkey. A bearer token needs no seed.
    Jwt {
        /// The JWT.
        jwt: Secret,
        /// The seed.
        seed: Option<Secret>,
    },
}

impl NatsAuth {
    /// A user and a password.
    pub fn password(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self::Password { user: user.into(), password: password.into() }
    }

    /// A token.
    pub fn token(token: impl Into<Secret>) -> Self {
        Self::Token(token.into())
    }
}

/// TLS settings in addition to those that a `tls://` address implies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NatsTls {
    /// Refuses a server without TLS.
    pub required: bool,
    /// Starts with the TLS handshake instead of the server's INFO message. Implies `required`.
    pub first: bool,
    /// A file with CA certificates, used instead of those of the machine.
    pub authorities: Option<PathBuf>,
    /// The files with the certificate and the key of this client.
    pub certificate: Option<(PathBuf, PathBuf)>,
}
