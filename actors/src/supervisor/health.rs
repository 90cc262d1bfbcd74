//! What is known of a supervised actor from outside.

use super::{ExitStatus, RestartPolicy, panic_message};
use serde::Serialize;
use std::{any::Any, time::Duration};

/// How a supervised actor fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ActorHealth {
    /// The actor.
    pub actor: &'static str,
    /// Whether it runs now: false between two lives and after the last.
    pub alive: bool,
    /// How often it was rebuilt.
    pub restarts: Restarts,
    /// What it failed with most lately.
    pub last_failure: Option<String>,
}

impl ActorHealth {
    pub(super) fn new(actor: &'static str) -> Self {
        Self { actor, alive: false, restarts: Restarts::default(), last_failure: None }
    }

    pub(super) fn failed(&mut self, exit_status: &ExitStatus, rebuilt: bool) {
        self.last_failure = Some(exit_status.to_string());
        if rebuilt {
            self.restarts.count(exit_status);
        }
    }
}

/// How often an actor was rebuilt, by what had happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Restarts {
    /// It had panicked.
    pub panicked: u64,
    /// It had met an error that it could not live with.
    pub failed: u64,
    /// It had ended without a word.
    pub unknown: u64,
}

impl Restarts {
    /// For whatever reason.
    pub fn total(&self) -> u64 {
        self.panicked + self.failed + self.unknown
    }

    fn count(&mut self, exit_status: &ExitStatus) {
        match exit_status {
            ExitStatus::Stopped => {}
            ExitStatus::Failed(_) => self.failed += 1,
            ExitStatus::Panicked(_) => self.panicked += 1,
            ExitStatus::Unknown => self.unknown += 1,
        }
    }
}

/// An actor failed more often than its restart policy allows. It stays down: drain the system and end the process
/// with an error, so that whoever runs the process starts it anew or raises an alarm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the {actor} {failure}; it was rebuilt {restarts} times within {window:?} before, which did not help"
)]
#[non_exhaustive]
pub struct Fatal {
    /// The actor.
    pub actor: &'static str,
    /// How often it had been rebuilt within the window.
    pub restarts: u32,
    /// The window of the policy.
    pub window: Duration,
    /// What it failed with at last.
    pub failure: String,
}

impl Fatal {
    pub(super) fn new(actor: &'static str, policy: &RestartPolicy, exit_status: &ExitStatus) -> Self {
        Self { actor, restarts: policy.limit, window: policy.window, failure: exit_status.to_string() }
    }

    /// The thread of the supervisors itself panicked, which is a defect.
    pub(crate) fn of_system(payload: &(dyn Any + Send)) -> Self {
        let failure = ExitStatus::Panicked(panic_message(payload)).to_string();
        Self { actor: "system", restarts: 0, window: Duration::ZERO, failure }
    }
}
