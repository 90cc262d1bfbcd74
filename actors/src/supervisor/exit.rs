//! How a life of an actor ends.

use std::{
    any::Any,
    fmt,
    sync::{Arc, OnceLock},
};
use tokio::task::JoinError;

/// How a life of an actor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// As the actor meant to.
    Stopped,
    /// The actor met an error that it could not live with.
    Failed(String),
    /// It panicked, with this message.
    Panicked(String),
    /// It ended without a word: its context stopped by itself, or its thread went away.
    Unknown,
}

impl ExitStatus {
    /// Whether the actor is to be rebuilt.
    pub(crate) fn is_failure(&self) -> bool {
        *self != Self::Stopped
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::Unknown => f.write_str("ended without a word"),
        }
    }
}

/// What an actor leaves before it calls `ctx.stop()`. The first word counts; a panic counts more than any word.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExitReason(Arc<OnceLock<ExitStatus>>);

impl ExitReason {
    /// The end is meant: no restart.
    pub(crate) fn stopped(&self) {
        self.0.get_or_init(|| ExitStatus::Stopped);
    }

    /// The actor cannot go on, because of this.
    pub(crate) fn failed(&self, error: impl fmt::Display) {
        self.0.get_or_init(|| ExitStatus::Failed(error.to_string()));
    }

    /// How the life ended whose task ended so.
    pub(super) fn read(&self, task: Result<(), JoinError>) -> ExitStatus {
        match task {
            Ok(()) => self.0.get().cloned().unwrap_or(ExitStatus::Unknown),
            Err(error) => match error.try_into_panic() {
                Ok(payload) => ExitStatus::Panicked(panic_message(payload.as_ref())),
                Err(_cancelled) => ExitStatus::Unknown,
            },
        }
    }
}

/// What a panic said.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}
