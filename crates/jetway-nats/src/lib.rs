//! Jetway's data on a NATS server: snapshots, tickets, starts, results, and the service that answers questions.
//!
//! [`NatsBackend`] implements every port of [`jetway_engine::backend`] on JetStream. This is the only crate that names a
//! stream or a subject, and all of them stand in one file of it. [`serve`] offers the micro service `jetway`.
//! [`NatsStores`] is for runs without hosts.
//!
//! # What each promise rests on
//!
//! | promise | what the server does for it |
//! |---|---|
//! | a step is all or nothing | a snapshot is one message of a key-value bucket; JetStream stores a message whole or not at all |
//! | a step is committed once | `Nats-Expected-Last-Subject-Sequence`: the write names the revision it replaces, and any other latest revision refuses it |
//! | a lost answer loses nothing | every snapshot carries the id of its commit (`Jetway-Commit`). Who got no answer reads the subject's latest message from the stream's leader: his own id means stored, the expected revision means send again, anything else is a conflict. Both of two copies cannot win, since they name the same revision |
//! | an item has one ticket at a time | a ticket has a subject of its own, is published with expected sequence 0, and the stream takes one message for each subject. The second one counts as published |
//! | a lost ticket costs a moment | a single server need not sync tickets (`persist_mode: async`, from 2.14 on), neither when they come nor when they go. When it was started again, every host looks at once for pending items without a ticket |
//! | a ticket is nobody else's while it is held | explicit acknowledgement with `ack_wait`; `+WPI` renews it, `-NAK` gives it back, silence gives it to somebody else. `max_deliver` is unlimited, so that none is ever stranded |
//! | a start is not lost, and not doubled | a work queue that keeps a message until it is acknowledged, which happens after its run exists; the run id comes from the caller or from the message's place in the stream |
//! | nobody's header is an order | the stream that strangers publish to allows no rollup, no schedule and no time to live |
//! | a result is published once | one message for each subject, expected sequence 0: the first one stays |
//! | finished runs go, living ones stay | `Nats-TTL` on the write that ends a run; nothing else in the bucket expires |
//! | a host that died is forgotten | the entries of the bucket of hosts expire, and a host renews its own |
//! | a full disk is an error, not a loss | streams refuse what is new when they are full, all but the one of dead letters |
//!
//! # What an acknowledged write is worth
//!
//! As much as the server's configuration makes it: `sync_interval: always` syncs before it acknowledges, the server's
//! own default syncs every two minutes. Replicas on several servers survive the loss of a server. A client cannot see the
//! first and can see the second; [`NatsBackend::durability`] says what is known and what was merely measured.
//!
//! # How writes go
//!
//! All writes to a stream go through one committer. While writes are under way the next ones gather; they go one by one
//! without waiting for the answers in between, or as one atomic batch, whichever is faster on this server: that is
//! measured all the time. A batch is a group commit and nothing more: no promise rests on its being atomic. One that is
//! refused is sent again message by message, each for its own verdict.
//!
//! A write whose fate cannot be learned within [`WriteConfig::give_up_after`] is reported as
//! [`Unavailable`](jetway_engine::backend::BackendErrorKind::Unavailable): it may have happened, or may yet happen. Doing it
//! again is always safe.
//!
//! # Reading
//!
//! What a decision rests on is read from the leader of the stream, since a follower may be behind what has been
//! acknowledged. Listings, hosts and parts of chunks, which never change, may be read from anybody.

mod backend;
mod committer;
mod config;
mod connect;
mod dead_letters;
mod direct;
mod durability;
mod error;
mod faults;
#[doc(hidden)]
pub mod fuzzing;
mod hosts;
mod jsapi;
mod lease;
mod link;
mod losses;
mod names;
mod provision;
mod pull;
mod requests;
mod results;
mod service;
mod snapshots;
mod starts;
pub mod stores;
mod tickets;
mod write;

pub use backend::{NatsBackend, Traffic};
pub use config::{Grouping, NatsAuth, NatsConfig, NatsTls, Provisioning, WriteConfig};
pub use connect::ServerFacts;
pub use durability::{Durability, Synced};
pub use faults::Census;
pub use names::start_subject;
pub use requests::{BUSY, NO_ANSWER, NO_HOST, Remote};
pub use service::{ServiceHandle, serve};
pub use stores::{
    NatsCheckpointStore, NatsContextStore, NatsErrorStore, NatsLivenessStore, NatsMetricsStore,
    NatsRunInfoStore, NatsStores, NatsWorkItemStateStore, NatsWorkQueue,
};
