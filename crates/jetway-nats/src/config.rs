//! Settings: how to connect to the server, and how data is kept on it.

mod login;
mod secret;
mod servers;

pub use login::{NatsAuth, NatsTls};
pub use secret::Secret;
pub(crate) use secret::{is_seed, may_be_file};
pub use servers::{BadServerList, ServerAddress, ServerList};

use jetway_core::clock::Clock;
use jetway_state::Namespace;
use std::{sync::Arc, time::Duration};

/// How to connect to the server, and how data is kept on it.
///
/// All hosts of a namespace should have the same values. The first host creates the streams; existing streams are not
/// changed, see [`Provisioning`].
#[derive(Debug, Clone)]
pub struct NatsConfig {
    /// The addresses of servers, such as `nats://127.0.0.1:4222` or `tls://nats.example.com`. Several for a cluster.
    pub servers: ServerList,
    /// The namespace separates the runs of several teams on one server. Default: `default`.
    pub namespace: Namespace,
    /// The name of the connection, as `nats server report connections` shows it. Default: `jetway`.
    pub name: String,
    /// The credentials. Without any, those in the addresses are used. Default: none.
    pub auth: NatsAuth,
    /// TLS settings in addition to those that a `tls://` address implies.
    pub tls: NatsTls,
    /// The domain of JetStream, such as that of a leaf node. Default: that of the server.
    pub jetstream_domain: Option<String>,
    /// The prefix of the JetStream API, for an account that imports it under another subject. Replaces that of the domain.
    /// Default: `$JS.API`.
    pub jetstream_api_prefix: Option<String>,
    /// How long one attempt to connect to one server may take: address, TLS, login. Default: 5 seconds.
    pub connect_within: Duration,
    /// How long a server may be silent before the connection counts as lost, and another server is tried. The client pings
    /// three times in this time. Default: 6 seconds.
    pub lost_after: Duration,
    /// The prefix of reply subjects, for servers whose permissions restrict them. Default: `_INBOX`.
    pub inbox_prefix: String,
    /// More prefixes of subjects to which a host answers requests. Clients with inboxes of another prefix need it. Always
    /// allowed are `_INBOX`, [`inbox_prefix`](Self::inbox_prefix), and `_R_` for requests through a service import. Whoever
    /// may send requests can make a host publish its answer below these prefixes. Default: none.
    pub reply_prefixes: Vec<String>,
    /// Who creates streams and consumers. Default: the first host.
    pub provisioning: Provisioning,
    /// The number of servers in a cluster that store each message: 1, 3 or 5. Whoever sets up a namespace records it on the
    /// server. Default: what is recorded there; 1 in a new namespace. A host refuses to start if streams have fewer replicas
    /// than it asks for: [`set_up`](crate::set_up) changes them.
    pub replicas: Option<usize>,
    /// How long a finished run is kept, at least one second. After that, its run id can be used again. A child run is kept
    /// as long as results, if that is longer. Default: 24 hours.
    pub keep_finished: Duration,
    /// How long a result is kept, unless a later run with the same run id replaces it. Default: 7 days.
    pub keep_results: Duration,
    /// How long dead letters are kept. Default: 7 days.
    pub keep_dead_letters: Duration,
    /// The limit of disk space of each stream but that of alarms, in bytes. A full stream refuses new messages and keeps those
    /// that it has. The stream of alarms would drop the oldest ones, so it has no limit besides that of the account.
    /// Default: no limit besides that of the account, except for the three streams that clients can fill. Start messages have
    /// 64 MiB, signals 32 MiB and dead letters 16 MiB, or less if the server cannot reserve eight, sixteen and thirty-two times as
    /// much.
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
    /// The defaults, for these servers. An invalid list is an error of the connection.
    pub fn new(servers: impl Into<ServerList>) -> Self {
        Self {
            clock: None,
            servers: servers.into(),
            namespace: Namespace::default(),
            name: "jetway".to_owned(),
            auth: NatsAuth::None,
            tls: NatsTls::default(),
            jetstream_domain: None,
            jetstream_api_prefix: None,
            connect_within: Duration::from_secs(5),
            lost_after: Duration::from_secs(6),
            inbox_prefix: "_INBOX".to_owned(),
            reply_prefixes: Vec::new(),
            provisioning: Provisioning::Create,
            replicas: None,
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

    /// The credentials that the connection uses.
    pub(crate) fn login(&self) -> &NatsAuth {
        match &self.auth {
            NatsAuth::None => self.servers.login(),
            auth => auth,
        }
    }
}

impl Default for NatsConfig {
    /// A server on this machine, on the default port.
    fn default() -> Self {
        Self::new("nats://127.0.0.1:4222")
    }
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
    fn m5_debug_output_has_no_secret() {
        let secret = || Secret::from("hunter2");
        for auth in [
            NatsAuth::Token(secret()),
            NatsAuth::password("ann", "hunter2"),
            NatsAuth::NKey(secret()),
            NatsAuth::Credentials(secret()),
            NatsAuth::Jwt { jwt: secret(), seed: Some(secret()) },
        ] {
            let config = NatsConfig::new("nats://ann:hunter2@a, nats://ann:hunter2@b").with_auth(auth);
            for shown in [format!("{config:?}"), format!("{config:#?}"), config.servers.to_string()] {
                assert!(!shown.contains("hunter2"), "{shown}");
            }
        }
    }

    #[test]
    fn f8_credentials_replace_those_of_the_address() {
        let config = NatsConfig::new("nats://ann:x@a");
        assert_eq!(config.login(), &NatsAuth::password("ann", "x"));
        assert_eq!(config.with_auth(NatsAuth::token("t")).login(), &NatsAuth::token("t"));
    }
}
