//! Compares what was recorded with what is expected.

mod chain;
mod clean_up;
mod counts;
mod deadlines;
mod leftovers;
mod limits;
mod order;
mod report;
mod run;
mod signals;
mod timers;
mod used_ids;

pub use report::{Evidence, Finding, Report};
pub use run::{Observed, check_run, check_steps};

pub(crate) use counts::counters as wait_counters;
pub(crate) use used_ids::counters;

use serde::Serialize;
use std::fmt;

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The kind of the violation.
    pub kind: Kind,
    /// What was found.
    pub what: String,
}

/// A kind of violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A run, a step or an output is missing.
    Lost,
    /// A step or an output exists more than once.
    Doubled,
    /// A status, an output, a context or an id differs from the expected one.
    Wrong,
    /// A step ran, or a run ended, before its wait was over.
    Early,
    /// A run does not end.
    Stuck,
    /// A child run, a message, an alarm or a chunk is left over that no run needs.
    Orphaned,
    /// A step, an idempotency key, a child or the result of an earlier run with the same id is part of a later one.
    EarlierRun,
    /// An item had no ticket although no fault had removed it. Only the sweep found it.
    ItemsWithoutTicket,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Lost,
        Self::Doubled,
        Self::Wrong,
        Self::Early,
        Self::Stuck,
        Self::Orphaned,
        Self::EarlierRun,
        Self::ItemsWithoutTicket,
    ];

    /// The name of the kind in a summary.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::Wrong => "wrong",
            Self::Early => "early",
            Self::Stuck => "stuck",
            Self::Orphaned => "orphaned",
            Self::EarlierRun => "earlier_run",
            Self::ItemsWithoutTicket => "items_without_ticket",
        }
    }
}

impl Violation {
    /// A violation of this kind.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.what)
    }
}
