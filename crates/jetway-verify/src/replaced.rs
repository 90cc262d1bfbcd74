//! Runs whose ids are used again.

use crate::program::Input;
use jetway::{
    RunKey,
    client::{ClientError, DoneView},
};
use jetway_nats::faults::Removal;
use jetway_state::run::Snapshot;

/// How far a run had come when its record was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Progress {
    /// Its starter had the result.
    Ended,
    /// It was cancelled. Some of its attempts may still be running.
    Cancelled,
    /// It was running.
    Running,
}

impl Progress {
    pub(crate) const ALL: [Self; 3] = [Self::Ended, Self::Cancelled, Self::Running];

    /// The name in a summary.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ids used again after the end",
            Self::Cancelled => "ids used again after a cancellation",
            Self::Running => "ids used again while the run was running",
        }
    }
}

/// The name of a way to remove a record in a summary.
pub(crate) fn name_of(removal: Removal) -> &'static str {
    match removal {
        Removal::Deleted => "records deleted",
        Removal::Purged => "records purged",
        Removal::Expired => "records expired",
    }
}

/// A run whose record was removed, so that its id was used again.
#[derive(Debug)]
pub(crate) struct Replaced {
    pub(crate) run: RunKey,
    pub(crate) input: Input,
    /// Whether a cancellation of some run with this id was requested.
    pub(crate) cancelled: bool,
    pub(crate) progress: Progress,
    pub(crate) removal: Removal,
    /// The last record that was read.
    pub(crate) snapshot: Option<Snapshot>,
    /// What its starter was told, if it waited.
    pub(crate) result: Option<Result<DoneView, ClientError>>,
}
