//! The settings of a host.

use crate::supervisor::RestartPolicy;
use std::time::Duration;

/// The largest number of slots that is accepted; more is probably a mistake.
const MAX_SLOTS: usize = 1_000_000;

/// The settings of the actors of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemConfig {
    /// The name of the host: unique for the process, `[A-Za-z0-9_-]{1,64}`.
    pub host: String,
    /// The maximum number of tickets in flight for each workflow. Default 256.
    pub concurrency: usize,
    /// The maximum number of start messages in flight for each workflow. Default 1024: their writes go to the backend in
    /// groups, and only start messages that are handled at the same time can share a group. As many signals are in flight.
    pub start_concurrency: usize,
    /// The time between two sweeps, which publish missing tickets; with 20 % jitter. Default 20 s.
    pub sweep_every: Duration,
    /// The time between two cleanups of unroutable start messages and orphaned chunks; with 20 % jitter. Default 60 s.
    pub cleanup_every: Duration,
    /// The age at which the cleanup moves a start message whose workflow no host serves to the dead letters. A rolling
    /// deployment may start a host for it within this time. Default 60 s.
    pub unroutable_grace: Duration,
    /// When a failed actor is restarted.
    pub restart: RestartPolicy,
    /// The limit that the host uses for [`ActorSystem::drain`](super::ActorSystem::drain). Default 25 s, which leaves
    /// time to give tickets back within the 30 s that Kubernetes waits.
    pub drain_limit: Duration,
}

impl SystemConfig {
    /// The default settings for a host with this name.
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

/// Why the actors cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SystemError {
    /// A number of slots is out of range.
    #[error("{what} is {slots}: use a number from 1 to {MAX_SLOTS}")]
    Slots {
        /// The setting.
        what: &'static str,
        /// Its value.
        slots: usize,
    },
    /// A period is zero.
    #[error("{0} is zero: use a period of a second or more")]
    Period(&'static str),
    /// The thread of the supervisors cannot be started.
    #[error("cannot start the thread of the actor system")]
    Thread(#[source] std::io::Error),
}
