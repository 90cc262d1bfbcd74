//! The health of a supervised actor, and the fatal error.

use super::{ExitStatus, RestartPolicy, panic_message};
use serde::Serialize;
use std::{any::Any, time::Duration};

/// The health of a supervised actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ActorHealth {
    /// The name of the actor.
    pub actor: &'static str,
    /// Whether it runs now: false during a restart and after the last instance.
    pub alive: bool,
    /// How often it was restarted, by cause.
    pub restarts: Restarts,
    /// Its most recent failure.
    pub last_failure: Option<String>,
}

impl ActorHealth {
    pub(super) fn new(actor: &'static str) -> Self {
        Self { actor, alive: false, restarts: Restarts::default(), last_failure: None }
    }

    pub(super) fn failed(&mut self, exit_status: &ExitStatus, restarted: bool) {
        self.last_failure = Some(exit_status.to_string());
        if restarted {
            self.restarts.count(exit_status);
        }
    }
}

/// The restarts of an actor, by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Restarts {
    /// After a panic.
    pub panicked: u64,
    /// After an error.
    pub failed: u64,
    /// After an end without an exit reason.
    pub unknown: u64,
}

impl Restarts {
    /// The restarts of all causes.
    pub fn total(&self) -> u64 {
        self.panicked + self.failed + self.unknown
    }

    fn count(&mut self, exit_status: &ExitStatus) {
        match exit_status {
            ExitStatus::Stopped => {}
            ExitStatus::Failed(_) | ExitStatus::Unrecoverable(_) => self.failed += 1,
            ExitStatus::Panicked(_) => self.panicked += 1,
            ExitStatus::Unknown => self.unknown += 1,
        }
    }
}

/// An actor failed more often than its restart policy allows, or in a way that no restart mends. It stays down: drain the system and exit the process with
/// an error, so that the service manager restarts the process or raises an alarm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("actor {actor} {failure}{}; restart the process", after(*restarts, window))]
#[non_exhaustive]
pub struct Fatal {
    /// The name of the actor.
    pub actor: &'static str,
    /// How often it was restarted within the window.
    pub restarts: u32,
    /// The window of the policy.
    pub window: Duration,
    /// The last failure.
    pub failure: String,
}

/// The part of the message about restarts, if there were some.
fn after(restarts: u32, window: &Duration) -> String {
    match restarts {
        0 => String::new(),
        restarts => format!(", after {restarts} restarts within {window:?}"),
    }
}

impl Fatal {
    pub(super) fn new(
        actor: &'static str,
        restarts: u32,
        policy: &RestartPolicy,
        exit_status: &ExitStatus,
    ) -> Self {
        Self { actor, restarts, window: policy.window, failure: exit_status.to_string() }
    }

    /// The thread of the supervisors panicked, which is a defect.
    pub(crate) fn of_system(payload: &(dyn Any + Send)) -> Self {
        let failure = ExitStatus::Panicked(panic_message(payload)).to_string();
        Self { actor: "system", restarts: 0, window: Duration::ZERO, failure }
    }
}
