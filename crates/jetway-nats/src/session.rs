//! The connection to the server: connecting, connection events, and requests with deadlines.
//!
//! Hosts and stores own one [`Connection`] each and share this module. Writes go through
//! [`committer`](crate::committer).

pub(crate) mod api;
mod backoff;
mod clock;
mod connect;
mod connect_failure;
pub(crate) mod direct;
mod events;
mod failure;
mod no_room;
mod options;
mod reader;
mod reads;
mod renewed;
mod stream_facts;
mod time_keeper;

pub use connect::ServerFacts;
pub use connect_failure::ConnectProblem;
pub(crate) use {
    backoff::Backoff,
    clock::ServerClock,
    connect::connect,
    events::ConnectionState,
    failure::{Failure, is_out_of_room, is_unreachable, kind_of},
    reader::StreamReader,
    reads::Reads,
    renewed::RenewedConnection,
    stream_facts::StreamFacts,
    time_keeper::keep_time,
};

use self::no_room::NoRoom;
use crate::names::{DEFAULT_API_PREFIX, KEYS_OF_BUCKETS};
use async_nats::{Client, Subject, jetstream};
use jetway_core::clock::Clock;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use jetway_state::Timestamp;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// The room that subject and headers need beside the payload in a message of the largest size, in bytes.
pub(crate) const MESSAGE_OVERHEAD: usize = 4096;

/// The size of one part of a value that is stored in parts, in bytes. It must never change: readers compute the number of
/// parts from it.
pub(crate) const PART_BYTES: usize = 512 * 1024;

/// The connection of a backend or of the stores.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
    /// The prefix of the JetStream API.
    api_prefix: String,
    inbox_prefix: String,
    pub(crate) state: watch::Receiver<ConnectionState>,
    pub(crate) server_clock: Arc<ServerClock>,
    /// The clock that replaces that of the server.
    own_clock: Option<Arc<dyn Clock>>,
    /// Told when a stream or a bucket seems to be missing.
    pub(crate) missing: Arc<Notify>,
    no_room: NoRoom,
}

impl Connection {
    /// Whether the connection has ended and will not be made again. The client library reconnects after every loss, unless
    /// its own task has failed.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.has_changed().is_err()
    }

    /// Waits for the answer to a request to one of these subjects. A missing permission is known at once: the server reports it
    /// as an error of the connection, and never answers.
    pub(crate) async fn unless_denied<T>(
        &self,
        subjects: &[String],
        answer: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let subjects: Vec<String> = subjects.iter().map(|subject| format!("\"{subject}\"")).collect();
        let mut state = self.state.clone();
        let before = state.borrow().server_errors;
        let denied = |state: &ConnectionState| state.denies(before, &subjects, &self.inbox_prefix);
        tokio::select! {
            biased;
            answer = answer => Ok(answer),
            Ok(state) = state.wait_for(denied) => {
                Err(Failure::NotPermitted(state.server_error.clone().unwrap_or_default()))
            }
        }
    }

    /// The subjects that the server may name when it refuses an operation of its API: it does so after it has mapped that of a
    /// domain.
    pub(crate) fn api_subjects(&self, operation: &str) -> [String; 2] {
        [&self.api_prefix, DEFAULT_API_PREFIX].map(|prefix| format!("{prefix}.{operation}"))
    }

    /// Looks whether a request failed because a stream is missing, or because there is no room.
    pub(crate) fn note(&self, failure: &Failure) {
        if failure.is_of_missing() {
            self.missing.notify_one();
        }
        if failure.kind() == BackendErrorKind::NoRoom {
            self.note_no_room();
        }
    }

    /// The server has just had no room for a write.
    pub(crate) fn note_no_room(&self) {
        self.no_room.note(self.server_time());
    }

    /// When it last was so, within the last day.
    pub(crate) fn no_room_at(&self) -> Option<Timestamp> {
        self.no_room.recently(self.server_time())
    }

    /// The connection's state now.
    pub(crate) fn current_state(&self) -> ConnectionState {
        self.state.borrow().clone()
    }

    /// The subject to which a write is sent. A leaf node does not pass the keys of buckets to the servers of another domain,
    /// unless they have the prefix of its API, which the server removes.
    pub(crate) fn subject_of_write(&self, subject: Subject) -> Subject {
        match self.api_prefix != DEFAULT_API_PREFIX && subject.starts_with(KEYS_OF_BUCKETS) {
            true => format!("{}.{subject}", self.api_prefix).into(),
            false => subject,
        }
    }

    /// The largest payload that the server stores or delivers, in bytes.
    pub(crate) fn max_payload(&self) -> usize {
        self.client.max_payload().saturating_sub(MESSAGE_OVERHEAD)
    }

    /// The time now, for a comparison with the stamps of the server.
    pub(crate) fn server_time(&self) -> Timestamp {
        match &self.own_clock {
            Some(clock) => clock.now(),
            None => self.server_clock.server_time(),
        }
    }

    /// The clock for times that are written, and for durations. It never goes back.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        match &self.own_clock {
            Some(clock) => Arc::clone(clock),
            None => Arc::clone(&self.server_clock) as Arc<dyn Clock>,
        }
    }
}

/// The error for a connection that was closed before the setup was complete.
pub(crate) fn closed_during_setup(error: impl std::error::Error + Send + Sync + 'static) -> BackendError {
    let sentence = "the connection to the nats-server was closed before the setup was complete";
    BackendError::new(BackendErrorKind::Unavailable, sentence).caused_by(error)
}
