//! How to reach the server, and how the data on it is kept.

use jetway_state::Namespace;
use std::{fmt, path::PathBuf, time::Duration};

/// Where the server is, how to log in, and how data is kept on it.
///
/// Every host of a namespace should be given the same values. What the first host creates stays as it is: see
/// [`Provisioning`].
#[derive(Debug, Clone)]
pub struct NatsConfig {
    /// The servers, such as `nats://127.0.0.1:4222` or `tls://nats.example.com`. More than one for a cluster.
    pub urls: Vec<String>,
    /// What keeps the runs of several teams apart on one server. Default: `default`.
    pub namespace: Namespace,
    /// The name of the connection, as `nats server report connections` shows it. Default: `jetway`.
    pub name: String,
    /// How to log in. Default: not at all.
    pub auth: NatsAuth,
    /// TLS, beyond what a `tls://` address asks for by itself.
    pub tls: NatsTls,
    /// What replies are sent to, for servers that restrict it by permissions. Default: `_INBOX`.
    pub inbox_prefix: String,
    /// Who creates streams and consumers. Default: whoever comes first.
    pub provisioning: Provisioning,
    /// On how many servers of a cluster each message is stored: 1, 3 or 5. Default: 1.
    pub replicas: usize,
    /// How long a finished run can be asked for; at least a second. Its name can be used again after that. A child run is kept
    /// for its parent as long as results are, where that is longer. Default: 24 hours.
    pub keep_finished: Duration,
    /// How long results are kept, unless a later run of the same name has one. Default: 7 days.
    pub keep_results: Duration,
    /// How long dead letters are kept. Default: 7 days.
    pub keep_dead_letters: Duration,
    /// The most that each stream may take up on disk, in bytes. A stream that is full refuses what is new, and keeps
    /// what it has. Default: as much as the server gives to the account.
    pub max_stream_bytes: Option<u64>,
    /// How long a message is held without a sign of life before it is delivered again: how soon the work of a lost host goes
    /// on. Default: 10 seconds.
    pub ack_wait: Duration,
    /// How many messages of one consumer may be held at once, by all hosts together. Default: 20,000.
    pub max_ack_pending: u32,
    /// How often a host says that it is alive; it is forgotten after three times as long. Default: 15 seconds.
    pub announce_every: Duration,
    /// How writes are grouped and repeated.
    pub writes: WriteConfig,
}

impl NatsConfig {
    /// The defaults, for one server.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            urls: vec![url.into()],
            namespace: Namespace::default(),
            name: "jetway".to_owned(),
            auth: NatsAuth::None,
            tls: NatsTls::default(),
            inbox_prefix: "_INBOX".to_owned(),
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

    /// The same in another namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// The same with a way to log in.
    #[must_use]
    pub fn with_auth(mut self, auth: NatsAuth) -> Self {
        self.auth = auth;
        self
    }

    /// The addresses in words.
    pub(crate) fn addresses(&self) -> String {
        self.urls.join(", ")
    }
}

impl Default for NatsConfig {
    /// A server on this machine, on the usual port.
    fn default() -> Self {
        Self::new("nats://127.0.0.1:4222")
    }
}

/// How to log in.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NatsAuth {
    /// Not at all.
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
    /// Names the way without the secret.
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

/// TLS, beyond what a `tls://` address asks for by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NatsTls {
    /// Refuses a server without TLS.
    pub required: bool,
    /// Begins with the TLS handshake instead of the server's greeting; implies `required`.
    pub first: bool,
    /// A file with the certificates of the authorities to trust, instead of the machine's own.
    pub authorities: Option<PathBuf>,
    /// The files with this client's certificate and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// Who creates streams, buckets and consumers.
///
/// Whoever creates, a stream that is there already is never changed. One that would break a promise (another
/// retention, no atomic batches, fewer replicas) is refused with a sentence that names the field and the fix; one that
/// only keeps data for another time, or has another size, is taken as it is, with a warning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Provisioning {
    /// Whoever comes first.
    #[default]
    Create,
    /// Somebody else; what is there is checked.
    Check,
    /// Somebody else, and this user may not even look.
    Trust,
}

/// How writes are grouped and repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteConfig {
    /// When several writes go as one atomic batch. Default: the server is measured.
    pub grouping: Grouping,
    /// The most writes in one batch; the server's own limit is 1,000. Default: 512.
    pub max_group: usize,
    /// The most bytes in one batch. Default: 4 MiB.
    pub max_group_bytes: usize,
    /// The most writes that are under way at once, of each stream. Default: 2,048.
    pub in_flight: usize,
    /// The most writes that wait to be sent, of each stream; who comes later waits. Default: 8,192.
    pub queue: usize,
    /// How long the server may take to answer before the write's fate is looked up. Default: 5 seconds.
    pub answer_within: Duration,
    /// How long a write is tried altogether. A restart of the server should fit in. Default: 20 seconds.
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

/// When several writes go as one atomic batch.
///
/// A batch costs the server a few milliseconds whatever its size, and one sync to disk. Where every write is synced it is
/// several times faster than single writes, where writes are synced now and then it is slower.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Grouping {
    /// When it is the faster way on this server, which is measured all the time.
    #[default]
    Measure,
    /// Never.
    Never,
    /// Whenever there is a group.
    Always,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_printed() {
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
