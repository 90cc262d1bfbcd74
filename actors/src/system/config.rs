//! How a host is set up.

use crate::supervisor::RestartPolicy;
use std::time::Duration;

/// More slots than this are taken for a slip of the pen.
const MAX_SLOTS: usize = 1_000_000;

/// How the actors of a host are set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemConfig {
    /// Names the host among those that are alive: unique for the process, `[A-Za-z0-9_-]{1,64}`.
    pub host: String,
    /// How many tickets of each workflow are worked on at once. Default 256.
    pub concurrency: usize,
    /// How many start messages of each workflow are handled at once. Default 1024: their writes go to the backend in groups, and only
    /// those that are handled at once can share one.
    pub start_concurrency: usize,
    /// How often the coordinator looks for runs that lost their tickets, a fifth more or less. Default 20 s.
    pub sweep_every: Duration,
    /// How often the coordinator looks for start messages of unknown workflows, a fifth more or less. Default 60 s.
    pub cleanup_every: Duration,
    /// How old such a message has to be before it is moved to the dead letters, since a rolling deploy may have its
    /// host on the way. Default 60 s.
    pub unroutable_grace: Duration,
    /// When a failed actor is rebuilt, and when no more.
    pub restart: RestartPolicy,
    /// The limit for [`drain`](crate::ActorSystem::drain) that suits the host. Default 25 s, which leaves time to
    /// give tickets back within the 30 s that Kubernetes waits.
    pub drain_limit: Duration,
}

impl SystemConfig {
    /// The defaults for a host of that name.
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            concurrency: 256,
            start_concurrency: 1024,
            sweep_every: Duration::from_secs(20),
            cleanup_every: Duration::from_secs(60),
            unroutable_grace: Duration::from_secs(60),
            restart: RestartPolicy::default(),
            drain_limit: Duration::from_secs(25),
        }
    }

    pub(super) fn check(&self) -> Result<(), SystemError> {
        for (what, slots) in
            [("concurrency", self.concurrency), ("start_concurrency", self.start_concurrency)]
        {
            if !(1..=MAX_SLOTS).contains(&slots) {
                return Err(SystemError::Slots { what, slots });
            }
        }
        for (what, period) in [("sweep_every", self.sweep_every), ("cleanup_every", self.cleanup_every)] {
            if period.is_zero() {
                return Err(SystemError::Period(what));
            }
        }
        Ok(())
    }
}

/// What keeps the actors from being started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SystemError {
    /// A bound that cannot be kept.
    #[error("{what} is {slots}: use a number from 1 to {MAX_SLOTS}")]
    Slots {
        /// Which setting.
        what: &'static str,
        /// What it is set to.
        slots: usize,
    },
    /// A period that would never let the host rest.
    #[error("{0} is zero: use a period of a second or more")]
    Period(&'static str),
    /// The system's thread could not be made.
    #[error("the thread of the actor system could not be made")]
    Thread(#[source] std::io::Error),
}
