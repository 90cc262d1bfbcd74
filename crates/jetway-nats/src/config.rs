//! Settings: how to connect to the server, and how data is kept on it.

use jetway_core::clock::Clock;
use jetway_state::Namespace;
use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

/// How to connect to the server, and how data is kept on it.
///
/// All hosts of a namespace should have the same values. The first host creates the streams; existing streams are not
/// changed, see [`Provisioning`].
#[derive(Debug, Clone)]
pub struct NatsConfig {
    /// The addresses of servers, such as `nats://127.0.0.1:4222` or `tls://nats.example.com`. Several for a cluster.
    pub urls: Vec<String>,
    /// The namespace separates the runs of several teams on one server. Default: `default`.
    pub namespace: Namespace,
    /// The name of the connection, as `nats server report connections` shows it. Default: `jetway`.
    pub name: String,
    /// The credentials. Default: none.
    pub auth: NatsAuth,
    /// TLS settings in addition to those that a `tls://` address implies.
    pub tls: NatsTls,
    /// The prefix of reply subjects, for servers whose permissions restrict them. Default: `_INBOX`.
    pub inbox_prefix: String,
    /// More prefixes of subjects to which a host answers requests. Clients with inboxes of another prefix need it. Always
    /// allowed are `_INBOX`, [`inbox_prefix`](Self::inbox_prefix), and `_R_` for requests through a service import. Whoever
    /// may send requests can make a host publish its answer below these prefixes. Default: none.
    pub reply_prefixes: Vec<String>,
    /// Who creates streams and consumers. Default: the first host.
    pub provisioning: Provisioning,
    /// The number of servers in a cluster that store each message: 1, 3 or 5. Default: 1.
    pub replicas: usize,
    /// How long a finished run is kept, at least one second. After that, its run id can be used again. A child run is kept
    /// as long as results, if that is longer. Default: 24 hours.
    pub keep_finished: Duration,
    /// How long a result is kept, unless a later run with the same run id replaces it. Default: 7 days.
    pub keep_results: Duration,
    /// How long dead letters are kept. Default: 7 days.
    pub keep_dead_letters: Duration,
    /// The limit of disk space of each stream, in bytes. A full stream refuses new messages and keeps those that it has.
    /// Default: no limit besides that of the account, except for the two streams that clients can fill. Start messages have
    /// 64 MiB and dead letters 16 MiB, or less if the server cannot reserve eight and thirty-two times as much.
    pub max_stream_bytes: Option<u64>,
    /// How long a lease lasts without an extension. This is how soon another host continues the work of a lost one.
    /// Default: 10 seconds.
    pub ack_wait: Duration,
    /// How many messages of one consumer all hosts together may lease at once. Default: 20,000.
    pub max_ack_pending: u32,
    /// The interval at which a host announces itself. It disappears after three times this interval without an
    /// announcement. Default: 15 seconds.
    pub announce_every: Duration,
    /// How writes are grouped and repeated.
    pub writes: WriteConfig,
    /// The clock. Default: the time of the server, which all its hosts share, whatever the clocks of their machines say. Tests
    /// can pass one that they move.
    pub clock: Option<Arc<dyn Clock>>,
}

impl NatsConfig {
    /// The defaults, for one server.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            clock: None,
            urls: vec![url.into()],
            namespace: Namespace::default(),
            name: "jetway".to_owned(),
            auth: NatsAuth::None,
            tls: NatsTls::default(),
            inbox_prefix: "_INBOX".to_owned(),
            reply_prefixes: Vec::new(),
            provisioning: Provisioning::Create,
            replicas: 1,
            keep_finished: Duration::from_secs(24 * 3600),
            keep_results: Duration::from_secs(7 * 24 * 3600),
            keep_dead_letters: Duration::from_secs(7 * 24 * 3600),
            max_stream_bytes: None,
            ack_wait: Duration::from_secs(10),
            max_ack_pending: 20_000,
            announce_every: Duration::from_secs(15),
            writes: WriteConfig::default(),
        }
    }

    /// The same settings with another namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// The same settings with other credentials.
    #[must_use]
    pub fn with_auth(mut self, auth: NatsAuth) -> Self {
        self.auth = auth;
        self
    }

    /// The addresses as text.
    pub(crate) fn addresses(&self) -> String {
        self.urls.join(", ")
    }
}

