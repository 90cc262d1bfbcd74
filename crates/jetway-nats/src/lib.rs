//! Jetway's data on a NATS server: snapshots, tickets, starts, results, and the micro service that answers requests.
//!
//! [`NatsBackend`] implements all traits of [`jetway_engine::backend`] on JetStream. [`serve`] offers the micro service
//! `jetway`, and [`HostsClient`] is its client. [`NatsStores`] is for runs without hosts. No other crate names a stream or a
//! subject, and in this crate only the module `names` does.
//!
//! # Modules
//!
//! A module uses only modules above it.
//!
//! | module | content |
//! |---|---|
//! | `config`, `names`, `headers` | configuration; names on the server; header values |
//! | `permissions` | accounts, users and permissions for a server's configuration, from the roles beside the names |
//! | `settings` | configuration from flags, the environment and contexts of the `nats` command |
//! | `session` | the connection, its events, requests to the JetStream API, direct reads, backoff |
//! | `committer` | all writes: grouped, repeated, looked up |
//! | `blob` | large values in parts |
//! | `dead_letters` | messages that cannot be processed |
//! | `provision` | creates and checks streams and consumers |
//! | `upkeep` | makes again what disappears |
//! | `pull` | received messages, their leases, and messages that arrive too late |
//! | `setup` | what hosts and stores do when they start |
//! | `backend`, `stores` | the traits of hosts; the stores for runs without hosts |
//! | `service` | the micro service and its client |
//! | `namespace` | sets up a namespace, and changes its number of replicas |
//!
//! # Guarantees
//!
//! | guarantee | how the server provides it |
//! |---|---|
//! | a step is all or nothing | a snapshot is one message of a key-value bucket; JetStream stores a message completely or not at all |
//! | a step is committed once | `Nats-Expected-Last-Subject-Sequence`: the write names the revision that it replaces, and the server refuses it if another revision is the latest |
//! | a lost reply loses nothing | every snapshot carries the id of its commit (`Jetway-Commit`). A writer without a reply reads the latest message of the subject from the leader of the stream: its own id means stored, the expected revision means try again, anything else is a conflict. Of two copies of a write the server stores at most one, since both name the same revision |
//! | an item has one ticket at a time | a ticket has a subject of its own, is published with expected sequence 0, and the stream holds one message per subject. A second ticket counts as published |
//! | a lost ticket delays a step only a little | a single server need not sync tickets (`persist_mode: async`, since version 2.14). After a restart of the server, every host looks for pending items without a ticket |
//! | an alarm rings at its time or later | a message schedule (`Nats-Schedule: @at`), in a stream of its own: the server publishes the wake-up, and removes the alarm with the same write. Any host of the workflow publishes its ticket, and then acknowledges the wake-up. Whoever may arm an alarm may change all of that stream, so it holds nothing else |
//! | a lost alarm delays a run only a little | as for tickets: the sweep hears of a lost stream, and of restarts of a server that need not sync it |
//! | a leased ticket belongs to one worker | explicit acknowledgement with `ack_wait`; `+WPI` extends the lease, and without it the ticket is delivered to another worker. A host that stops publishes its tickets again, which is no lost attempt, and acknowledges the old ones. `max_deliver` is unlimited, so no ticket is delivered for the last time |
//! | a start is not lost, and not doubled | a work queue keeps a message until it is acknowledged, which happens after its run exists; the run id is the caller's or is derived from the message's sequence |
//! | a signal is not lost, and not doubled | a work queue, as for starts. The record of a run knows the latest one that it has, and the ids of senders. A signal to a run that does not exist yet is stored again under a subject that no consumer has, and an alarm brings it back; the sweep brings back those without an alarm |
//! | a client's header is no command | the streams to which clients publish allow no rollup, no schedule and no time to live |
//! | a result is published once | one message per subject, expected sequence 0: the first one stays |
//! | finished runs expire, others do not | `Nats-TTL` on the write that ends a run; nothing else in the bucket expires |
//! | a dead host disappears | entries of the bucket of hosts expire, and a host renews its own |
//! | a full disk is an error, not a loss | full streams refuse new messages, except the stream of dead letters. The stream of alarms has no limit of its own, since it would drop the oldest ones |
//!
//! # Durability of an acknowledged write
//!
//! It depends on the server's configuration: `sync_interval: always` syncs before it acknowledges; the server's default syncs
//! every two minutes. Replicas survive the loss of a server. A client can read the number of replicas, but not the sync
//! interval; [`NatsBackend::durability`] returns what is known and what was only measured.
//!
//! # Writes
//!
//! All writes to a stream go through one committer. While writes are in flight the next ones queue up. They are sent one by
//! one without waiting for replies in between, or as one atomic batch, whichever is faster on this server; the committer
//! measures it again and again. A batch is a group commit and nothing more: no guarantee depends on its atomicity. If it is
//! refused, its messages are sent again one by one, and each gets its own outcome.
//!
//! If the outcome of a write is not known within [`WriteConfig::give_up_after`], the error is
//! [`Unavailable`](jetway_engine::backend::BackendErrorKind::Unavailable): the write may have happened, or may happen later.
//! Repeating it is always safe.
//!
//! # Reads
//!
//! Reads that a decision depends on go to the leader of the stream, since other replicas may lack the latest acknowledged
//! writes. Any replica may answer listings, and reads of parts of blobs, which never change.

mod backend;
mod blob;
mod committer;
mod config;
mod dead_letters;
#[cfg(feature = "test-hooks")]
#[doc(hidden)]
pub mod faults;
#[cfg(feature = "test-hooks")]
#[doc(hidden)]
pub mod fuzzing;
mod headers;
mod names;
mod namespace;
mod permissions;
mod provision;
mod pull;
mod read_start;
mod result_writer;
mod service;
mod session;
mod settings;
mod setup;
mod stores;
mod upkeep;

pub use backend::{
    Durability, NatsBackend, OldestStart, PausedConsumer, QueueReport, StreamCounts, Synced, Traffic,
};
pub use config::{
    BadServerList, Grouping, NatsAuth, NatsConfig, NatsTls, Provisioning, Secret, ServerAddress, ServerList,
    WriteConfig,
};
pub use names::{Role, start_subject};
pub use namespace::{ChangedStream, NamespaceReport, set_up};
pub use permissions::{
    DEFAULT_ACCOUNT, PermissionError, PermissionSettings, Permissions, ServerUser, UserLogin,
};
pub use service::{BUSY, HostsClient, NO_ANSWER, NO_HOST, ServiceHandle, ServiceStatus, serve};
pub use session::{ConnectProblem, ServerFacts};
pub use settings::{ConnectionSettings, SettingsError};
pub use stores::{
    NatsCheckpointStore, NatsContextStore, NatsErrorStore, NatsLivenessStore, NatsMetricsStore,
    NatsRunInfoStore, NatsStores, NatsWorkItemStateStore, NatsWorkQueue,
};
