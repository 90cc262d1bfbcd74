//! How a connection logs in, and its TLS settings.

use super::Secret;
use std::{fmt, path::PathBuf};

/// Credentials for the server. Secrets are not shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
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

impl fmt::Debug for NatsAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Token(token) => f.debug_tuple("Token").field(token).finish(),
            Self::Password { user, password } => {
                f.debug_struct("Password").field("user", user).field("password", password).finish()
            }
            Self::NKey(seed) => f.debug_tuple("NKey").field(seed).finish(),
            Self::NKeyFile(path) => f.debug_tuple("NKeyFile").field(&Secret::path_to_show(path)).finish(),
            Self::CredentialsFile(path) => {
                f.debug_tuple("CredentialsFile").field(&Secret::path_to_show(path)).finish()
            }
            Self::Credentials(text) => f.debug_tuple("Credentials").field(text).finish(),
            Self::Jwt { jwt, seed } => f.debug_struct("Jwt").field("jwt", jwt).field("seed", seed).finish(),
        }
    }
}

/// TLS settings in addition to those that a `tls://` address implies.
#[derive(Clone, Default, PartialEq, Eq)]
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

impl fmt::Debug for NatsTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let certificate = self.certificate.as_ref();
        f.debug_struct("NatsTls")
            .field("required", &self.required)
            .field("first", &self.first)
            .field("authorities", &self.authorities.as_deref().map(Secret::path_to_show))
            .field(
                "certificate",
                &certificate
                    .map(|(certificate, key)| (Secret::path_to_show(certificate), Secret::path_to_show(key))),
            )
            .finish()
    }
}
