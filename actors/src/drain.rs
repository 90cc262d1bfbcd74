//! The drain of an actor: its request, its progress, its report.

use actix::Message;
use serde::Serialize;
use std::{ops::Add, time::Duration};
use tokio::sync::oneshot;

/// How long cancelled work has to return its messages. A node that ignores its cancellation token, or blocks its
/// thread, is aborted after this time, and its ticket is given back.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(2);

/// The tickets and start messages that were in flight when a drain began, by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Drained {
    /// Finished within the limit.
    pub finished: u64,
    /// Given back (nak), so that other hosts get them at once.
    pub nacked: u64,
    /// Not given back, because the backend was unavailable or the engine panicked: delivered again when their leases
    /// end.
    pub abandoned: u64,
}

impl Drained {
    pub(crate) const FINISHED: Self = Self { finished: 1, nacked: 0, abandoned: 0 };
    pub(crate) const NACKED: Self = Self { finished: 0, nacked: 1, abandoned: 0 };
    pub(crate) const ABANDONED: Self = Self { finished: 0, nacked: 0, abandoned: 1 };
}

impl Add for Drained {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            finished: self.finished + other.finished,
            nacked: self.nacked + other.nacked,
            abandoned: self.abandoned + other.abandoned,
        }
    }
}

/// Asks an actor to accept no more messages, finish what is in flight within `limit`, give back the rest, and stop.
#[derive(Debug)]
pub(crate) struct Drain {
    /// How long the work in flight may continue.
    pub(crate) limit: Duration,
    /// Receives the report when nothing is in flight any more.
    pub(crate) reply: oneshot::Sender<Drained>,
}

impl Message for Drain {
    type Result = ();
}

/// A drain in progress.
#[derive(Debug)]
pub(crate) struct Draining {
    pub(crate) reply: oneshot::Sender<Drained>,
    /// The counts so far.
    pub(crate) report: Drained,
}

impl Draining {
    /// Sends the report to the requester of the drain.
    pub(crate) fn send_report(self) {
        if self.reply.send(self.report).is_err() {
            tracing::debug!("the requester of the drain does not wait for its report any more");
        }
    }
}
