//! Stopping in good order.

use actix::Message;
use serde::Serialize;
use std::{ops::Add, time::Duration};
use tokio::sync::oneshot;

/// How long the work that was told to stop has to give its messages back. A node that does not heed its cancellation
/// token, or blocks its thread, is not waited for longer: its ticket is given back without it.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(2);

/// What became of the tickets and start messages that were in flight when a drain began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Drained {
    /// They were finished within the limit.
    pub finished: u64,
    /// They were given back, and are with other hosts now.
    pub given_back: u64,
    /// The backend could not be reached: they come back when their leases end.
    pub abandoned: u64,
}

impl Add for Drained {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            finished: self.finished + other.finished,
            given_back: self.given_back + other.given_back,
            abandoned: self.abandoned + other.abandoned,
        }
    }
}

/// Asks an actor to take nothing more, finish what is in flight within `limit`, give back the rest, and stop.
#[derive(Debug)]
pub(crate) struct Drain {
    /// How long finishing may take.
    pub(crate) limit: Duration,
    /// Told when nothing is in flight any more.
    pub(crate) done: oneshot::Sender<Drained>,
}

impl Message for Drain {
    type Result = ();
}

/// A drain that is under way.
#[derive(Debug)]
pub(crate) struct Draining {
    pub(crate) done: oneshot::Sender<Drained>,
    /// What became of the work so far.
    pub(crate) so_far: Drained,
}

impl Draining {
    /// Tells the asker.
    pub(crate) fn finish(self) {
        if self.done.send(self.so_far).is_err() {
            tracing::debug!("nobody waits for the drain any more");
        }
    }
}
