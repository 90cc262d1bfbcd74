//! A run that a client has started.

use jetway_state::{Incarnation, RunKey, StartMessage, run::WantedResult};
use serde::Serialize;
use std::{fmt, ops::Deref};

/// A run that a client has started: its key, and the identity of this start. It derefs to the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StartedRun {
    /// The run.
    #[serde(flatten)]
    pub key: RunKey,
    /// The identity of this start of the run id. `None` if the start was published as a message: the host that processes it
    /// chooses the identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<Incarnation>,
    /// The start message, if the start was published as one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub message: Option<StartMessage>,
}

impl Deref for StartedRun {
    type Target = RunKey;

    fn deref(&self) -> &RunKey {
        &self.key
    }
}

impl fmt::Display for StartedRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

/// Which result to wait for. A run id is a name that can be used again when its record has expired.
///
/// * From `&StartedRun`: the result of the run that this start made or joined, or its refusal.
/// * From `&RunKey`: the latest. That is the result of the current record, or the stored one if there is no record.
#[derive(Debug, Clone, Copy)]
pub struct ResultOf<'a> {
    pub(super) run: &'a RunKey,
    pub(super) wanted: WantedResult,
}

impl<'a> From<&'a StartedRun> for ResultOf<'a> {
    fn from(started: &'a StartedRun) -> Self {
        let wanted = match (started.incarnation, started.message) {
            (Some(incarnation), _) => WantedResult::Of(incarnation),
            (None, Some(message)) => WantedResult::New(message),
            (None, None) => WantedResult::Latest,
        };
        Self { run: &started.key, wanted }
    }
}

impl<'a> From<&'a RunKey> for ResultOf<'a> {
    fn from(run: &'a RunKey) -> Self {
        Self { run, wanted: WantedResult::Latest }
    }
}
