//! How an instance of an actor ends.

use std::{
    any::Any,
    fmt,
    sync::{Arc, OnceLock},
};
use tokio::task::JoinError;

/// How an instance of an actor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// The actor stopped as intended.
    Stopped,
    /// The actor stopped because of this error.
    Failed(String),
    /// The actor stopped because of this error, and would fail again at once.
    Unrecoverable(String),
    /// The actor panicked with this message.
    Panicked(String),
    /// The actor ended without an exit reason: its context stopped by itself, or its thread stopped.
    Unknown,
}

impl ExitStatus {
    /// Whether the actor did not stop as intended.
    pub(crate) fn is_failure(&self) -> bool {
        *self != Self::Stopped
    }

    /// Whether another instance can do better.
    pub(super) fn is_recoverable(&self) -> bool {
        !matches!(self, Self::Unrecoverable(_))
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::Failed(error) | Self::Unrecoverable(error) => write!(f, "failed: {error}"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::Unknown => f.write_str("ended for an unknown reason"),
        }
    }
}

/// The reason that an actor gives before it calls `ctx.stop()`. The first one counts; a panic overrides it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExitReason(Arc<OnceLock<ExitStatus>>);

impl ExitReason {
    /// The actor stops as intended: no restart.
    pub(crate) fn stopped(&self) {
        self.0.get_or_init(|| ExitStatus::Stopped);
    }

    /// The actor stops because of an error.
    pub(crate) fn failed(&self, error: impl fmt::Display) {
        self.0.get_or_init(|| ExitStatus::Failed(error.to_string()));
    }

    /// The actor stops because of an error that a restart cannot mend.
    pub(crate) fn unrecoverable(&self, error: impl fmt::Display) {
        self.0.get_or_init(|| ExitStatus::Unrecoverable(error.to_string()));
    }

    /// The exit status of the instance, given the result of its task.
    pub(super) fn status(&self, task: Result<(), JoinError>) -> ExitStatus {
        match task {
            Ok(()) => self.0.get().cloned().unwrap_or(ExitStatus::Unknown),
            Err(error) => match error.try_into_panic() {
                Ok(payload) => ExitStatus::Panicked(panic_message(payload.as_ref())),
                Err(_cancelled) => ExitStatus::Unknown,
            },
        }
    }
}

/// The message of a panic.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}