impl Default for NatsConfig {
    /// A server on this machine, on the default port.
    fn default() -> Self {
        Self::new("nats://127.0.0.1:4222")
    }
}

/// Credentials for the server.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NatsAuth {
    /// No credentials.
    #[default]
    None,
    /// A token.
    Token(String),
    /// A user and a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// The seed of an nkey.
    NKey(String),
    /// A `.creds` file: a JWT and the seed of its nkey.
    CredentialsFile(PathBuf),
    /// The text of a `.creds` file.
    Credentials(String),
}

impl fmt::Debug for NatsAuth {
    /// Shows the kind of credentials without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Token(_) => f.write_str("Token(..)"),
            Self::Password { user, .. } => {
                f.debug_struct("Password").field("user", user).finish_non_exhaustive()
            }
            Self::NKey(_) => f.write_str("NKey(..)"),
            Self::CredentialsFile(path) => f.debug_tuple("CredentialsFile").field(path).finish(),
            Self::Credentials(_) => f.write_str("Credentials(..)"),
        }
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

/// Who creates streams, buckets and consumers.
///
/// An existing stream is never changed. If it would break a guarantee (another retention, no atomic batches, fewer
/// replicas), it is refused with an error that names the field and the fix. If it only keeps data for another time or has
/// another size, it is used, with a warning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Provisioning {
    /// The first host creates them.
    #[default]
    Create,
    /// Somebody else creates them. They are checked.
    Check,
    /// Somebody else creates them. They are not checked, since this user may not read their configuration.
    Trust,
}

/// How writes are grouped and repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteConfig {
    /// When several writes are sent as one atomic batch. Default: by measuring the server.
    pub grouping: Grouping,
    /// The largest number of writes in a batch. The server's limit is 1,000. Default: 512.
    pub max_group: usize,
    /// The largest size of a batch, in bytes. Default: 4 MiB.
    pub max_group_bytes: usize,
    /// The largest number of writes in flight, per stream. Default: 2,048.
    pub in_flight: usize,
    /// The largest number of writes that wait to be sent, per stream. Callers wait if the queue is full. Default: 8,192.
    pub queue: usize,
    /// How long the server may take to reply before the outcome of the write is looked up. Default: 5 seconds.
    pub answer_within: Duration,
    /// How long a write is tried in total. It should be longer than a restart of the server. Default: 20 seconds.
    pub give_up_after: Duration,
}

impl Default for WriteConfig {
    fn default() -> Self {
        Self {
            grouping: Grouping::Measure,
            max_group: 512,
            max_group_bytes: 4 * 1024 * 1024,
            in_flight: 2048,
            queue: 8192,
            answer_within: Duration::from_secs(5),
            give_up_after: Duration::from_secs(20),
        }
    }
}

/// When several writes are sent as one atomic batch.
///
/// A batch costs the server a few milliseconds, whatever its size, and one sync to disk. If the server syncs every write,
/// a batch is several times faster than single writes. Otherwise it is slower.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Grouping {
    /// If it is faster on this server. Jetway measures it again and again.
    #[default]
    Measure,
    /// Never.
    Never,
    /// Always, if several writes wait.
    Always,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_has_no_secret() {
        let password = NatsAuth::Password { user: "ann".to_owned(), password: "hunter2".to_owned() };
        for auth in [
            NatsAuth::Token("hunter2".to_owned()),
            password,
            NatsAuth::NKey("hunter2".to_owned()),
            NatsAuth::Credentials("hunter2".to_owned()),
        ] {
            let shown = format!("{:?}", NatsConfig::default().with_auth(auth));
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
